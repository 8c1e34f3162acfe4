"""The spool of events: durable events a second from one process, beside one attestation an event and the disk itself.

    python benchmarks/spool.py [--seconds 3] [--callers 64] [--folder DIR] [--json]

All in one run, on one file system: give a folder on a real disk. An event is a JSON object of about 110 bytes. Segments are
attested once a second, as in use; the time for that is part of each figure.

one caller          one thread adds one event and waits until it is durable
many callers        each thread does so; they share syncs
in batches of 100   one thread adds 100 events a call
one attest each     `Workshop.attest` for each event, for comparison
attest_many of 200  one call, one commit
sync floor          appending 128 bytes to a file and fsync, a second
prove, verify       one event's proof against the signed root, from disk and offline, milliseconds
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import statistics
import tempfile
import threading
import time
from pathlib import Path

from hauberk.core.evidence import Subject
from hauberk.custody.keys._vault import Cost
from hauberk.custody.keys.keyring import Keyring
from hauberk.custody.ledger import VerifierKey
from hauberk.custody.seen import Seen
from hauberk.records.reader import read_publics
from hauberk.records.spool import Spool, prove, verify
from hauberk.records.workshop import Workshop

REACH = 5_000


def event(number):
    return {"request": number, "principal": "svc-7", "control": "rate.limit", "outcome": "passed", "score": 0.25}


def opened(home):
    uri = f"keyring:{home}/keyring"
    return Workshop.open(
        home, name="bench", keys_uri=uri, passphrase=lambda: b"correct horse", seen=Seen(home / "seen")
    )


def rate(seconds, add, callers=1, events=1):
    """Events a second over all callers."""
    counts = [0] * callers
    end = time.perf_counter() + seconds

    def work(name):
        while time.perf_counter() < end:
            add(counts[name])
            counts[name] += events

    threads = [threading.Thread(target=work, args=(name,)) for name in range(callers)]
    start = time.perf_counter()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return sum(counts) / (time.perf_counter() - start)


def spooled(workshop, seconds, add, callers=1, events=1):
    with Spool(workshop) as spool:
        return rate(seconds, lambda number: add(spool, number), callers, events)


def floor(folder, seconds):
    descriptor = os.open(folder / "floor", os.O_WRONLY | os.O_CREAT)

    def one(_):
        os.write(descriptor, bytes(128))
        os.fsync(descriptor)

    try:
        return rate(seconds, one)
    finally:
        os.close(descriptor)


def milliseconds(call, times=20):
    took = []
    for _ in range(times):
        start = time.perf_counter()
        call()
        took.append(time.perf_counter() - start)
    return statistics.median(took) * 1e3


def measure(home, seconds, callers):
    found = {"sync floor, 1/s": floor(home, seconds)}
    with opened(home) as workshop:
        found["one caller, events/s"] = spooled(workshop, seconds, lambda spool, n: spool.add(event(n)))
        found["many callers, events/s"] = spooled(workshop, seconds, lambda spool, n: spool.add(event(n)), callers)
        found["in batches of 100, events/s"] = spooled(
            workshop, seconds, lambda spool, n: spool.add_many([event(n + at) for at in range(100)]), events=100
        )

        def statement(number):
            return workshop.event("rate.limit", (Subject("svc-7", "ab" * 32),), **event(number))

        found["one attest each, events/s"] = rate(seconds, lambda n: workshop.attest(statement(n)))
        found["attest_many of 200, events/s"] = rate(
            seconds, lambda n: workshop.attest_many([statement(n + at) for at in range(200)]), events=200
        )
        with Spool(workshop) as spool:
            place = spool.add_many([event(number) for number in range(10_000)])[7_000]
        proof = prove(home, place)
        signers = read_publics(home / "signing.pub")
        log = [VerifierKey(workshop.ledger.origin, public) for public in read_publics(home / "ledger.pub")]
        found["prove one of 10,000, ms"] = milliseconds(lambda: prove(home, place))
        found["verify, ms"] = milliseconds(lambda: verify(proof, signers=signers, log=log))
    best = found["many callers, events/s"]
    found["many callers / one attest each"] = best / found["one attest each, events/s"]
    found["many callers / sync floor"] = best / found["sync floor, 1/s"]
    return found


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--seconds", type=float, default=3.0, help="for each figure")
    parser.add_argument("--callers", type=int, default=64, help="threads that add one event at a time")
    parser.add_argument("--folder", type=Path, default=None, help="on the disk to measure; default: the system's")
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    place = Path(tempfile.mkdtemp(prefix="spool-bench-", dir=arguments.folder))
    try:
        Keyring.make(place / "keyring", b"correct horse", cost=Cost(time=1, memory=8, lanes=1))
        found = measure(place, arguments.seconds, arguments.callers)
    finally:
        shutil.rmtree(place)
    if arguments.json:
        print(json.dumps({"seconds": arguments.seconds, "callers": arguments.callers, "found": found}))
        return
    for name, value in found.items():
        print(f"{name:36}{value:12,.2f}" if value < 100 else f"{name:36}{value:12,.0f}")
    print(f"{'reach: many callers, events/s':36}{REACH:12,}")


if __name__ == "__main__":
    main()
