"""`hauberk data repair`: screen files, write the kept rows to one file and the suspects with their reasons to another."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from hauberk.cli._output import Output, OutputPath, json_option
from hauberk.core.text import one_line


@click.command("repair")
@click.argument("files", nargs=-1, required=True)
@click.option("--kind", type=click.Choice(["image", "table"]), help="The kind of data; default: a guess.")
@click.option("--target", default="", help="The column or key of the target; default: a guess.")
@click.option("--source", default="", help="The column or key of the sender of each row.")
@click.option("--drop", multiple=True, help="A column to ignore; it is written unchanged. May be repeated.")
@click.option("--out", required=True, type=OutputPath(), help="File for the kept rows.")
@click.option("--quarantine", required=True, type=OutputPath(), help="File for the suspects.")
@click.option("--relabel", is_flag=True, help="Relabel rows whose label alone is suspect.")
@click.option(
    "--false-alarms",
    type=click.FloatRange(0, 0.5, min_open=True),
    default=0.005,
    show_default=True,
    help="The share of honest rows that may be flagged.",
)
@click.option("--detector", "names", multiple=True, help="Use only this detector; may be repeated.")
@click.option("--seed", default=0, show_default=True, help="Seed of the fitted models.")
@json_option
def repair(  # noqa: PLR0913 - click's options
    files: tuple[str, ...],
    *,
    kind: Any,  # noqa: ANN401 - one of click's choices
    target: str,
    source: str,
    drop: tuple[str, ...],
    out: Path,
    quarantine: Path,
    relabel: bool,
    false_alarms: float,
    names: tuple[str, ...],
    seed: int,
    json: bool,
) -> None:
    """Screen FILES and write kept rows to --out and suspects to --quarantine; FILES stay unchanged.

    Every row is in exactly one of the two. Tables are written as .parquet, .csv or .jsonl, pictures as .npz.
    """
    from hauberk.core.progress import Progress
    from hauberk.data.poison.detectors import Rows
    from hauberk.data.poison.repair import repair as plan
    from hauberk.data.poison.repair_files import write_repaired
    from hauberk.data.poison.screening import screen_rows
    from hauberk.data.reading.inspection import understood
    from hauberk.data.reading.loading import DataSpec, load_whole

    shown = Output(json)
    kind, target, _ = understood(files, kind=kind, target=target)
    spec = DataSpec(kind, files, (), target, drop=drop, source=source)
    with Progress().task("Screening") as task:
        side = load_whole(spec, seed=seed).side
        chosen: dict[str, dict[str, Any]] | None = {name: {} for name in names} if names else None
        rows = Rows(side.kind, side, side.sources, (), seed)
        found = screen_rows(rows, false_alarms=false_alarms, detectors=chosen, task=task)
    done = plan(found, side.y, relabel=relabel)
    lost = [side.classes[label] for label in done.lost(side.y)]
    with Progress().task("Writing"):
        written = write_repaired(spec, found, done, clean=out, quarantine=quarantine)
    document = {
        "type": "hauberk.repair",
        "version": 1,
        "found": found.found,
        "rows": written.rows,
        "clean": written.clean,
        "quarantined": written.quarantined,
        "relabelled": written.relabelled,
        "false_alarms": false_alarms,
        "out": str(out),
        "quarantine": str(quarantine),
        "touched": [
            {"row": row, "done": "relabelled" if done.relabelled[row] else "quarantined", "reason": why}
            for row, why in sorted(done.reasons.items())
        ],
        "classes_lost": lost,
        "notes": list(found.notes),
    }
    shown.document(document)
    if not json:
        _show(shown, document)


def _show(out: Output, document: dict[str, Any]) -> None:
    from collections import Counter

    from rich.markup import escape

    for note in document["notes"]:
        out.console.print(f"[dim]- {escape(note)}[/]", soft_wrap=True)
    verdict = "[bold red]poison found[/]" if document["found"] else "[green]no more than false alarms[/]"
    out.console.print(
        f"{verdict}: {document['rows']:,} rows = {document['clean']:,} kept + {document['quarantined']:,} quarantined"
    )
    if document["relabelled"]:
        out.console.print(f"{document['relabelled']:,} of the kept rows have a new label")
    for name in document["classes_lost"]:
        out.console.print(
            f"[bold red]no row of class {escape(one_line(repr(name)))} is left[/]: look at the quarantine."
        )
    common = Counter(entry["reason"].split(";")[0][:100] for entry in document["touched"]).most_common(5)
    for reason, count in common:
        out.console.print(f"  {count:>6,}  {escape(one_line(reason))}", soft_wrap=True)
    out.console.print(f"kept        {escape(document['out'])}", soft_wrap=True)
    out.console.print(
        f"quarantined {escape(document['quarantine'])}  [dim]with the reasons for each row[/]", soft_wrap=True
    )
