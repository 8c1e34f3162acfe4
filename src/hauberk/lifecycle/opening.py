"""Opening a project's workshop with the keys and the passphrase that its file names, for the main job and what follows it."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from pathlib import Path

from hauberk.core.disk import Disk
from hauberk.core.errors import HauberkWarning
from hauberk.custody.keys.standing import standing_passphrase
from hauberk.custody.seen import Seen
from hauberk.lifecycle.project import Project
from hauberk.lifecycle.workshop import Clock, Workshop, utc_now

HOME = ".hauberk"


def open_workshop(
    project: Project,
    *,
    passphrase: Callable[[], bytes] | None = None,
    clock: Clock = utc_now,
    seen: Seen | None = None,
    disk: Disk | None = None,
) -> Workshop:
    """Open the project's workshop for writing, making keys and a ledger the first time. Raises as `Workshop.open`.

    passphrase: of the keyring; default: as `custody.keys.standing` looks for it.
    """
    disk = disk or Disk()
    return Workshop.open(
        project.folder / HOME,
        name=project.name,
        keys_uri=_resolved(project.keys.uri, project.folder),
        algorithm=project.keys.signing,
        passphrase=passphrase or _standing(project, disk),
        clock=clock,
        seen=seen,
        disk=disk,
    )


def _standing(project: Project, disk: Disk) -> Callable[[], bytes]:
    """Return the user's passphrase. One is made only together with a new keyring: no other would open an old one."""
    scheme, _, rest = _resolved(project.keys.uri, project.folder).partition(":")
    new = scheme == "keyring" and not Path(rest).exists()

    def told(place: Path) -> None:
        warnings.warn(
            f"a random passphrase for your keys was written to {place}: keep a copy of it.",
            HauberkWarning,
            stacklevel=2,
        )

    return standing_passphrase(make=told if new else None, disk=disk)


def _resolved(uri: str, folder: Path) -> str:
    """Make a keyring's path relative to the project, so that it does not depend on where the command is run."""
    scheme, _, rest = uri.partition(":")
    return f"{scheme}:{folder / rest}" if scheme == "keyring" else uri
