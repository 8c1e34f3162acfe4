"""`hauberk seal` and `hauberk unseal`: one file encrypted at rest, and back."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from hauberk.cli._output import Output, json_option

if TYPE_CHECKING:
    from hauberk.custody.keys.port import KeyService

F = TypeVar("F", bound=Callable[..., Any])

_ENDING = ".sealed"
_KEYS = "keyring:.hauberk/keyring"
_KEY = "data"


def _shared(command: F) -> F:
    for option in (
        click.option("--keys", "uri", default=_KEYS, show_default=True, help="Who holds the key."),
        click.option(
            "--associated", default="", help="What the file is; has to be the same to open it. Not secret."
        ),
        click.option(
            "--output", type=click.Path(path_type=Path), help="Where to write; is replaced when it exists."
        ),
        click.argument("source", type=click.Path(path_type=Path)),
        json_option,
    ):
        command = option(command)
    return command


@click.command()
@_shared
@click.option("--key", default=_KEY, show_default=True, help="Name of the key-encryption key.")
def seal(source: Path, output: Path | None, uri: str, key: str, associated: str, json: bool) -> None:  # noqa: PLR0913, FBT001, PLR0917 - click's arguments
    """Encrypt SOURCE to SOURCE.sealed, under a fresh data key that the key NAME wraps.

    The source is left as it is: delete it yourself once the sealed file is where it should be.
    """
    from hauberk.core.progress import Progress
    from hauberk.custody.keys import AES_256
    from hauberk.custody.sealing import seal_file

    target = output or source.with_name(source.name + _ENDING)
    _check_source(source)
    keys = _keys(uri, create=True)
    # Only the usual key is made on the way: under any other name a slip would make a key that nobody looks for.
    made = key == _KEY and key not in keys.names()
    if made:
        keys.create(key, AES_256)
    with Progress().task(f"Sealing {source.name}") as task:
        digest = seal_file(source, target, keys, key, associated=associated.encode(), task=task)
    out = Output(json)
    if made:
        out.console.print(
            f"Made the key [bold]{_plain(key)}[/] in {_plain(uri)}: without it no file opens. Back it up."
        )
    out.console.print(f"Sealed [bold]{_plain(str(target))}[/] under the key {_plain(key)}\nsha256 {digest}")
    out.document(
        {"sealed": str(target), "sha256": digest, "key": key, "key_made": made, "plain_size": source.stat().st_size}
    )


@click.command()
@_shared
@click.option(
    "--key", default=None, help="The key it must be sealed under.  [default: the one that the file names]"
)
def unseal(source: Path, output: Path | None, uri: str, key: str | None, associated: str, json: bool) -> None:  # noqa: PLR0913, FBT001, PLR0917 - click's arguments
    """Decrypt SOURCE, and write the plaintext only after the whole of it has verified."""
    from hauberk.core.errors import InvalidInput
    from hauberk.core.progress import Progress
    from hauberk.custody.sealing import read_header, unseal_file

    if output is None and source.suffix != _ENDING:
        raise InvalidInput(f"{source} does not end in {_ENDING}, so the plaintext needs a name: give --output.")
    target = output or source.with_suffix("")
    header = read_header(source)
    with Progress().task(f"Opening {source.name}") as task:
        unseal_file(source, target, _keys(uri, create=False), key, associated=associated.encode(), task=task)
    out = Output(json)
    out.console.print(f"Opened [bold]{_plain(str(target))}[/], {header.plain_size:,} bytes, all verified")
    out.document({"opened": str(target), "key": header.key, "plain_size": header.plain_size})


def _check_source(source: Path) -> None:
    # Before a keyring is made or a passphrase asked for: a slip in the path should cost nothing.
    from hauberk.core.errors import InvalidInput

    if not source.is_file():
        raise InvalidInput(f"there is no file {source}. Check the path; pack a folder into one file first.")


def _keys(uri: str, *, create: bool) -> KeyService:
    import os

    from hauberk.custody.keys import open_keys, passphrase_from, terminal_prompt

    return open_keys(uri, passphrase=passphrase_from(os.environ, terminal_prompt()), create=create)


def _plain(text: str) -> str:
    # A file may be called "[red]": it is shown as it is.
    from rich.markup import escape

    return escape(text)
