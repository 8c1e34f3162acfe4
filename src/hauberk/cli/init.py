"""`hauberk init`: look at the data and write a commented hauberk.toml, a starter model and a .gitignore."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from hauberk.cli._output import Output, json_option

if TYPE_CHECKING:
    from hauberk.project.starting.init import Proposal


@click.command()
@click.argument("folder", metavar="[DIR]", default=".", type=click.Path(file_okay=False, path_type=Path))
@click.option(
    "--data",
    "files",
    metavar="FILE",
    multiple=True,
    help="A data file, or a set that ships with scikit-learn: sklearn:digits. May be repeated. "
    "Default: the data files in DIR.",
)
@click.option(
    "--test-data", "test_files", metavar="FILE", multiple=True, help="A file of the test side; may be repeated."
)
@click.option("--target", metavar="COLUMN", help="The column to predict; default: a guess.")
@click.option("--kind", type=click.Choice(["image", "table"]), help="The kind of data; default: a guess.")
@click.option("--name", metavar="NAME", help="The project's name; default: the folder's.")
@click.option("--force", is_flag=True, help="Replace an existing hauberk.toml.")
@json_option
def init(  # noqa: PLR0913 - the options of the command
    *,
    folder: Path,
    files: tuple[str, ...],
    test_files: tuple[str, ...],
    target: str | None,
    kind: str | None,
    name: str | None,
    force: bool,
    json: bool,
) -> None:
    """Look at the data and write a commented hauberk.toml that runs.

    A starter model.py and a .gitignore are written too if DIR has none. An existing hauberk.toml is replaced only with
    --force.
    """
    from hauberk.project.starting import init as room

    proposal = room.propose(folder, files=files, test_files=test_files, target=target, kind=kind, name=name)
    written = room.write(folder, proposal, force=force)
    out = Output(json)
    out.document(
        {
            "written": [str(path) for path in written],
            "name": proposal.name,
            "kind": proposal.seen.kind,
            "target": proposal.seen.target or None,
            "group": proposal.seen.group or None,
            "rows": proposal.seen.rows,
            "classes": list(proposal.seen.classes),
            "notes": list(proposal.seen.notes),
        }
    )
    _show(out, proposal, folder, written)


def _show(out: Output, proposal: Proposal, folder: Path, written: list[Path]) -> None:
    from rich.markup import escape
    from rich.table import Table

    from hauberk.project.starting.text import summary

    seen = proposal.seen
    table = Table(title="What the data look like", show_header=False, title_justify="left")
    table.add_column(style="bold")
    table.add_column(overflow="fold")
    shown = ", ".join(seen.classes[:10]) + (", ..." if len(seen.classes) > 10 else "")
    rows = {
        "files": ", ".join((*seen.files, *seen.test_files)),
        "kind": seen.kind,
        "rows": f"{seen.rows:,}",
        "shape": " x ".join(map(str, seen.shape)) if seen.kind == "image" else "",
        "columns": summary(seen.columns) if seen.kind == "table" else "",
        "target": seen.target,
        "group": seen.group,
        "classes": f"{len(seen.classes)}: {shown}; the largest has {seen.majority:.0%} of the rows",
        "note": "\n".join(seen.notes),
    }
    for label, text in rows.items():
        if text:
            table.add_row(label, escape(text))
    out.console.print(table)
    for path in written:
        out.console.print(f"[green]wrote[/] {escape(str(path))}")
    where = "" if folder == Path() else f" {folder}"
    out.console.print(
        f"Next: read [bold]{escape(str(folder / 'hauberk.toml'))}[/], above all its threats; "
        f"then [bold]hauberk protect{escape(where)}[/]."
    )
