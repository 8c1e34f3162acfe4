"""`hauberk data screen`: rank the rows that look like poison, with reasons and senders."""

from __future__ import annotations

import csv
import io
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from hauberk.cli._output import Output, OutputPath, json_option
from hauberk.core.text import one_line

if TYPE_CHECKING:
    from hauberk.data.poison.screening import Screening
    from hauberk.data.reading.loading import Whole

_FIELDS = ("rank", "row", "where", "score", "detector", "label", "suggested", "source", "reason")


@click.command("screen")
@click.argument("files", nargs=-1, required=True)
@click.option("--kind", type=click.Choice(["image", "table"]), help="The kind of data; default: a guess.")
@click.option("--target", default="", help="The column or key of the target; default: a guess.")
@click.option("--source", default="", help="The column or key of the sender of each row.")
@click.option("--drop", multiple=True, help="A column to leave out; may be repeated.")
@click.option("--limit", type=click.IntRange(min=50), help="Use at most this many rows.")
@click.option("--size", type=click.IntRange(1, 4096), help="Resize pictures in folders to this many pixels a side.")
@click.option(
    "--false-alarms",
    type=click.FloatRange(0, 0.5, min_open=True),
    default=0.005,
    show_default=True,
    help="The share of honest rows that may be flagged.",
)
@click.option("--detector", "names", multiple=True, help="Run only this detector; may be repeated.")
@click.option("--most", type=click.IntRange(min=0), default=15, show_default=True, help="Number of rows to show.")
@click.option("--out", type=OutputPath(), help="Write the flagged rows here, .csv or .json.")
@click.option("--seed", default=0, show_default=True, help="Seed of the fitted models.")
@json_option
@click.pass_context
def screen(  # noqa: PLR0913 - click's options
    ctx: click.Context,
    files: tuple[str, ...],
    *,
    kind: Any,  # noqa: ANN401 - one of click's choices
    target: str,
    source: str,
    drop: tuple[str, ...],
    limit: int | None,
    size: int | None,
    false_alarms: float,
    names: tuple[str, ...],
    most: int,
    out: Path | None,
    seed: int,
    json: bool,
) -> None:
    """Rank the rows of FILES that look like poison, with the reason: tables, .npz, an idx pair, a folder of pictures.

    Exit code 1 means that more rows are flagged than false alarms can explain. Nothing in the files is executed or changed.
    """
    from hauberk.core.progress import Progress
    from hauberk.data.poison.detectors import Rows
    from hauberk.data.poison.screening import screen_rows
    from hauberk.data.reading.inspection import understood
    from hauberk.data.reading.loading import DataSpec, load_whole

    _check_name(out)
    shown = Output(json)
    kind, target, notes = understood(files, kind=kind, target=target, size=size)
    spec = DataSpec(kind, files, (), target, drop=drop, limit=limit, size=size, source=source)
    with Progress().task("Screening") as task:
        whole = load_whole(spec, seed=seed)
        side = whole.side
        rows = Rows(side.kind, side, side.sources, (), seed)
        chosen: dict[str, dict[str, Any]] | None = {name: {} for name in names} if names else None
        found = screen_rows(rows, false_alarms=false_alarms, detectors=chosen, task=task)
    listed = _listed(whole, found)
    document = _document(spec, whole, found, listed, notes)
    if out is not None:
        _write(out, document, listed)
    shown.document(document)
    if not json:
        _show(shown, whole, found, listed[:most], notes=notes, path=out)
    if found.found:
        ctx.exit(1)


def _listed(whole: Whole, found: Screening) -> list[dict[str, Any]]:
    """Return the flagged rows, the most suspect first, numbered as in the files."""
    side = whole.side
    return [
        {
            "rank": rank + 1,
            "row": int(side.rows[entry["row"]]),
            "where": whole.locate(int(side.rows[entry["row"]])),
            "score": entry["score"],
            "detector": entry["detector"],
            "label": side.classes[side.y[entry["row"]]],
            "suggested": entry["suggested"],
            "source": None if side.sources is None else str(side.sources[entry["row"]]),
            "reason": entry["reason"],
        }
        for rank, entry in enumerate(found.listed())
    ]


def _document(
    spec: Any,  # noqa: ANN401 - a DataSpec
    whole: Whole,
    found: Screening,
    listed: list[dict[str, Any]],
    notes: tuple[str, ...],
) -> dict[str, Any]:
    return {
        "type": "hauberk.screening",
        "version": 1,
        "found": found.found,
        "rows": len(whole.side),
        "flagged": len(listed),
        "false_alarms": found.false_alarms,
        "data": {
            "kind": whole.side.kind,
            "target": spec.target,
            "classes": list(whole.side.classes),
            "files": [asdict(file) for file in whole.files],
        },
        "suspects": listed,
        "sources": [asdict(source) for source in found.sources],
        "notes": [*notes, *found.notes],
        "seconds": {name: round(value, 2) for name, value in found.seconds.items()},
    }


