"""Prints the drift that `hauberk data verify --against` measured."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from hauberk.cli._output import Output
    from hauberk.data.verification.drift import Drifted

_SHOWN = 40


def show(out: Output, drifted: Drifted) -> None:
    """Print the columns that drifted, and the number of the others."""
    from rich.markup import escape
    from rich.table import Table

    columns = {measure.column for measure in drifted.measures}
    moved = [measure for measure in drifted.measures if measure.drifted]
    names = {measure.column for measure in moved}
    out.console.print(
        f"Drift: {len(names):,} of {len(columns):,} columns, {drifted.rows:,} rows against {drifted.reference_rows:,}."
    )
    if moved:
        table = Table()
        for heading in ("column", "measure", "effect", "limit", "adjusted p", "what"):
            table.add_column(heading, overflow="fold")
        for measure in moved[:_SHOWN]:
            p = "" if measure.adjusted is None else f"{measure.adjusted:.2g}"
            effect = f"[red]{measure.effect:.3f}[/]"
            table.add_row(
                escape(measure.column),
                measure.name,
                effect,
                f"{measure.limit:g}",
                p,
                escape(ascii(measure.note)[1:-1]),
            )
        out.console.print(table)
        if len(moved) > _SHOWN:
            out.console.print(f"[dim]... and {len(moved) - _SHOWN:,} more; --json lists them[/]")
    for column, why in drifted.skipped[:5]:
        out.console.print(f"[dim]{escape(column)}: not compared: {escape(why)}[/]")
