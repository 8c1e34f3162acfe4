"""`hauberk erase`: destroy the key of a data set, which makes every copy unreadable, with a receipt in the ledger."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from hauberk.cli._output import Output, counted, json_option
from hauberk.cli._sealing import HOME, open_service, plain
from hauberk.cli.keys import keys_option

if TYPE_CHECKING:
    from hauberk.custody.keys.port import KeyService
    from hauberk.records.erasure import Receipt

_SHOWN = 20


@click.command()
@click.argument("name")
@keys_option
@click.option(
    "--in",
    "paths",
    multiple=True,
    type=click.Path(path_type=Path, exists=True),
    default=(".",),
    show_default=True,
    help="Where to look for its sealed files, besides .hauberk/store; may be repeated.",
)
@click.option("--yes", is_flag=True, help="Do not ask for confirmation. This cannot be undone.")
@json_option
def erase(*, name: str, uri: str, paths: tuple[Path, ...], yes: bool, json: bool) -> None:
    """Destroy the key NAME, which makes every copy of the files sealed under it unreadable.

    The receipt in .hauberk/ledger records who, when, which key and which sealed files; `hauberk open` cites it
    afterwards. AWS keeps a destroyed key for some days, recorded in the receipt; Vault destroys a key only after an
    operator has allowed it.
    """
    from hauberk.cli._principal import principal
    from hauberk.core.errors import InvalidInput
    from hauberk.core.progress import Progress
    from hauberk.project.opening import open_workshop
    from hauberk.records import erasure

    out, progress = Output(json), Progress(visible=False if json else None)
    keys = open_service(uri)
    with progress.task("Looking for what it opens") as task:
        found = erasure.opened_by(name, paths, store=HOME / "store", task=task)
    _confirm(out, keys, name, found, yes=yes)
    if not keys.names() and not (HOME / "ledger" / "checkpoint").is_file():
        raise InvalidInput(f"{uri} holds no keys. Check --keys.")
    with open_workshop(Path(), by=principal(), job="erase") as workshop, progress.task("Erasing") as task:
        receipt = erasure.erase(workshop, keys, name, unreadable=found, task=task)
    out.document(receipt.to_json())
    _show(out, receipt)


def _confirm(out: Output, keys: KeyService, name: str, found: list[Path], *, yes: bool) -> None:
    from hauberk.core.errors import InvalidInput

    versions = f", {counted(len(keys.ids(name)), 'version')}," if name in keys.names() else ""
    out.console.print(
        f"The key [bold]{plain(name)}[/]{versions} opens {counted(len(found), 'sealed file')} found here:"
    )
    for path in found[:_SHOWN]:
        out.console.print(f"  {plain(path)}", soft_wrap=True)
    if len(found) > _SHOWN:
        out.console.print(f"  and {len(found) - _SHOWN:,} more")
    if yes:
        return
    if out.json or not sys.stdin.isatty():
        raise InvalidInput("erasing cannot be undone, and there is no terminal to confirm it: add --yes.")
    typed = click.prompt("This cannot be undone. Type the key's name to destroy it", default="", show_default=False)
    if typed != name:
        raise InvalidInput("that is not the key's name. Nothing was destroyed.")


def _show(out: Output, receipt: Receipt) -> None:
    say = out.console.print
    if receipt.waiting_days:
        say(f"[bold]The key {plain(receipt.key)} is out of use, and gone in {receipt.waiting_days} days.[/]")
    else:
        say(f"[bold]The key {plain(receipt.key)} is destroyed.[/]")
    say(f"receipt  ledger entry {receipt.index}, {receipt.time}, by {plain(receipt.by)}", soft_wrap=True)
    say(f"files    {counted(len(receipt.subjects), 'sealed file')} cannot be opened any more")
    say(f"remains  {plain(receipt.remains)}", soft_wrap=True)
