"""Certified accuracy by number of poisoned rows, and the cost of the vote in clean accuracy.

    HAUBERK_DATA=... python benchmarks/certificate.py [--only adult] [--json FILE] [--workers N]

Deep Partition Aggregation (spread 1) and Finite Aggregation (spread 4) with the same number of rows for each model. "One
model" is the same learner trained on all rows. A certificate of r holds for any r rows inserted, removed or relabelled.
"""

from __future__ import annotations

import argparse
import json
import os
import time
from pathlib import Path

import numpy as np

ROOT = Path(os.environ.get("HAUBERK_DATA", "."))
AT = (0, 1, 2, 5, 10, 20, 40)
CASES = [
    ("adult", "logistic", 50, 1),
    ("adult", "logistic", 50, 4),
    ("adult", "logistic", 200, 1),
    ("adult", "trees", 50, 1),
    ("claims", "logistic", 50, 1),
    ("digits", "logistic", 20, 1),
    ("digits", "logistic", 20, 4),
    ("digits", "net", 20, 1),
    ("fashion", "logistic", 50, 1),
    ("fashion", "logistic", 50, 4),
    ("fashion", "net", 50, 1),
]


def load(name):
    from hauberk.data.reading.loading import DataSpec
    from hauberk.data.reading.loading import load as read

    files = {
        "adult": DataSpec("table", (str(ROOT / "adult.parquet"),), target="income"),
        "claims": DataSpec("table", (str(ROOT / "vehicle-claim-fraud.parquet"),), target="FraudFound_P"),
        "digits": DataSpec("image", ("sklearn:digits",)),
        "fashion": DataSpec(
            "image",
            tuple(str(ROOT / f"fashion-train30k-{part}-ubyte.gz") for part in ("images-idx3", "labels-idx1")),
            limit=12_500,
        ),
    }
    return read(files[name], seed=0)


def one(name, learner, partitions, spread, workers):
    from hauberk.core.progress import Quiet
    from hauberk.training import Plan, Spec, certify
    from hauberk.training.aggregation import LEARNERS, Lesson, vote

    split = load(name)
    side, test = split.train, split.test
    spec = Spec(side.kind, side.x.shape[1:], len(side.classes), side.columns)
    plan = Plan(partitions, spread)
    started = time.monotonic()
    votes = vote(spec, side.x, side.y, test.x, plan=plan, learner=learner, workers=workers)
    trained = time.monotonic() - started
    started = time.monotonic()
    certificates = certify(votes, classes=spec.classes, plan=plan)
    proven = time.monotonic() - started
    entry = LEARNERS[learner]
    lesson = Lesson(spec, side.x, side.y)
    whole = entry.run(lesson, entry.make({}), rng=np.random.default_rng(0), task=Quiet())(test.x)
    return {
        "data": name,
        "rows": len(side),
        "learner": learner,
        "k": partitions,
        "d": spread,
        "one_model": round(float((whole == test.y).mean()), 4),
        "largest_class": round(float(np.bincount(test.y).max() / len(test.y)), 4),
        "certified": {rows: round(certificates.accuracy_at(rows, test.y), 4) for rows in AT},
        "mean_withstands": round(float(certificates.withstands.mean()), 2),
        "train_s": round(trained, 1),
        "certify_s": round(proven, 2),
    }


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--only", action="append")
    parser.add_argument("--workers", type=int)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    results = []
    for name, learner, partitions, spread in CASES:
        if options.only and name not in options.only:
            continue
        results.append(one(name, learner, partitions, spread, options.workers))
        print(json.dumps(results[-1]), flush=True)
    if options.json:
        options.json.write_text(json.dumps(results, indent=1) + "\n")


if __name__ == "__main__":
    main()
