"""`hauberk data profile`: profile a table and list what looks suspicious."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from hauberk.cli._output import Output, OutputPath, json_option
from hauberk.core.text import one_line

if TYPE_CHECKING:
    from hauberk.data.verification.profiling import ColumnProfile, Profile

_COLOURS = {"info": "dim", "low": "cyan", "medium": "yellow", "high": "red", "critical": "bold red"}
_BLOCKS = " ▁▂▃▄▅▆▇█"
_SHOWN = 60


@click.command("profile")
@click.argument("place", metavar="FILE")
@click.option("--target", default="", help="The target column: its association with the others is measured.")
@click.option("--html", type=OutputPath(), help="Also write the profile as one HTML page.")
@json_option
def profile_table(place: str, *, target: str, html: Path | None, json: bool) -> None:
    """Profile FILE: Parquet, Arrow, CSV, TSV or JSON Lines; one file, a pattern, a folder of partitions, or a URL.

    Types, spread, missing values, distinct values, the relation to the target, and columns that look suspicious:
    leaked targets, identifiers, constants, copies, odd characters, categories spelt in two ways.
    """
    from hauberk.cli.data.verify import plain
    from hauberk.core import outputs
    from hauberk.core.progress import Progress
    from hauberk.data.verification.opening import opened
    from hauberk.data.verification.profile_page import page
    from hauberk.data.verification.profiling import profile

    out = Output(json)
    with opened(place) as table, Progress().task("Looking at every row") as task:
        found = profile(table, target=target, task=task)
    if html is not None:
        outputs.write(html, page(found).encode("utf-8"))
    out.document(plain(found.to_json()))
    if not json:
        _show(out, found)
        if html is not None:
            out.console.print(f"{html} is written.", markup=False, soft_wrap=True)


def _show(out: Output, found: Profile) -> None:
    from rich.markup import escape
    from rich.table import Table

    out.console.print(f"{escape(found.name)}: {found.rows:,} rows, {len(found.columns):,} columns", soft_wrap=True)
    table = Table()
    headings = ["column", "type", "spread", "values", "missing", "distinct"] + (
        ["explains"] if found.target else []
    )
    for heading in headings:
        table.add_column(
            heading,
            overflow="fold",
            no_wrap=heading == "spread",
            justify="right" if heading in headings[4:] else "left",
        )
    for column in found.columns[:_SHOWN]:
        one = column.summary
        cells = [
            _name(one.name),
            one.kind,
            _spark(column),
            escape(_values(column)),
            f"{one.nulls / max(1, found.rows):.1%}",
        ]
        cells.append(f"{one.distinct:,}" if one.distinct else "")
        if found.target:
            target = "[dim]target[/]" if one.name == found.target else ""
            cells.append(target if column.association is None else f"{column.association:.1%}")
        table.add_row(*cells)
    out.console.print(table)
    if len(found.columns) > _SHOWN:
        out.console.print(f"[dim]... and {len(found.columns) - _SHOWN:,} more; --json and --html list them[/]")
    for finding in found.findings[:_SHOWN]:
        colour = _COLOURS[str(finding.severity)]
        out.console.print(f"[{colour}]{finding.severity!s:<8}[/] {escape(one_line(finding.what))}")
        out.console.print(f"         [dim]{escape(one_line(finding.advice))}[/]")
    if not found.findings:
        out.console.print("[green]Nothing looks suspicious.[/]")


def _name(text: str) -> str:
    from rich.markup import escape

    return escape(one_line(text))


def _spark(column: ColumnProfile) -> str:
    counts = column.shape.counts or tuple(rows for _, rows in column.shape.top)
    tallest = max(counts, default=0)
    if not tallest:
        return ""
    pairs = [sum(counts[at : at + 2]) for at in range(0, len(counts), 2)] if len(counts) > 12 else list(counts)
    tallest = max(pairs)
    # Every nonzero count is shown: the lowest block means zero.
    return "".join(_BLOCKS[max(1, round(8 * count / tallest))] if count else " " for count in pairs)


def _values(column: ColumnProfile) -> str:
    from hauberk.data.verification.profile_page import spread

    one = column.summary
    if column.shape.top:
        return ", ".join(ascii(value)[1:-1][:14] for value, _ in column.shape.top[:3])
    words = spread(one)
    return f"length {words}" if words and one.kind == "text" else words
