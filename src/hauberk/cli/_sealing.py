"""Shared by the commands about sealed files: options, the key service, and the default key."""

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
    "--associated", default="", help="Associated data; must be the same to open the file. Not secret."
)
output_option = click.option("--output", type=OutputPath(), help="Where to write; an existing file is replaced.")


def open_service(uri: str, *, create: bool = False) -> KeyService:
    """Open the key holder of a URI, with this user's passphrase."""
    import os

    from hauberk.custody.keys import open_keys
    from hauberk.custody.keys.standing import standing_passphrase

    return open_keys(uri, passphrase=standing_passphrase(os.environ), create=create)


def plain(text: object) -> str:
    """Return text with rich's markup escaped: a file may be called "[red]"."""
    from rich.markup import escape

    return escape(str(text))
