"""Poison in tables: recall at 0.5 % of honest rows, of ours, of peers, and of a supervised classifier.

    HAUBERK_DATA=... python benchmarks/poisoning_tables.py [--seeds 3] [--only adult:flood] [--peers] [--json FILE]

Every case is run with the defaults of `hauberk.data.screen`, on the training side (four fifths) of each set with all its
columns; rows of classes with fewer than twenty rows and number columns with missing values are left out. Peers are run on the
first seed of each case; a peer that is not installed is left out. "Supervised" is boosted trees on values and label, trained on
the true poison labels of other folds: a reference, not a bound.
"""

from __future__ import annotations

import argparse
import functools
import importlib.util
import json
import os
import statistics
import tempfile
import time
import warnings
from pathlib import Path

import numpy as np

FALSE = 0.005
SETS = {
    "adult": ("adult", "income"),
    "claims": ("vehicle-claim-fraud", "FraudFound_P"),
    "nsl-kdd": ("nsl-kdd-train20", "attack"),
    "credit": ("german-credit", "risk"),
    "heart": ("heart-disease", "num"),
    "diabetes-130 (20k)": ("diabetes-130us", "readmitted"),
    "compas": ("compas-two-years", "two_year_recid"),  # held out: measured only after the detectors were finished
}
CASES = [
    ("adult", "symmetric-flips", 0.10),
    ("claims", "symmetric-flips", 0.10),
    ("adult", "targeted-flips", 0.03),
    ("adult", "table-trigger", 0.01),
    ("nsl-kdd", "table-trigger", 0.01),
    ("claims", "table-trigger", 0.01),
    ("adult", "flood", 0.03),
    ("nsl-kdd", "flood", 0.03),
    ("claims", "flood", 0.03),
    ("compas", "table-trigger", 0.01),
    *((name, "clean", 0.0) for name in (*SETS, "breast_cancer", "wine")),
]


@functools.cache
def read(name):
    import polars as pl

    from hauberk.data.reading.loading import DataSpec, load

    if name not in SETS:
        return load(DataSpec("table", (f"sklearn:{name}",)), seed=0).train
    file, target = SETS[name]
    frame = pl.read_parquet(Path(os.environ["HAUBERK_DATA"]) / f"{file}.parquet")
    common = frame[target].value_counts().filter(pl.col("count") >= 20)[target]
    frame = frame.filter(pl.col(target).is_in(common.to_list()))
    whole = [c for c in frame.columns if frame[c].null_count() == 0 or frame[c].dtype == pl.String]
    with tempfile.TemporaryDirectory() as folder:
        frame.select(whole).write_parquet(Path(folder) / "x.parquet")
        limit = 25_000 if name.startswith("diabetes") else None
        return load(DataSpec("table", (f"{folder}/x.parquet",), target=target, limit=limit), seed=0).train


def poisoned(name, attack, share, seed):
    from hauberk.attacks.poisoning import POISONERS, Victim
    from hauberk.core.progress import Quiet
    from hauberk.data.reading.dataset import Dataset

    side = read(name)
    if attack == "clean":
        return side, np.zeros(len(side), bool)
    entry = POISONERS[attack]
    victim = Victim(side.x, side.y, len(side.classes), side.columns)
    found = entry.run(victim, entry.make({"share": share}), rng=np.random.default_rng(seed), task=Quiet())
    return Dataset("table", found.x, found.y, side.classes, side.columns, np.arange(len(found.y))), found.poison


def recall(scores, poison):
    """Return the share of the poison that scores above the threshold which 0.5 % of the honest rows exceed."""
    honest = np.sort(scores[~poison])
    return float((scores[poison] > honest[-int(np.ceil(FALSE * len(honest)))]).mean())


def auroc(scores, poison):
    from scipy.stats import rankdata

    ranks, count = rankdata(scores), int(poison.sum())
    return float((ranks[poison].sum() - count * (count + 1) / 2) / (count * (len(poison) - count)))


def ours(side, seed):
    from hauberk.data.poison.detectors import Rows
    from hauberk.data.poison.screening import screen_rows

    started = time.monotonic()
    found = screen_rows(Rows("table", side, None, (), seed))
    return found, time.monotonic() - started


