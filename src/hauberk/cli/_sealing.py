"""What the commands about sealed files share: the key service, its default key, and how files are named."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from hauberk.cli._output import OutputPath

if TYPE_CHECKING:
    from hauberk.custody.keys.port import KeyService

F = TypeVar("F", bound=Callable[..., Any])

KEY = "data"
HOME = Path(".hauberk")

associated_option = click.option(
    "--associated", default="", help="What the file is; has to be the same to open it. Not secret."
)
output_option = click.option("--output", type=OutputPath(), help="Where to write; is replaced when it exists.")


def open_service(uri: str, *, create: bool = False) -> KeyService:
    """Open the key holder that a URI names, with this user's passphrase."""
    import os

    from hauberk.custody.keys import open_keys
    from hauberk.custody.keys.standing import standing_passphrase

    return open_keys(uri, passphrase=standing_passphrase(os.environ), create=create)


def plain(text: object) -> str:
    """Return text for rich to print as it is: a file may be called "[red]"."""
    from rich.markup import escape

    return escape(str(text))
