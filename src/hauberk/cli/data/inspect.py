"""`hauberk data inspect`: describe unknown files."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING

import click

from hauberk.cli._output import Output, json_option

if TYPE_CHECKING:
    from hauberk.data.reading.inspection import Guess


@click.command("inspect")
@click.argument("files", nargs=-1, required=True)
@click.option("--target", default="", help="The column or key of the target; default: a guess.")
@click.option("--size", type=click.IntRange(1, 4096), help="Resize pictures in folders to this many pixels a side.")
@json_option
def inspect_files(files: tuple[str, ...], target: str, size: int | None, json: bool) -> None:  # noqa: FBT001 - a flag of the command line
    """Describe FILES: rows, classes, columns with their ranges, and the likely target."""
    from hauberk.data.reading.inspection import inspect

    out = Output(json)
    guess = inspect(files, target=target, size=size)
    out.document(asdict(guess) | {"classes": dict(guess.classes)})
    if not json:
        _show_guess(out, guess)


def _show_guess(out: Output, guess: Guess) -> None:
    from rich.markup import escape
    from rich.table import Table

    side = f" and {guess.test_rows:,} test" if guess.test_rows else ""
    out.console.print(f"{guess.kind} data, {guess.rows:,}{side} rows of shape {guess.shape}")
    if guess.target:
        out.console.print(f"target {escape(guess.target)}")
    shown = ", ".join(f"{name} ({count:,})" for name, count in guess.classes[:12])
    out.console.print(escape(f"{len(guess.classes)} classes: {shown}{' ...' if len(guess.classes) > 12 else ''}"))
    if guess.columns:
        table = Table()
        for heading in ("column", "kind", "from", "to", "different", "missing"):
            table.add_column(heading, overflow="fold")
        for column in guess.columns:
            ends = ["" if end is None else f"{end:g}" for end in (column.low, column.high)]
            row = (str(column.kind), *ends, f"{column.distinct:,}", f"{column.missing:,}")
            table.add_row(escape(column.name), *row)
        out.console.print(table)
    for note in guess.notes:
        out.console.print(escape(note), style="dim")
