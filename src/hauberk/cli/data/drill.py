"""`hauberk data drill`: poison a copy of the data in memory, and show what would be detected."""

from __future__ import annotations

from typing import Any

import click

from hauberk.cli._output import Output, json_option


@click.command("drill")
@click.argument("files", nargs=-1, required=True)
@click.option("--kind", type=click.Choice(["image", "table"]), help="The kind of data; default: a guess.")
@click.option("--target", default="", help="The column or key of the target; default: a guess.")
@click.option("--drop", multiple=True, help="A column to leave out; may be repeated.")
@click.option("--attack", "attacks", multiple=True, help="A poison to try; may be repeated. Default: all that fit.")
@click.option(
    "--share",
    type=click.FloatRange(0, 0.5, min_open=True, max_open=True),
    help="Share of poisoned rows; default: each poison's own.",
)
@click.option("--detector", "names", multiple=True, help="Use only this detector; may be repeated.")
@click.option(
    "--seeds", type=click.IntRange(1, 100), default=1, show_default=True, help="Number of copies per poison."
)
@click.option(
    "--false-alarms",
    type=click.FloatRange(0, 0.5, min_open=True),
    default=0.005,
    show_default=True,
    help="The share of honest rows that may be flagged.",
)
@click.option(
    "--limit", type=click.IntRange(min=50), default=10_000, show_default=True, help="Number of rows to use."
)
@click.option("--size", type=click.IntRange(1, 4096), help="Resize pictures in folders to this many pixels a side.")
@click.option(
    "--seed", default=0, show_default=True, help="Seed of the sample, when there are more rows than the limit."
)
@json_option
def drill(  # noqa: PLR0913 - click's options
    files: tuple[str, ...],
    *,
    kind: Any,  # noqa: ANN401 - one of click's choices
    target: str,
    drop: tuple[str, ...],
    attacks: tuple[str, ...],
    share: float | None,
    names: tuple[str, ...],
    seeds: int,
    false_alarms: float,
    limit: int,
    size: int | None,
    seed: int,
    json: bool,
) -> None:
    """Poison a copy of FILES with each known poison that applies, screen it, and print what would be detected.

    The copy is in memory: no file is written or changed. The first line shows the unchanged data.
    """
    from hauberk.core.progress import Progress
    from hauberk.data.poison.drilling import drill as run
    from hauberk.data.poison.drilling import fitting
    from hauberk.data.reading.inspection import understood
    from hauberk.data.reading.loading import DataSpec, load_whole

    out = Output(json)
    kind, target, _ = understood(files, kind=kind, target=target, size=size)
    fitting(kind, attacks)  # a wrong name is reported before anything is read
    chosen: dict[str, dict[str, Any]] | None = {name: {} for name in names} if names else None
    spec = DataSpec(kind, files, (), target, drop=drop, limit=limit, size=size)
    with Progress().task("Drilling") as task:
        side = load_whole(spec, seed=seed).side
        results = run(
            side,
            attacks=attacks,
            share=share,
            seeds=seeds,
            false_alarms=false_alarms,
            detectors=chosen,
            task=task,
        )
        found = list(results)
    document = {
        "type": "hauberk.drill",
        "version": 1,
        "rows": len(side),
        "classes": list(side.classes),
        "false_alarms": false_alarms,
        "results": [one.to_json() for one in found],
    }
    out.document(document)
    if not json:
        _show(out, document)


def _show(out: Output, document: dict[str, Any]) -> None:
    from rich.markup import escape
    from rich.table import Table

    rate = document["false_alarms"]
    table = Table(title=f"What would have been caught, of {document['rows']:,} rows", title_justify="left")
    for heading, justify in (
        ("poison", "left"),
        ("rows", "right"),
        ("caught", "right"),
        ("in reach", "right"),
        ("false alarms", "right"),
        ("verdict", "left"),
        ("found by", "left"),
        ("seconds", "right"),
    ):
        table.add_column(heading, justify=justify, overflow="fold")  # type: ignore[arg-type]
    for one in document["results"]:
        if one["problem"]:
            table.add_row(one["attack"], "", "", "", "", f"[dim]{escape(one['problem'])}[/]", "", "")
            continue
        honest = one["attack"] == "nothing"
        share = one["caught"]
        colour = "green" if share >= 0.9 else "yellow" if share >= 0.5 else "bold red"
        caught = "" if honest else f"[{colour}]{share:.0%}[/]"
        reach = "" if honest else f"{one['in_reach']:.0%}"
        alarms = f"{one['alarms']:.2%}"
        verdict = "poison" if one["found"] else "no poison"
        good = one["found"] != honest
        by = ", ".join(f"{name} {count:,}" for name, count in list(one["detectors"].items())[:3])
        table.add_row(
            one["attack"],
            f"{one['poison']:,}" if not honest else "",
            caught,
            reach,
            alarms if one["alarms"] <= 1.5 * rate else f"[yellow]{alarms}[/]",
            f"[{'green' if good else 'bold red'}]{verdict}[/]",
            by,
            f"{one['seconds']:.1f}",
        )
    out.console.print(table)
    out.console.print(
        f"[dim]caught: flagged by the defaults. in reach: above all but {rate:.1%} of the honest rows. Nothing was written.[/]"
    )
