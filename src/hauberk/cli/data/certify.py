"""`hauberk data certify`: how many poisoned rows a vote of models trained on parts of the data provably withstands."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from hauberk.cli._output import Output, json_option

if TYPE_CHECKING:
    from hauberk.data.reading.dataset import Split
    from hauberk.models.spec import Spec
    from hauberk.training.aggregation import Certificates, Plan

_BAR = 40
_LINES = 16


@click.command("certify")
@click.argument("files", nargs=-1, required=True)
@click.option("--kind", type=click.Choice(["image", "table"]), default="table", show_default=True)
@click.option("--target", default="", help="The column or key of the target.")
@click.option("--test", "tests", multiple=True, help="A file of the test side; may be repeated.")
@click.option("--group", default="", help="The column or key of the groups that stay together.")
@click.option("--drop", multiple=True, help="A column to leave out; may be repeated.")
@click.option("--limit", type=click.IntRange(min=4), help="Use at most this many rows.")
@click.option("--size", type=click.IntRange(1, 4096), help="Resize pictures in folders to this many pixels a side.")
@click.option("--partitions", type=click.IntRange(2, 10_000), default=50, show_default=True, help="Parts (k).")
@click.option(
    "--spread",
    type=click.IntRange(1, 64),
    default=1,
    show_default=True,
    help="Models that are trained on each row (d).",
)
@click.option(
    "--learner",
    default="",
    help="The model: trees, logistic or net; default: logistic for tables, net for pictures.",
)
@click.option("--workers", type=click.IntRange(1, 1024), help="Processes; default: one per core.")
@click.option("--baseline/--no-baseline", default=True, show_default=True, help="Also train one model on all rows.")
@click.option("--seed", default=0, show_default=True, help="Seed of the split and the models.")
@json_option
def certify(  # noqa: PLR0913 - click's options
    files: tuple[str, ...],
    *,
    kind: Any,  # noqa: ANN401 - one of click's choices
    target: str,
    tests: tuple[str, ...],
    group: str,
    drop: tuple[str, ...],
    limit: int | None,
    size: int | None,
    partitions: int,
    spread: int,
    learner: str,
    workers: int | None,
    baseline: bool,
    seed: int,
    json: bool,
) -> None:
    """Train a vote of models on parts of FILES and print its certified accuracy by number of poisoned rows.

    Each model is trained on its own part, chosen by a hash of each row. A prediction with a certificate of r does not
    change when any r rows are inserted, removed or relabelled. Nothing in the files is executed.
    """
    from time import monotonic

    from hauberk.core.progress import Progress
    from hauberk.data.reading.loading import DataSpec, load
    from hauberk.models.spec import Spec
    from hauberk.training import aggregation

    out = Output(json)
    split = load(DataSpec(kind, files, tests, target, group, drop=drop, limit=limit, size=size), seed=seed)
    side = split.train
    spec = Spec(side.kind, tuple(side.x.shape[1:]), len(side.classes), side.columns)
    plan = aggregation.Plan(partitions, spread)
    learner = learner or ("logistic" if kind == "table" else "net")
    started = monotonic()
    with Progress().task(f"Training {plan.models} models") as task:
        votes = aggregation.vote(
            spec, side.x, side.y, split.test.x, plan=plan, learner=learner, seed=seed, workers=workers, task=task
        )
    found = aggregation.certify(votes, classes=spec.classes, plan=plan)
    seconds = monotonic() - started
    whole = _whole(spec, split, learner, seed) if baseline else None
    document = _document(split, plan, learner, found, whole) | {"seconds": round(seconds, 2)}
    out.document(document)
    if not json:
        _show(out, document)


def _whole(spec: Spec, split: Split, learner: str, seed: int) -> float:
    """Return the test accuracy of one model of the same kind that was trained on all rows: the cost of the vote."""
    import numpy as np

    from hauberk.core.progress import Progress
    from hauberk.training.aggregation import LEARNERS, Lesson

    entry, lesson = LEARNERS[learner], Lesson(spec, split.train.x, split.train.y)
    with Progress().task("Training one model on all rows") as task:
        predict = entry.run(lesson, entry.make({}), rng=np.random.default_rng(seed), task=task)
    return float((predict(split.test.x) == split.test.y).mean())


def _document(split: Split, plan: Plan, learner: str, found: Certificates, whole: float | None) -> dict[str, Any]:
    import numpy as np

    y = split.test.y
    return {
        "version": 1,
        "train": len(split.train),
        "test": len(split.test),
        "classes": list(split.train.classes),
        "files": [{"name": file.name, "sha256": file.sha256} for file in split.files],
        "partitions": plan.partitions,
        "spread": plan.spread,
        "learner": learner,
        "accuracy": found.accuracy_at(0, y),
        "accuracy_of_one_model": whole,
        "always_largest_class": float(np.bincount(y).max() / len(y)),
        "median_withstands": float(np.median(found.withstands)),
        "poisoned_row": "one row inserted, removed or relabelled; a changed input counts as two",
        "curve": found.curve(y),
    }


def _show(out: Output, document: dict[str, Any]) -> None:
    from rich.table import Table

    out.console.print(
        f"{document['partitions']} parts, each row teaches {document['spread']}: "
        f"{document['partitions'] * document['spread']} models ({document['learner']}), {document['seconds']:.0f} s"
    )
    out.console.print(f"accuracy {document['accuracy']:.1%}", end="")
    if (whole := document["accuracy_of_one_model"]) is not None:
        out.console.print(f", of one model on all rows {whole:.1%}", end="")
    largest = document["always_largest_class"]
    out.console.print(f", of always saying the largest class {largest:.1%}")
    table = Table(title="Certified accuracy")
    table.add_column("poisoned rows", justify="right")
    table.add_column("of training rows", justify="right")
    table.add_column("right, and provably stays so")
    curve = document["curve"]
    step = max(1, -(-len(curve) // _LINES))
    for point in curve[::step]:
        # Below the share of the largest class, a certificate says no more than a constant prediction.
        colour = "green" if point["y"] > largest else "yellow"
        bar = "█" * round(point["y"] * _BAR)
        share = point["x"] / document["train"]
        table.add_row(f"{point['x']:.0f}", f"{share:.2%}", f"[{colour}]{bar}[/] {point['y']:.1%}")
    out.console.print(table)
    out.console.print(f"[dim]A poisoned row: {document['poisoned_row']}.[/]")