def _check_name(out: Path | None) -> None:
    from hauberk.core.errors import InvalidInput

    if out is not None and out.suffix.lower() not in {".csv", ".json"}:
        raise InvalidInput(
            f"--out {out} ends with {out.suffix or 'nothing'!r}; expected a name that ends with .csv or .json."
        )


def _write(out: Path, document: dict[str, Any], listed: list[dict[str, Any]]) -> None:
    import json

    from hauberk.core import outputs

    if out.suffix.lower() == ".json":
        outputs.write(out, json.dumps(document, indent=2, ensure_ascii=False, allow_nan=False).encode())
        return
    text = io.StringIO()
    writer = csv.DictWriter(text, _FIELDS)
    writer.writeheader()
    for entry in listed:
        writer.writerow({name: _cell(value) for name, value in entry.items()})
    outputs.write(out, text.getvalue().encode())


def _cell(value: Any) -> Any:  # noqa: ANN401 - a cell
    """Return the value; text that a spreadsheet would run as a formula is quoted, because poisoned rows may hold some."""
    return f"'{value}" if isinstance(value, str) and value[:1] in {"=", "+", "-", "@", "\t", "\r"} else value


def _clean(text: str) -> str:
    """Return text from the data for a terminal: on one line, with markup escaped."""
    from rich.markup import escape

    return escape(one_line(text))


def _show(  # noqa: PLR0913 - what a page shows
    out: Output,
    whole: Whole,
    found: Screening,
    listed: list[dict[str, Any]],
    *,
    notes: tuple[str, ...],
    path: Path | None,
) -> None:
    side, flagged = whole.side, int(found.flags.sum())
    out.console.print(f"{len(side):,} rows of {side.kind} data, {len(side.classes)} classes", style="dim")
    for note in (*notes, *found.notes):
        out.console.print(f"[dim]- {_clean(note)}[/]", soft_wrap=True)
    if listed:
        _suspects(out, listed, flagged, several=len(whole.files) > 1 or side.kind == "image")
    if found.sources:
        _sources(out, found)
    allowed = found.false_alarms * len(side)
    count = f"{flagged:,} of {len(side):,} rows ({flagged / len(side):.2%}) are flagged"
    usual = f"up to {allowed:,.0f} false alarms are expected on honest data"
    if found.found:
        out.console.print(f"[bold red]poison found[/]: {count}; {usual}. Review them before you train.")
    else:
        out.console.print(f"[bold green]no poison found[/]: {count}; {usual}.")
    if path is not None:
        out.console.print(f"All flagged rows: {_clean(str(path))}", soft_wrap=True)
    elif flagged > len(listed):
        out.console.print("[dim]--out suspects.csv writes all of them, --most N shows more.[/]")


def _suspects(out: Output, listed: list[dict[str, Any]], flagged: int, *, several: bool) -> None:
    from rich.table import Table

    table = Table(title=f"The {len(listed)} most suspect of {flagged:,} flagged rows", title_justify="left")
    table.add_column("where" if several else "row", justify="left" if several else "right", overflow="fold")
    table.add_column("score", justify="right")
    table.add_column("label", overflow="fold")
    table.add_column("looks like", overflow="fold")
    table.add_column("why", overflow="fold", ratio=1)
    for entry in listed:
        colour = "bold red" if entry["score"] >= 4 else "red" if entry["score"] >= 3 else "yellow"
        table.add_row(
            _clean(entry["where"]) if several else str(entry["row"]),
            f"[{colour}]{entry['score']:.1f}[/]",
            _clean(entry["label"]),
            "" if entry["suggested"] is None else _clean(entry["suggested"]),
            f"[cyan]{entry['detector']}[/] {_clean(entry['reason'])}",
        )
    out.console.print(table)


def _sources(out: Output, found: Screening) -> None:
    from rich.table import Table

    table = Table(title="Who sent the suspects", title_justify="left")
    for heading in ("source", "rows", "suspects", "expected", "times as many", "p, all sources counted"):
        table.add_column(heading, justify="left" if heading == "source" else "right", overflow="fold")
    for source in found.sources[:15]:
        colour = "bold red" if source.guilty else "default"
        table.add_row(
            f"[{colour}]{_clean(source.source)}[/]",
            f"{source.rows:,}",
            f"{source.suspects:,}",
            f"{source.expected:,.1f}",
            f"{source.lift:.1f}",
            f"{source.q:.2g}",
        )
    out.console.print(table)
    if len(found.sources) > 15:
        out.console.print(f"[dim]... and {len(found.sources) - 15} more sources; --json lists them.[/]")
