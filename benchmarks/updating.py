"""What updates cost and find: a rollback's seconds, and slow drips caught, honest sequences passed.

    python benchmarks/updating.py rollback --mebibytes 1 50
    HAUBERK_DATA=... python benchmarks/updating.py drip --seeds 10 --set digits adult

There is no peer to run beside: retraining services keep versions and compare means, and none that we know of holds batches
together against a trusted state. What is printed is measured here, with the conditions beside it.
"""

from __future__ import annotations

import argparse
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path

import numpy as np

PROJECT = """
[project]
name = "bench"
[data]
kind = "table"
files = ["sklearn:iris"]
[model]
build = "model:build"
[[threats]]
kind = "poisoning"
share = 0.05
[gate]
clean_accuracy = ">= 0.1"
"""
MODEL = """
from torch import nn

def build(spec):
    return nn.Sequential(nn.Linear(spec.features, {width}), nn.ReLU(), nn.Linear({width}, spec.classes))
"""


def rollback(mebibytes: list[int]) -> None:
    import hauberk
    from hauberk.core.progress import Progress
    from hauberk.custody.seen import Seen
    from hauberk.lifecycle.releasing.rollback import rollback as back

    print("| weights (and as much ONNX, both sealed) | keys open (median of 5) | whole command (median of 5) |")
    print("| --- | --- | --- |")
    for size in mebibytes:
        folder = Path(tempfile.mkdtemp())
        (folder / "hauberk.toml").write_text(PROJECT + "[training]\nepochs = 1\n")
        how = {"passphrase": lambda: b"bench horse", "seen": Seen(folder / "seen")}
        for number in range(2):
            width = size * 2**20 // (4 * 9 * 2) + number
            (folder / "model.py").write_text(MODEL.format(width=width))
            hauberk.protect(folder, progress=Progress(visible=False), **how)
        took = [back(folder, to=1 + turn % 2, **how).seconds for turn in range(5)]
        whole = [command(folder, to=1 + turn % 2) for turn in range(5)]
        print(f"| {size} MiB | {statistics.median(took):.2f} s | {statistics.median(whole):.2f} s |", flush=True)
        shutil.rmtree(folder)


def command(folder: Path, *, to: int) -> float:
    """Run `hauberk rollback` as a person would, and return the seconds from its start to its end."""
    environment = os.environ | {"HAUBERK_PASSPHRASE": "bench horse", "HAUBERK_STATE": str(folder / "seen")}
    line = [
        sys.executable,
        "-c",
        "from hauberk.cli.main import main; main()",
        "rollback",
        str(folder),
        "--to",
        str(to),
    ]
    started = time.monotonic()
    subprocess.run(line, env=environment, check=True, stdout=subprocess.DEVNULL)
    return time.monotonic() - started


def sets(name: str):
    from hauberk.data.reading.loading import DataSpec, load_whole

    if name == "digits":
        return load_whole(DataSpec("image", ("sklearn:digits",))).side, 900, 80, 10, (7, 1), 2
    folder = Path(os.environ["HAUBERK_DATA"])
    if name == "mnist":
        pictures = (str(folder / f"mnist-test-{what}-ubyte.gz") for what in ("images-idx3", "labels-idx1"))
        return load_whole(DataSpec("image", tuple(pictures))).side, 2000, 100, 20, (7, 1), 2
    file, target, drop = {
        "adult": ("adult.parquet", "income", ("fnlwgt", "education")),
        "claims": ("vehicle-claim-fraud.parquet", "FraudFound_P", ("PolicyNumber",)),
        "german": ("german-credit.parquet", "risk", ()),
    }[name]
    side = load_whole(DataSpec("table", (str(folder / file),), target=target, drop=drop)).side
    return (side, 500, 40, 10, (0, 1), 2) if name == "german" else (side, 6000, 200, 20, (0, 1), 4)


def drips(names: list[str], seeds: int, times: int) -> None:
    from hauberk.data.poison.drip import drip

    print(
        "| data | trusted | batches | wrong labels a batch | alone (first 3) | sequence caught | at batch | honest stopped | s |"
    )
    print("| --- | --- | --- | --- | --- | --- | --- | --- | --- |")
    for name in names:
        side, trusted, size, count, (given, true), wrong = sets(name)
        wrong *= times
        alone, caught, at, honest, spent = 0, 0, [], 0, []
        for seed in range(seeds):
            order = np.random.default_rng(seed).permutation(len(side))
            parts = [side.take(order[trusted + size * n : trusted + size * (n + 1)]) for n in range(count)]
            base = side.take(order[:trusted])
            bad = []
            for number, part in enumerate(parts):
                y = part.y.copy()
                own = np.flatnonzero(y == true)
                y[np.random.default_rng([seed, number]).choice(own, min(wrong, len(own)), replace=False)] = given
                bad.append(replace(part, y=y))
            honest += bool(drip(base, parts, seed=seed).alarms)
            alone += sum(bool(drip(base, [part], seed=seed).alarms) for part in bad[:3])
            started = time.monotonic()
            found = drip(base, bad, seed=seed).alarms
            spent.append(time.monotonic() - started)
            caught += bool(found)
            at += [min(stream.look for stream in found)] if found else []
        print(
            f"| {name} | {trusted:,} | {count} x {size} | {wrong} | {alone} of {3 * seeds} | {caught} of {seeds} "
            f"| {statistics.median(at) if at else '-'} | {honest} of {seeds} | {statistics.median(spent):.1f} |",
            flush=True,
        )


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("what", choices=["rollback", "drip"])
    parser.add_argument("--mebibytes", type=int, nargs="+", default=[1, 50])
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--set", nargs="+", default=["digits"])
    parser.add_argument("--times", type=int, default=1, help="so many times the usual wrong labels")
    given = parser.parse_args()
    if given.what == "rollback":
        rollback(given.mebibytes)
    else:
        drips(given.set, given.seeds, given.times)