def known(side, poison):
    """Return (n,) the probability of poison by boosted trees trained on the true poison labels of the other folds."""
    from sklearn.ensemble import HistGradientBoostingClassifier
    from sklearn.model_selection import StratifiedKFold, cross_val_predict

    inputs = np.column_stack([side.x, side.y])
    trees = HistGradientBoostingClassifier(learning_rate=0.05, max_iter=120, early_stopping=False, random_state=0)
    folds = StratifiedKFold(5, shuffle=True, random_state=0)
    return cross_val_predict(trees, inputs, poison, cv=folds, method="predict_proba")[:, 1]


def peers(side):
    """Yield (name, scores): isolation forest and distances to the nearest row, then cleanlab and PyOD if installed."""
    from sklearn.ensemble import IsolationForest

    from hauberk.core.progress import Quiet
    from hauberk.data.poison import neighbours
    from hauberk.data.poison.detectors._folds import one_hot, out_of_fold

    yield "isolation forest", -IsolationForest(random_state=0).fit(side.x).score_samples(side.x)
    features, keys = neighbours.features(side)[0], np.arange(len(side))
    near = neighbours.nearest(features, features, query_keys=keys, base_keys=keys).distance
    yield "nearest row", np.where(np.isfinite(near), near, 0)
    yield "nearest row, the closest first", -np.where(np.isfinite(near), near, 1e9)
    probabilities = out_of_fold(side, seed=0, task=Quiet())
    if importlib.util.find_spec("cleanlab"):
        from cleanlab.rank import get_label_quality_scores

        for method in ("self_confidence", "normalized_margin"):
            yield f"cleanlab {method}", -get_label_quality_scores(side.y, probabilities, method=method)
    if importlib.util.find_spec("pyod") and importlib.util.find_spec("numba"):
        from pyod.models.ecod import ECOD

        yield "pyod ECOD", ECOD().fit(one_hot(side)).decision_scores_


def measure(case, seeds, *, with_peers):
    name, attack, share = case
    recalls, areas, alarms, seconds = [], [], [], []
    others, answers = {}, None
    for seed in range(seeds if attack != "clean" else 1):
        side, poison = poisoned(name, attack, share, seed)
        found, took = ours(side, seed)
        alarms.append(float(found.flags[~poison].mean()))
        seconds.append(took)
        if attack == "clean":
            continue
        recalls.append(recall(found.scores, poison))
        areas.append(auroc(found.scores, poison))
        if with_peers and seed == 0:
            answers = recall(known(side, poison), poison)
            others = {peer: (recall(scores, poison), auroc(scores, poison)) for peer, scores in peers(side)}
    best = max(others.items(), key=lambda item: item[1], default=None)
    return {
        "case": f"{name}: {attack}" + (f" {share:.0%}" if share else ""),
        "recall": statistics.median(recalls) if recalls else None,
        "recalls": recalls,
        "auroc": statistics.median(areas) if areas else None,
        "honest rows flagged": statistics.median(alarms),
        "best peer": None if best is None else [best[0], *best[1]],
        "supervised": answers,
        "seconds": statistics.median(seconds),
    }


def number(value):
    return "-" if value is None else f"{value:.2f}"


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--only", action="append", default=[], help="set:attack; may be repeated")
    parser.add_argument("--peers", action="store_true")
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    warnings.simplefilter("ignore")
    print("| case | recall, median of seeds | AUROC | honest rows flagged | best peer | supervised | seconds |")
    print("| --- | --- | --- | --- | --- | --- | --- |")
    rows = []
    for case in CASES:
        if arguments.only and f"{case[0]}:{case[1]}" not in arguments.only:
            continue
        row = measure(case, arguments.seeds, with_peers=arguments.peers)
        rows.append(row)
        spread = f" ({', '.join(number(value) for value in row['recalls'])})" if row["recalls"] else ""
        peer = row["best peer"]
        print(
            f"| {row['case']} | {number(row['recall'])}{spread} | {number(row['auroc'])} | "
            f"{row['honest rows flagged']:.2%} | {'-' if peer is None else f'{peer[0]} {peer[1]:.2f}'} | "
            f"{number(row['supervised'])} | {row['seconds']:.0f} |",
            flush=True,
        )
        if arguments.json:
            arguments.json.write_text(json.dumps(rows, indent=2))


if __name__ == "__main__":
    main()
