"""`hauberk ledger`: list the newest entries, take one entry's proof out, audit the whole log."""

from __future__ import annotations

from pathlib import Path

import click

from hauberk.cli._output import Output, OutputPath, json_option
from hauberk.core.text import one_line

_folder_option = click.option(
    "--ledger",
    "folder",
    type=click.Path(path_type=Path, file_okay=False),
    default=Path(".hauberk/ledger"),
    show_default=True,
    help="The ledger's folder.",
)


@click.group("ledger")
def ledger() -> None:
    """Show, prove and audit what was logged. Needs neither lock nor passphrase."""


@ledger.command("show")
@_folder_option
@click.option("--limit", type=click.IntRange(min=1), default=20, show_default=True, help="How many, the newest.")
@json_option
def show(folder: Path, limit: int, json: bool) -> None:  # noqa: FBT001 - click passes options by name
    """List the newest entries: index, time, kind and subject."""
    from rich.table import Table
    from rich.text import Text

    from hauberk.records import log

    found, out = log.show(folder, limit=limit), Output(json)
    out.document(found.to_json())
    table = Table("index", "time", "kind", "subject", title=Text(one_line(found.origin)), title_justify="left")
    for row in found.rows:
        table.add_row(str(row.index), *(Text(one_line(text)) for text in (row.time, row.kind, row.subject)))
    out.console.print(table)
    out.console.print(f"{found.size:,} entries, root {found.root}", soft_wrap=True)
    if not found.checked:
        out.console.print(
            f"The signature was not checked: there is no {log.key_file(folder)}.", style="yellow", soft_wrap=True
        )


@ledger.command("prove")
@click.argument("index", type=click.IntRange(min=0))
@_folder_option
@click.option("--output", type=OutputPath(), help="Write here, best as .tlog-proof.")
@json_option
def prove(index: int, folder: Path, output: Path | None, json: bool) -> None:  # noqa: FBT001 - as above
    """Write a proof of entry INDEX that anybody can check offline (c2sp.org/tlog-proof@v1)."""
    from hauberk.core import outputs
    from hauberk.records import log

    found, out = log.prove(folder, index), Output(json)
    if output is not None:
        outputs.write(output, found.text)
    out.document(found.to_json() | {"output": None if output is None else str(output)})
    if output is not None:
        out.console.print(f"Entry {index} of {found.size:,} proven in {output}", markup=False, soft_wrap=True)
    elif not json:
        click.echo(found.text.decode(), nl=False)


@ledger.command("audit")
@_folder_option
@click.option(
    "--key", metavar="VKEY|PEM-FILE", help="The log's published key. Without it, the ledger's neighbour's."
)
@click.option(
    "--since",
    type=click.Path(path_type=Path, exists=True, dir_okay=False),
    help="A checkpoint kept from before: detects a roll-back and a fork.",
)
@json_option
def audit(folder: Path, key: str | None, since: Path | None, json: bool) -> None:  # noqa: FBT001 - as above
    """Trace every byte of the ledger to its signed root; exit code 1 when anything was altered."""
    from hauberk.core.progress import Progress
    from hauberk.records import log

    with Progress(visible=False if json else None).task("auditing the ledger") as task:
        found = log.audit(folder, key=key, since=since, task=task)
    out, seen = Output(json), found.audit
    out.document(found.to_json())
    out.console.print(f"[green]The ledger holds[/green]: {seen.size:,} entries, root {seen.root}", soft_wrap=True)
    out.console.print(
        f"{seen.files:,} files checked, {seen.ignored:,} ignored that the checkpoint does not cover.",
        soft_wrap=True,
    )
    out.console.print(f"Signed by key {found.key_id[:16]} as {one_line(seen.origin)}", markup=False, soft_wrap=True)
    if since is not None:
        out.console.print(
            f"It extends the checkpoint in {since}: no roll-back, no fork.", markup=False, soft_wrap=True
        )
    if not found.pinned:
        out.console.print(
            f"The key is not pinned: it was read from {log.key_file(folder)}, which whoever alters the ledger "
            "could alter too. Give the published key with --key.",
            style="yellow",
            markup=False,
            soft_wrap=True,
        )
