"""What the commands about registered sets share: opening the project they are run in."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

if TYPE_CHECKING:
    from collections.abc import Callable

    from hauberk.lifecycle.workshop import Workshop

F = TypeVar("F", bound="Callable[..., Any]")
HOME = ".hauberk"
KEYS = "keyring:.hauberk/keyring"


def project_option(command: F) -> F:
    """Give a command `--project DIR`, passed on as `folder`."""
    return click.option(
        "--project",
        "folder",
        type=click.Path(path_type=Path, exists=True, file_okay=False),
        default=Path(),
        show_default="this folder",
        help="The folder of the project, whose .hauberk/ledger is meant.",
    )(command)


def open_workshop(folder: Path) -> Workshop:
    """Open the project in a folder for writing, making keys and a ledger the first time.

    Name and keys are those of its hauberk.toml; without one, the folder's name and a keyring in `.hauberk`.
    """
    from hauberk.custody.keys.standing import standing_passphrase
    from hauberk.lifecycle import project as projects
    from hauberk.lifecycle.workshop import Workshop

    folder = folder.absolute()
    if (folder / "hauberk.toml").is_file():
        project = projects.load(folder)
        name, uri, signing = project.name, project.keys.uri, project.keys.signing
    else:
        name = re.sub(r"[^a-z0-9-]+", "-", folder.name.lower()).strip("-") or "project"
        uri, signing = KEYS, "ed25519"
    scheme, _, rest = uri.partition(":")
    if scheme == "keyring":
        uri = f"{scheme}:{folder / rest}"
    # A passphrase is made only together with a new keyring: no other would open an old one.
    new = scheme == "keyring" and not (folder / rest).exists()
    passphrase = standing_passphrase(make=_told if new else None)
    return Workshop.open(folder / HOME, name=name, keys_uri=uri, algorithm=signing, passphrase=passphrase)


def _told(place: Path) -> None:
    import warnings

    from hauberk.core.errors import HauberkWarning

    warnings.warn(
        f"a random passphrase for your keys was written to {place}: keep a copy of it.",
        HauberkWarning,
        stacklevel=2,
    )
