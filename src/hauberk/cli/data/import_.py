"""`hauberk data import`: register files as a set of this project, with a manifest, in the ledger."""

from __future__ import annotations

from pathlib import Path

import click

from hauberk.cli._output import Output, counted, json_option
from hauberk.cli.data._project import project_option

_SHOWN = 20


@click.command("import")
@click.argument("files", nargs=-1, required=True)
@click.option("--name", required=True, help="The name of the set.")
@click.option("--source", default="", help="Its source, as text: a supplier, a URL, a contract.")
@click.option("--by", help="Who imports it; default: HAUBERK_PRINCIPAL, or user@host.")
@click.option("--target", default="", help="The target column; with it, audits screen new rows.")
@click.option(
    "--schema",
    type=click.Path(path_type=Path, exists=True, dir_okay=False),
    help="A schema file for audits to verify the set against.",
)
@click.option("--fast", is_flag=True, help="Trust size and time of unchanged files; hash only new ones.")
@project_option
@json_option
def import_files(  # noqa: PLR0913 - click's options
    files: tuple[str, ...],
    *,
    name: str,
    source: str,
    by: str | None,
    target: str,
    schema: Path | None,
    fast: bool,
    folder: Path,
    json: bool,
) -> None:
    """Register FILES (files, folders or URLs) as the set NAME: every part hashed, the root signed and logged.

    The files stay in place. Run it again after an intended change: it records the new state, and `hauberk data audit`
    reports every change that was not recorded.
    """
    from rich.markup import escape

    from hauberk.cli._principal import principal
    from hauberk.core.progress import Progress
    from hauberk.lifecycle.datasets.sets import register
    from hauberk.project.opening import open_workshop

    out = Output(json)
    progress = Progress(visible=False if json else None)
    with (
        open_workshop(folder, by=principal(by), job="data import") as workshop,
        progress.task(f"Hashing {name}") as task,
    ):
        found = register(
            workshop,
            name,
            files,
            folder=folder,
            source=source,
            target=target,
            schema=None if schema is None else schema.read_bytes(),
            fast=fast,
            task=task,
        )
    out.document(
        {
            "set": name,
            "root": found.state.root,
            "entry": found.entry,
            "files": len(found.state.files),
            "bytes": found.state.size,
            "hashed": found.hashed,
            "believed": found.believed,
            "changes": [change.to_json() for change in found.changes],
        }
    )
    say = out.console.print
    size = f"{counted(len(found.state.files), 'file')}, {found.state.size:,} bytes"
    say(f"[bold]{escape(name)}[/]  {size}\nroot  {found.state.root}", soft_wrap=True)
    if found.entry is None:
        say("This state is recorded already; nothing was logged.")
        return
    for change in found.changes[:_SHOWN]:
        say(f"  {change}", markup=False, soft_wrap=True)
    if len(found.changes) > _SHOWN:
        say(f"  and {len(found.changes) - _SHOWN:,} more changes; --json lists them")
    if found.believed:
        say(f"[yellow]{found.believed:,} bytes were taken over unread, on the file system's word.[/]")
    say(f"[green]Logged as entry {found.entry}.[/]")
