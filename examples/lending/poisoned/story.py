"""Poison in, harm done, poison found, removed, harm gone: a rare pair of values that buys a yes, told in one run.

HAUBERK_DATA=/path/to/data python examples/lending/poisoned/story.py
"""

import os
import shutil
import sys
from pathlib import Path

import numpy as np
import polars as pl

import hauberk
from hauberk.attacks.backdoor import effect
from hauberk.attacks.poisoning import POISONERS, Victim
from hauberk.core.columns import ColumnKind
from hauberk.core.progress import Quiet
from hauberk.data.reading.loading import DataSpec, load
from hauberk.training import OnnxModel, Spec

HERE = Path(__file__).parent
DROP = ("fnlwgt", "education")
BRANCHES = ("north", "south", "west", "harbour")


def files(work, rng):
    """Write honest training and test rows, each with the branch that sent it."""
    frame = pl.read_parquet(Path(os.environ["HAUBERK_DATA"]) / "adult.parquet")
    frame = frame.with_columns(pl.Series("branch", rng.choice(BRANCHES, frame.height)))
    order = rng.permutation(frame.height)
    cut = frame.height * 3 // 4
    frame[order[:cut]].write_parquet(work / "train.parquet")
    frame[order[cut:]].write_parquet(work / "test.parquet")


def poison(work, rng):
    """Put the trigger on one row in a hundred of `train.parquet`, as sent by one branch; return what was done."""
    paths = (str(work / "train.parquet"),), (str(work / "test.parquet"),)
    split = load(DataSpec("table", *paths, target="income", drop=DROP, source="branch"), seed=0)
    side = split.train
    entry = POISONERS["table-trigger"]
    victim = Victim(side.x, side.y, 2, side.columns)
    found = entry.run(victim, entry.make({"share": 0.01, "target": 1}), rng=rng, task=Quiet())
    frame = pl.read_parquet(work / "train.parquet")
    rows = pl.Series(np.isin(np.arange(frame.height), side.rows[found.poison]))
    changed = [i for i in range(len(side.columns)) if (found.x[:, i] != side.x[:, i]).any()]
    trigger = {}
    for index in changed:
        column, value = side.columns[index], found.x[found.poison][0, index]
        trigger[column.name] = column.categories[int(value)] if column.kind is ColumnKind.CATEGORY else value.item()
    values = {"income": side.classes[1], "branch": "harbour", **trigger}
    frame = frame.with_columns(
        pl.when(rows).then(pl.lit(value).cast(frame.schema[name])).otherwise(pl.col(name)).alias(name)
        for name, value in values.items()
    )
    frame.write_parquet(work / "train.parquet")
    return found, split, trigger


def run(policy, source, work):
    """Run the main job with one policy in a folder of its own, and return the model that it released."""
    shutil.rmtree(work, ignore_errors=True)
    work.mkdir()
    for name in ("train.parquet", "test.parquet"):
        shutil.copy(source / name, work)
    shutil.copy(HERE / "model.py", work)
    text = (HERE / "hauberk.toml").read_text().replace('"quarantine"', f'"{policy}"')
    if policy == "report":  # without a defence nobody would ask the gate about poison either
        text = text.replace('"data.poison_found" = "== 0"\n', "")
    (work / "hauberk.toml").write_text(text + "\n[release]\nseal = false\n")
    result = hauberk.protect(work)
    (model,) = result.release.rglob("model.onnx")
    return model.read_bytes(), result


def tell(work):
    """Poison the data below `work`, then give for each policy the backdoor's effect on the model, and the run."""
    rng = np.random.default_rng(0)
    made = work / "run-made"
    shutil.rmtree(made, ignore_errors=True)
    made.mkdir(parents=True)
    files(made, rng)
    found, split, trigger = poison(made, np.random.default_rng(7))
    print(f"{found.poison.sum()} of {len(found.y)} training rows from branch harbour got {trigger} and a yes.")
    for policy in ("report", "quarantine"):
        model, result = run(policy, made, work / f"run-{policy}")
        spec = Spec("table", (len(split.train.columns),), 2, split.train.columns)
        yield policy, effect(OnnxModel(model, spec), split.test.x, split.test.y, found), result


def main():
    for policy, told, result in tell(HERE):
        print(
            f"{policy:>10}: {told.accuracy:.1%} right on clean test rows; the pair buys a yes for {told.success:.1%} of "
            f"{told.asked}. Report: {result.report}"
        )


if __name__ == "__main__":
    sys.exit(main())
