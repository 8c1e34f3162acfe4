"""Integrity of data: the speed of a manifest relative to plain hashing, and the cost of a diff and of a row tree.

    python benchmarks/integrity.py [--size 1024] [--rows 2000000] [--rounds 5] [--folder /dev/shm] [--json]

Size in MiB; the files are on a RAM disk by default, so that the disk's speed does not matter. All candidates run in turn in each
round, so that a busy moment of the machine affects all of them. The output has medians over the rounds; ratios are medians of
the ratios within a round.

raw sha256          one thread a core, each hashing its share of the blocks in memory, without reading
sha256 of the file  one thread a core, each reading and hashing its share of the file, without parts and tree
manifest            `hauberk.data.manifest.build`, footers and trees included
manifest, fast      the same after an append of 1 %, with `fast`
diff                `hauberk.data.manifest.diffing.diff` against the Polars joins that give the same counts
row tree            time to commit to rows, to prove a row and to check a proof, for each row
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import statistics
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from hashlib import sha256
from pathlib import Path

import numpy as np
import polars as pl

from hauberk.custody.rows import Schema
from hauberk.custody.rowtree import RowTree, check
from hauberk.data.manifest import build
from hauberk.data.manifest.diffing import diff

MIB = 2**20
CORES = len(os.sched_getaffinity(0))
BLOCK = 4 * MIB


def timed(work: Callable[[], object]) -> float:
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def rounds(opponents: dict[str, Callable[[], object]], count: int) -> dict[str, list[float]]:
    """Return the seconds of each candidate: one unmeasured run each, then all in turn, `count` times."""
    for work in opponents.values():
        work()
    taken: dict[str, list[float]] = {name: [] for name in opponents}
    for _ in range(count):
        for name, work in opponents.items():
            taken[name].append(timed(work))
    return taken


def raw(size: int) -> None:
    block = bytes(BLOCK)

    def share(number: int) -> None:
        state = sha256()
        for _ in range(number, size // BLOCK, CORES):
            state.update(block)

    with ThreadPoolExecutor(CORES) as pool:
        list(pool.map(share, range(CORES)))


def whole(path: Path) -> None:
    size = path.stat().st_size

    def share(number: int) -> None:
        state, buffer = sha256(), bytearray(MIB // 4)
        with path.open("rb", buffering=0) as file:
            start, end = size * number // CORES, size * (number + 1) // CORES
            file.seek(start)
            while start < end:
                taken = file.readinto(memoryview(buffer)[: min(len(buffer), end - start)])
                state.update(memoryview(buffer)[:taken])
                start += taken

    with ThreadPoolExecutor(CORES) as pool:
        list(pool.map(share, range(CORES)))


def hashing(folder: Path, mib: int, count: int) -> dict[str, object]:
    size = mib * MIB // BLOCK * BLOCK
    rng = np.random.default_rng(0)
    path = folder / "data.bin"
    with path.open("wb") as file:
        for _ in range(size // BLOCK):
            file.write(rng.bytes(BLOCK))
    taken = rounds(
        {
            "raw sha256": lambda: raw(size),
            "sha256 of the file": lambda: whole(path),
            "manifest": lambda: build([str(path)]),
        },
        count,
    )
    earlier = build([str(path)]).manifest
    with path.open("ab") as file:
        file.write(rng.bytes(size // 100))
    appended = build([str(path)], earlier=earlier, fast=True)
    fast = statistics.median(timed(lambda: build([str(path)], earlier=earlier, fast=True)) for _ in range(count))
    path.unlink()
    figures: dict[str, object] = {
        name: round(size / 1e9 / statistics.median(times), 2) for name, times in taken.items()
    }
    for name in ("raw sha256", "sha256 of the file"):
        ratios = [a / b for a, b in zip(taken[name], taken["manifest"], strict=True)]
        figures[f"manifest / {name}"] = round(statistics.median(ratios), 3)
    return figures | {
        "after an append of 1 %, fast, seconds": round(fast, 4),
        "after an append of 1 %, fast, bytes hashed": appended.hashed,
        "bytes": size,
    }


def tables(folder: Path, rows: int) -> tuple[Path, Path]:
    rng = np.random.default_rng(0)
    a = pl.DataFrame(
        {"id": np.arange(rows)}
        | {f"n{k}": rng.normal(size=rows).round(3) for k in range(6)}
        | {f"c{k}": rng.integers(0, 50, rows).astype(str) for k in range(3)}
    )
    b = a.with_columns(pl.when(pl.col("id") % 1000 == 0).then(pl.col("n0") + 1).otherwise(pl.col("n0")).alias("n0"))
    b = pl.concat([b.filter(pl.col("id") % 777 != 1), b.head(rows // 500).with_columns(pl.col("id") + rows)])
    a.write_parquet(folder / "a.parquet")
    b.write_parquet(folder / "b.parquet")
    return folder / "a.parquet", folder / "b.parquet"


def joins_by_key(a: Path, b: Path) -> tuple[int, int]:
    first, second = pl.scan_parquet(a), pl.scan_parquet(b)
    queries = [x.join(y, on="id", how="anti").select(pl.len()) for x, y in ((second, first), (first, second))]
    added, removed = pl.collect_all(queries, engine="streaming")
    return added.item(), removed.item()


def joins_by_content(a: Path, b: Path) -> tuple[int, int]:
    first, second = pl.scan_parquet(a), pl.scan_parquet(b)
    names = first.collect_schema().names()
    queries = [
        x.join(y, on=names, how="anti", nulls_equal=True).select(pl.len())
        for x, y in ((second, first), (first, second))
    ]
    added, removed = pl.collect_all(queries, engine="streaming")
    return added.item(), removed.item()


def diffing(folder: Path, rows: int, count: int) -> dict[str, object]:
    a, b = tables(folder, rows)
    by_key, by_content = diff(str(a), str(b), key=["id"]), diff(str(a), str(b))
    assert (by_key.added, by_key.removed) == joins_by_key(a, b)
    assert (by_content.added, by_content.removed) == joins_by_content(a, b)
    taken = rounds(
        {
            "diff by key": lambda: diff(str(a), str(b), key=["id"]),
            "anti-joins by key (no changes, no columns)": lambda: joins_by_key(a, b),
            "diff by content": lambda: diff(str(a), str(b)),
            "anti-joins by content": lambda: joins_by_content(a, b),
        },
        count,
    )
    seconds = {name: round(statistics.median(times), 2) for name, times in taken.items()}
    found = {"added": by_key.added, "removed": by_key.removed, "changed": by_key.changed}
    return {"rows": rows, "columns": 10, "found by key": found, "seconds": seconds}


def trees(rows: int) -> dict[str, object]:
    schema = Schema.of(kind="table", shape=[1], classes=["no"], columns=[("n", "number", ())])
    digests = [sha256(number.to_bytes(8, "big")).digest() for number in range(rows)]
    found: list[RowTree] = []
    grown = timed(lambda: found.append(RowTree.grow(digests, schema, bytes(32))))
    tree = found[0]
    rooted = timed(lambda: tree.commitment)
    queries = [*digests[:500], *(sha256(d).digest() for d in digests[:500])]
    claims = []
    proving = timed(lambda: claims.extend(tree.prove(digest) for digest in queries))
    checking = timed(lambda: [check(c, d, tree.commitment) for c, d in zip(claims, queries, strict=True)])
    return {
        "rows": rows,
        "microseconds a row to commit": round((grown + rooted) / rows * 1e6, 2),
        "microseconds a proof": round(proving / len(queries) * 1e6, 1),
        "microseconds a check": round(checking / len(queries) * 1e6, 1),
        "bytes of a proof": {
            "present": len(json.dumps(claims[0])), "absent": len(json.dumps(claims[-1])),
        },
    }  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size", type=int, default=1024)
    parser.add_argument("--rows", type=int, default=2_000_000)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--folder", type=Path, default=Path("/dev/shm"))
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    folder = Path(tempfile.mkdtemp(dir=options.folder))
    try:
        found = {
            "cores": CORES,
            "hashing, GB/s": hashing(folder, options.size, options.rounds),
            "diff": diffing(folder, options.rows, max(1, options.rounds // 2)),
            "row tree": trees(200_000),
        }
    finally:
        shutil.rmtree(folder)
    print(json.dumps(found, indent=2) if options.json else _table(found))


def _table(found: dict[str, object], depth: int = 0) -> str:
    lines = []
    for name, value in found.items():
        if isinstance(value, dict):
            lines += [f"{'  ' * depth}{name}", _table(value, depth + 1)]
        else:
            lines.append(f"{'  ' * depth}{name:<{60 - 2 * depth}}{value:>16,}")
    return "\n".join(lines)


if __name__ == "__main__":
    main()
