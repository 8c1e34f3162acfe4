"""Open the workshop of a project, with the keys and the passphrase that the project file names."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from pathlib import Path

from hauberk.core.disk import Disk
from hauberk.core.errors import HauberkWarning
from hauberk.core.principal import UNKNOWN, Principal
from hauberk.custody.keys import KeyService, open_keys
from hauberk.custody.keys.standing import standing_passphrase
from hauberk.custody.seen import Seen
from hauberk.project import FILE_NAME, Keys, Project, load
from hauberk.project.settings import slug
from hauberk.records.workshop import Clock, Workshop, utc_now

HOME = ".hauberk"


def open_workshop(  # noqa: PLR0913 - all but place and principal are for tests and other front ends
    place: Project | Path,
    *,
    passphrase: Callable[[], bytes] | None = None,
    clock: Clock = utc_now,
    seen: Seen | None = None,
    disk: Disk | None = None,
    by: Principal = UNKNOWN,
    job: str = "",
) -> Workshop:
    """Open a project's workshop for writing, making keys and a ledger the first time. Raises as `Workshop.open`.

    place: the project, or a folder; without a hauberk.toml there, the project has the name of the folder and a
    keyring in `.hauberk`. by: who acts, recorded in events and evidence. job: the command, when it writes
    the release folder: only one such job runs at a time. passphrase: of the keyring; default: as
    `custody.keys.standing` finds it.
    """
    folder, name, keys = _declared(place)
    disk = disk or Disk()
    return Workshop.open(
        folder / HOME,
        name=name,
        keys_uri=keys.uri,
        algorithm=keys.signing,
        passphrase=passphrase or _standing(keys, disk),
        clock=clock,
        seen=seen,
        disk=disk,
        by=by,
        job=job,
    )


def open_project_keys(
    place: Project | Path, *, passphrase: Callable[[], bytes] | None = None, disk: Disk | None = None
) -> KeyService:
    """Open the keys that a project's file names, for reading: nothing is made. place, passphrase: as `open_workshop`.

    Raises InvalidInput where the keyring is missing or the passphrase is wrong, Unavailable when a key service does not answer.
    """
    _, _, keys = _declared(place)
    disk = disk or Disk()
    return open_keys(keys.uri, passphrase=passphrase or standing_passphrase(disk=disk), create=False, disk=disk)


def _declared(place: Project | Path) -> tuple[Path, str, Keys]:
    if isinstance(place, Path):
        folder = place.absolute()
        if not (folder / FILE_NAME).is_file():
            return folder, slug(folder.name), Keys(f"keyring:{folder / HOME / 'keyring'}")
        place = load(folder)
    return place.folder, place.name, place.keys


def _standing(keys: Keys, disk: Disk) -> Callable[[], bytes]:
    """Return the source of the user's passphrase. A random one is made only with a new keyring: it would open no old one."""
    scheme, _, rest = keys.uri.partition(":")
    new = scheme == "keyring" and not Path(rest).exists()

    def told(place: Path) -> None:
        warnings.warn(
            f"a random passphrase for your keys was written to {place}: keep a copy of it.",
            HauberkWarning,
            stacklevel=2,
        )

    return standing_passphrase(make=told if new else None, disk=disk)
