"""The index over evidence against a full scan of the ledger: milliseconds a question, in one run.

    python benchmarks/index.py [--entries 100000] [--newest 10] [--repeat 20] [--folder DIR] [--json]

Builds a project's ledger and store: nine in ten entries are evidence of 40 controls in 6 roles about 5,000 subjects by 50
principals, with 3 metrics each; the others are events. Nothing is synced to disk while building; all else is what Hauberk does.

find          a question through `Records.find`: search, and every hit verified (envelope, signature, entry, inclusion)
CPU           the same in processor time, which a busy machine does not stretch
search        the search alone, without opening the hits
full scan     every entry read and decoded; for metrics every envelope too (one question of each kind)

Each question is asked `repeat` times with other values; the median and the slowest are shown. Cost of building, of the next
open (file read, authenticated, nothing to add) and of one more entry are shown beside.
"""

from __future__ import annotations

import argparse
import json
import random
import shutil
import statistics
import tempfile
import time
from datetime import UTC, datetime, timedelta
from itertools import islice
from pathlib import Path

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ed25519

from hauberk.core import canonical
from hauberk.core.disk import Disk
from hauberk.core.evidence import Subject
from hauberk.custody import dsse, statements
from hauberk.custody.artifacts import Artifacts
from hauberk.custody.entries import entry_of, read_entry
from hauberk.custody.keys.port import PublicKey
from hauberk.custody.ledger import Ledger
from hauberk.custody.seen import Seen
from hauberk.records.index import Question, metrics_of
from hauberk.records.reader import open_records

BATCH = 5_000
START = datetime(2026, 1, 1, tzinfo=UTC)
LIMIT_MS = 5.0


class MemorySigner:
    def __init__(self):
        self._key = ed25519.Ed25519PrivateKey.generate()
        spki = self._key.public_key().public_bytes(
            serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
        )
        self.public = PublicKey.from_spki(spki)

    def sign(self, message):
        return self._key.sign(message)


class Unsynced(Disk):
    def sync(self, descriptor):
        pass

    def sync_folder(self, path):
        pass


def subject(number):
    return canonical.sha256(b"subject %d" % number)


def statement(number, draw):
    finished = (START + timedelta(seconds=number)).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    by = {"id": f"person{draw.randrange(50)}@bank", "kind": "person", "known": "said"}
    about = (Subject("model", subject(draw.randrange(5_000))),)
    if number % 10 == 0:
        return statements.Statement(
            about, statements.EVENT, {"event": "data.used", "time": finished, "by": by, "details": {}}
        )
    control = min(39, int(draw.expovariate(0.15)))
    predicate = {
        "control": f"control{control}",
        "practice": f"{1 + control % 5}{'abc'[control % 3]}",
        "role": f"role{draw.randrange(6)}",
        "parameters": {"threat": {"label": "linf:8/255"}, "rows": 1000},
        "seed": 0,
        "started": finished,
        "finished": finished,
        "by": by,
        "metrics": {
            "robust_accuracy": draw.random(),
            "clean_accuracy": draw.random(),
            "seconds": draw.random() * 100,
        },
        "findings": [],
        "series": {},
        "outputs": [],
        "notes": [],
    }
    return statements.Statement(about, statements.EVIDENCE, predicate)


def build(home, count):
    signer, logger, draw = MemorySigner(), MemorySigner(), random.Random(0)
    home.mkdir(parents=True)
    (home / "signing.pub").write_text(signer.public.pem())
    (home / "ledger.pub").write_text(logger.public.pem())
    artifacts = Artifacts(home / "store", disk=Unsynced())
    with Ledger.create(home / "ledger", "hauberk/benchmark", logger) as ledger:
        for first in range(0, count, BATCH):
            told = [statement(number, draw) for number in range(first, min(count, first + BATCH))]
            envelopes = [statements.attest(one, signer) for one in told]
            for envelope in envelopes:
                artifacts.put(envelope)
            ledger.append_many([entry_of(*pair) for pair in zip(envelopes, told, strict=True)])
    return signer, logger


