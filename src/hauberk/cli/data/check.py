"""`hauberk data check`: run the data checks of the main job on files, without a project."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import click

from hauberk.cli._output import Output, json_option

if TYPE_CHECKING:
    from hauberk.core.evidence import Measurement
    from hauberk.core.registry import Entry
    from hauberk.data.reading.loading import DataSpec, Split

_COLOURS = {"info": "dim", "low": "cyan", "medium": "yellow", "high": "red", "critical": "bold red"}


@click.command("check")
@click.argument("files", nargs=-1, required=True)
@click.option("--kind", type=click.Choice(["image", "table"]), help="The kind of data; default: a guess.")
@click.option("--target", default="", help="The column or key of the target; default: a guess.")
@click.option("--test", "tests", multiple=True, help="A file of the test side; may be repeated.")
@click.option("--group", default="", help="The column or key of the groups that stay together.")
@click.option("--drop", multiple=True, help="A column to leave out; may be repeated.")
@click.option("--limit", type=click.IntRange(min=4), help="Use at most this many rows.")
@click.option("--size", type=click.IntRange(1, 4096), help="Resize pictures in folders to this many pixels a side.")
@click.option("--check", "names", multiple=True, help="Run only this check; may be repeated.")
@click.option("--seed", default=0, show_default=True, help="Seed of the split and of sampling.")
@json_option
@click.pass_context
def check(  # noqa: PLR0913 - click's options
    ctx: click.Context,
    files: tuple[str, ...],
    *,
    kind: Any,  # noqa: ANN401 - one of click's choices
    target: str,
    tests: tuple[str, ...],
    group: str,
    drop: tuple[str, ...],
    limit: int | None,
    size: int | None,
    names: tuple[str, ...],
    seed: int,
    json: bool,
) -> None:
    """Run the data checks on FILES: tables, .npz archives, an idx pair, a folder of pictures, or sklearn:digits.

    Exit code 1 means a finding of severity high or above. Nothing in the files is executed.
    """
    import numpy as np

    from hauberk.core.progress import Progress
    from hauberk.data.checks import CHECKS
    from hauberk.data.reading.inspection import understood
    from hauberk.data.reading.loading import DataSpec, load

    out = Output(json)
    chosen = [CHECKS[name] for name in names] or list(CHECKS)
    kind, target, notes = understood(files, kind=kind, target=target, group=group, size=size)
    spec = DataSpec(kind, files, tests, target, group, drop=drop, limit=limit, size=size)
    split = load(spec, seed=seed)
    measured: list[tuple[Entry[Any], Measurement]] = []
    for entry in chosen:
        if split.train.kind not in entry.kinds:
            continue
        with Progress().task(f"Checking {entry.name}") as task:
            rng = np.random.default_rng(seed)
            measured.append((entry, entry.run(split, entry.make({}), rng=rng, task=task)))
    ok = not any(finding.severity.rank >= 3 for _, found in measured for finding in found.findings)
    out.document(_document(ok, spec, split, measured, notes))
    if not json:
        _show(out, ok, split, measured, notes)
    if not ok:
        ctx.exit(1)


def _document(
    ok: bool,  # noqa: FBT001 - the verdict itself
    spec: DataSpec,
    split: Split,
    measured: list[tuple[Entry[Any], Measurement]],
    notes: tuple[str, ...],
) -> dict[str, Any]:
    return {
        "ok": ok,
        "data": {
            "kind": split.train.kind,
            "target": spec.target,
            "classes": list(split.train.classes),
            "train": len(split.train),
            "test": len(split.test),
            "files": [asdict(file) for file in split.files],
            "notes": list(notes),
        },
        "checks": [
            {
                "name": entry.name,
                "practice": entry.practice,
                "worst": _worst(found),
                "metrics": {name: float(value) for name, value in found.metrics.items()},
                "findings": [finding.to_json() for finding in found.findings],
                "notes": list(found.notes),
            }
            for entry, found in measured
        ],
    }


def _worst(found: Measurement) -> str | None:
    if not found.findings:
        return None
    return str(max((finding.severity for finding in found.findings), key=lambda severity: severity.rank))


def _show(
    out: Output,
    ok: bool,  # noqa: FBT001 - the verdict itself
    split: Split,
    measured: list[tuple[Entry[Any], Measurement]],
    notes: tuple[str, ...],
) -> None:
    from rich.markup import escape
    from rich.table import Table

    for file in split.files:
        out.console.print(f"{escape(file.name)}  [dim]sha256 {file.sha256}[/]", soft_wrap=True)
    counts = f"{len(split.train):,} training and {len(split.test):,} test rows, {len(split.train.classes)} classes"
    out.console.print(f"{split.train.kind} data: {counts}")
    for note in notes:
        out.console.print(escape(note), style="dim")
    table = Table()
    for heading in ("check", "worst", "measured"):
        table.add_column(heading, overflow="fold")
    for entry, found in measured:
        worst = _worst(found)
        numbers = ", ".join(f"{name} {value:.4g}" for name, value in found.metrics.items())
        table.add_row(entry.name, f"[{_COLOURS[worst]}]{worst}[/]" if worst else "[green]nothing[/]", numbers)
    out.console.print(table)
    for entry, found in measured:
        for finding in found.findings[:5]:
            colour = _COLOURS[str(finding.severity)]
            head = f"[{colour}]{finding.severity!s:<8}[/] {entry.name}: {escape(str(finding.where))}: "
            out.console.print(f"{head}{escape(finding.what)}\n         [dim]{escape(finding.advice)}[/]")
        if len(found.findings) > 5:
            out.console.print(
                f"         [dim]... and {len(found.findings) - 5} more in {entry.name}; --json lists them[/]"
            )
    verdict = "[bold green]fine[/]: nothing of severity high was found."
    out.console.print(
        verdict if ok else "[bold red]not fine[/]: look at the high findings before you train on these data."
    )
