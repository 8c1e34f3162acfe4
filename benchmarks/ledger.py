"""The ledger against pymerkle on SQLite: appends a second, and microseconds for a proof and a root, in one run.

    python benchmarks/ledger.py [--size 1000000] [--callers 64] [--folder DIR] [--json]

Both write to the same file system and wait for the disk at every commit (SQLite: its default, synchronous=FULL), so
give a folder on a real disk; the floor, one file of 8 KiB written and synced, is shown beside. Entries are records
of 200 bytes.

appended in batches     10,000 entries a commit, until the log has its size
concurrent callers      each thread appends one entry and waits until it is durable
proof, warm             inclusion at random indices with the tiles in memory, as in a running writer
proof, first touch      a reader that has opened the log and read nothing: every tile is read and verified first
root now                the root of the present size, asked for again
root after an append    the same, asked for the first time at that size
root of an older size   recomputed from hashes, not remembered

pymerkle keeps its own cache of subtrees; its "warm" runs repeat the indices of its "first touch".
"""

from __future__ import annotations

import argparse
import json
import os
import random
import shutil
import statistics
import tempfile
import threading
import time
from pathlib import Path

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ed25519

from hauberk.custody.keys.port import PublicKey
from hauberk.custody.ledger import Ledger, merkle

BATCH = 10_000
REACH = {
    "appended in batches, entries/s": 100_000,
    "concurrent callers, entries/s": 5_000,
    "proof, warm, µs": 50,
    "root now, µs": 10,
}


class MemorySigner:
    def __init__(self):
        self._key = ed25519.Ed25519PrivateKey.generate()
        spki = self._key.public_key().public_bytes(
            serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
        )
        self.public = PublicKey.from_spki(spki)

    def sign(self, message):
        return self._key.sign(message)


def entries(start, stop):
    return [b"%0200d" % index for index in range(start, stop)]


def timed(call):
    start = time.perf_counter()
    call()
    return time.perf_counter() - start


def each(call, arguments):
    """Median microseconds of one call."""
    return statistics.median(timed(lambda argument=argument: call(argument)) for argument in arguments) * 1e6


def rate_in_batches(append, size):
    # Batches are made outside the clock; what is timed is appending alone.
    took = 0.0
    for start in range(0, size, BATCH):
        batch = entries(start, min(size, start + BATCH))
        took += timed(lambda batch=batch: append(batch))
    return size / took


def rate_of_callers(append, callers, count):
    def work():
        for index in range(count):
            append(b"%0200d" % index)

    threads = [threading.Thread(target=work) for _ in range(callers)]

    def run():
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    return callers * count / timed(run)


def after_appends(append, root):
    took = []
    for index in range(20):
        append(b"%d" % index)
        took.append(timed(root))
    return statistics.median(took) * 1e6


def sync_floor(folder):
    def one(number):
        descriptor = os.open(folder / f"floor-{number}", os.O_WRONLY | os.O_CREAT)
        os.write(descriptor, bytes(8192))
        os.fsync(descriptor)
        os.close(descriptor)

    return each(one, range(200))


def measure_ours(folder, size, callers):
    signer, found = MemorySigner(), {}
    picks = random.Random(1)
    with Ledger.create(folder, "bench.example/log", signer) as log:
        found["appended in batches, entries/s"] = rate_in_batches(log.append_many, size)
        at = [picks.randrange(size) for _ in range(2000)]
        reader = Ledger.open(folder, publics=[signer.public])
        found["proof, first touch, µs"] = each(reader.prove_inclusion, at[:200])
        for index in at:
            log.prove_inclusion(index)
        found["proof, warm, µs"] = each(log.prove_inclusion, at)
        found["root now, µs"] = each(lambda _: log.root(), range(2000))
        found["root of an older size, µs"] = each(log.root, [picks.randrange(1, size) for _ in range(500)])
        found["root after an append, µs"] = after_appends(log.append, log.root)
        size, index = log.size, at[0]
        proof = log.prove_inclusion(index)
        merkle.verify_inclusion(merkle.leaf_hash(log.entry(index)), index, size, proof, log.root())
        found["concurrent callers, entries/s"] = rate_of_callers(log.append, callers, 300)
        found["audit of the whole log, s"] = timed(lambda: log.audit(signer.public))
    return found


def measure_pymerkle(folder, size, callers):
    from pymerkle import SqliteTree

    found, picks = {}, random.Random(1)
    folder.mkdir()
    with SqliteTree(str(folder / "tree.db")) as tree:
        found["appended in batches, entries/s"] = rate_in_batches(tree.append_entries, size)
        at = [picks.randrange(size) + 1 for _ in range(20)]
        found["proof, first touch, µs"] = each(tree.prove_inclusion, at)
        found["proof, warm, µs"] = each(tree.prove_inclusion, at)
        root = getattr(tree, "get_root", None) or tree.get_state  # the name before 7
        found["root now, µs"] = each(lambda _: root(), range(5))
        found["root of an older size, µs"] = each(root, [picks.randrange(1, size) for _ in range(3)])
        found["root after an append, µs"] = after_appends(tree.append_entry, root)
        found["concurrent callers, entries/s"] = rate_of_callers(
            tree.append_entry, callers, max(1, 1280 // callers)
        )
    return found


def compare(ours, peer):
    rows = []
    for name, value in ours.items():
        other = peer.get(name)
        faster = None if other is None else (value / other if name.endswith("/s") else other / value)
        rows.append(
            {"measure": name, "hauberk": value, "pymerkle": other, "ratio": faster, "reach": REACH.get(name)}
        )
    return rows


def show(rows, size, floor, reason):
    from rich.console import Console
    from rich.table import Table

    table = Table("measure", title=f"Ledger of {size:,} entries; one synced file of 8 KiB takes {floor:,.0f} µs")
    for head in ("hauberk", "pymerkle 7 on SQLite", "times faster", "reach"):
        table.add_column(head, justify="right")
    for row in rows:
        reach = row["reach"]
        sign = "≥" if row["measure"].endswith("/s") else "≤"
        table.add_row(
            row["measure"],
            number(row["hauberk"]),
            number(row["pymerkle"]),
            number(row["ratio"]),
            f"{sign} {reach:,}" if reach else "",
        )
    Console().print(table)
    if reason:
        Console().print(f"pymerkle was left out: {reason}")


def number(value):
    if value is None:
        return "-"
    return f"{value:,.0f}" if value >= 100 else f"{value:,.2f}"


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--size", type=int, default=1_000_000, help="entries in the log")
    parser.add_argument("--callers", type=int, default=64, help="threads that append one entry at a time")
    parser.add_argument("--folder", type=Path, default=None, help="on the disk to measure; default: the system's")
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    place = Path(tempfile.mkdtemp(prefix="ledger-bench-", dir=arguments.folder))
    reason = ""
    try:
        floor = sync_floor(place)
        ours = measure_ours(place / "ours", arguments.size, arguments.callers)
        try:
            peer = measure_pymerkle(place / "peer", arguments.size, arguments.callers)
        except ImportError as error:
            peer, reason = {}, str(error)
    finally:
        shutil.rmtree(place)
    rows = compare(ours, peer)
    if arguments.json:
        print(json.dumps({"size": arguments.size, "callers": arguments.callers, "sync_us": floor, "rows": rows}))
    else:
        show(rows, arguments.size, floor, reason)


if __name__ == "__main__":
    main()