def questions(count, draw):
    low, control, at = draw.random() * 0.99, f"control{draw.randrange(20)}", draw.randrange(count)
    since = START + timedelta(seconds=at)
    return {
        "control": Question(control=control),
        "practice": Question(practice=f"{1 + draw.randrange(5)}a"),
        "role": Question(role=f"role{draw.randrange(6)}"),
        "principal": Question(by=f"person{draw.randrange(50)}@bank"),
        "subject": Question(subject=subject(draw.randrange(5_000))),
        "metric at least": Question(metric="robust_accuracy", least=0.5),
        "metric in a narrow range": Question(metric="robust_accuracy", least=low, most=low + 0.0005),
        "time, an hour": Question(since=since, until=since + timedelta(hours=1)),
        "control, role, principal": Question(control=control, role="role1", by=f"person{draw.randrange(50)}@bank"),
        "control and metric": Question(control=control, metric="robust_accuracy", most=0.05),
        "subject, role, metric": Question(
            subject=subject(draw.randrange(5_000)), role="role2", metric="seconds", least=50
        ),
        "control and time, a day": Question(control=control, since=since, until=since + timedelta(days=1)),
        "no such control": Question(control="none"),
    }


def scan(records, question):
    found = 0
    for index, data in enumerate(records.ledger.entries()):
        entry = read_entry(data, what="entry")
        told = statements.Statement(entry.subjects, entry.predicate_type, {})
        if question.metric:
            told = statements.parse(dsse.decode(records.artifacts.get(entry.envelope), what="envelope").payload)
            assert metrics_of(told) is not None
        found += question.holds(index, entry, told)
    return found


def timed(call, clock=time.perf_counter):
    began = clock()
    result = call()
    return result, 1000 * (clock() - began)


def cpu_of(call):
    return timed(call, time.process_time)[1]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--entries", type=int, default=100_000)
    parser.add_argument("--newest", type=int, default=10)
    parser.add_argument("--repeat", type=int, default=20)
    parser.add_argument("--folder", type=Path)
    parser.add_argument("--json", action="store_true")
    given = parser.parse_args()
    place = Path(tempfile.mkdtemp(dir=given.folder))
    try:
        report(given, place)
    finally:
        shutil.rmtree(place)


def report(given, place):
    home, seen = place / ".hauberk", Seen(place / "state")
    say = (lambda *_: None) if given.json else print
    _, spent = timed(lambda: build(home, given.entries))
    say(f"{given.entries:,} entries written in {spent / 1000:.1f} s")

    def opened():
        return open_records(home, seen=seen)

    def ask(records, question):
        return records.find(question, newest=given.newest)

    records = opened()
    costs = {
        "built from entries": timed(lambda: ask(records, Question(control="none")))[1],
        "metrics from envelopes": timed(lambda: ask(records, Question(metric="none")))[1],
    }
    again, costs["open"] = timed(opened)
    costs["first question after opening"] = timed(lambda: ask(again, Question(control="none")))[1]
    size = sum(file.stat().st_size for file in (home / "index").iterdir())
    for name, cost in costs.items():
        say(f"{name:32} {cost:12,.1f} ms")
    say(f"{'file':32} {size / 2**20:12.1f} MiB")
    draw, rows = random.Random(1), {}
    for _ in range(given.repeat):
        for name, question in questions(given.entries, draw).items():
            found, spent = timed(lambda question=question: ask(again, question))
            _, search = timed(
                lambda question=question: list(islice(again.index.candidates(again.ledger, question), given.newest))
            )
            cpu = cpu_of(lambda question=question: ask(again, question))
            rows.setdefault(name, []).append((spent, cpu, search, len(found)))
    shown = {}
    for name, asked in rows.items():
        spent, cpu, search, hits = zip(*asked, strict=True)
        shown[name] = {
            "find": statistics.median(spent),
            "slowest": max(spent),
            "cpu": statistics.median(cpu),
            "search": statistics.median(search),
            "hits": statistics.median(hits),
        }
    say(f"\n{'question':26} {'find ms':>9} {'slowest':>9} {'CPU ms':>9} {'search':>9} {'hits':>6}")
    for name, row in shown.items():
        say(
            f"{name:26} {row['find']:9.2f} {row['slowest']:9.2f} {row['cpu']:9.2f} {row['search']:9.2f} {row['hits']:6.0f}"
        )
    for name in ("control", "metric in a narrow range"):
        matches, full = timed(lambda name=name: scan(again, questions(given.entries, draw)[name]))
        say(f"full scan, {name}: {full:,.0f} ms, {matches:,} matches")
        shown[name]["full scan"] = full
    met = all(row["cpu"] <= LIMIT_MS for row in shown.values())
    say(f"\nall medians of processor time at most {LIMIT_MS} ms: {'yes' if met else 'NO'}")
    if given.json:
        print(
            json.dumps(
                {"entries": given.entries, "costs_ms": costs, "bytes": size, "questions_ms": shown, "met": met},
                indent=2,
            )
        )


if __name__ == "__main__":
    main()
