from __future__ import annotations

import base64
import json
import subprocess
import sys
from datetime import UTC, datetime, timedelta

import pytest

from hauberk.core import canonical
from hauberk.core.disk import Disk
from hauberk.core.errors import InvalidInput, NotProven, Unavailable
from hauberk.core.evidence import Subject
from hauberk.core.progress import Progress
from hauberk.custody import dsse
from hauberk.custody.seen import Seen
from hauberk.records.reader import read_publics
from hauberk.records.steps import Product, Steps
from hauberk.records.workshop import LOGGING, Workshop, rfc3339

NOON = datetime(2026, 1, 2, 12, tzinfo=UTC)
DATA = Subject("dataset", "ab" * 32)


class Clock:
    def __init__(self, now: datetime = NOON) -> None:
        self.now = now

    def __call__(self) -> datetime:
        return self.now


@pytest.fixture
def opens(tmp_path, cheap_keys):
    def open_workshop(clock=None, seen=None, passphrase=b"correct horse", disk=None, job="") -> Workshop:
        return Workshop.open(
            tmp_path / ".hauberk",
            name="test",
            keys_uri=cheap_keys(tmp_path / ".hauberk" / "keyring"),
            passphrase=lambda: passphrase,
            clock=clock or Clock(),
            seen=seen or Seen(tmp_path / "seen.json"),
            disk=disk,
            job=job,
        )

    return open_workshop


def steps_of(workshop: Workshop) -> Steps:
    return Steps(workshop, progress=Progress(visible=False))


class Work:
    """Counts how often it is done."""

    def __init__(self, workshop: Workshop, output: bytes = b"made") -> None:
        self.workshop, self.output, self.times = workshop, output, 0

    def __call__(self, _task) -> Product:
        self.times += 1
        digest = self.workshop.artifacts.put(self.output)
        event = self.workshop.event("thing.made", (DATA,), bytes=len(self.output))
        return Product(outputs={"thing": digest}, statements=[event], values={"n": 1})


def test_an_attestation_is_signed_stored_and_logged(opens):
    with opens() as workshop:
        logged = workshop.attest(workshop.event("data.loaded", (DATA,), rows=3))
        entry = json.loads(workshop.ledger.entry(logged.index))
        assert entry["envelope"] == logged.digest
        assert entry["kind"] == "data.loaded"
        assert entry["time"] == rfc3339(NOON)
        assert workshop.recall(logged.index, logged.digest) == logged


def test_many_attestations_are_one_commit_in_their_order(opens):
    class Counting(Disk):
        commits = 0

        def rename(self, source, target):
            self.commits += target.name == "checkpoint"
            super().rename(source, target)

    disk = Counting()
    with opens(disk=disk) as workshop:
        first = workshop.attest(workshop.event("before", (DATA,)))
        before = disk.commits
        logged = workshop.attest_many([workshop.event("one", (DATA,), n=number) for number in range(40)])
        assert disk.commits == before + 1
        assert [one.index for one in (first, *logged)] == list(range(41))
        for number, one in enumerate(logged):
            assert workshop.recall(one.index, one.digest) == one
            assert one.statement.predicate["details"] == {"n": number}
        assert workshop.attest_many([]) == []


def test_of_many_attestations_all_are_logged_or_none(opens):
    with opens() as workshop:
        good, bad = workshop.event("one", (DATA,)), workshop.event("two", (DATA,), n=float("nan"))
        with pytest.raises(InvalidInput):
            workshop.attest_many([good, bad])
        assert workshop.ledger.size == 0


def test_a_step_is_done_once_for_the_same_inputs(opens):
    with opens() as workshop:
        work = Work(workshop)
        first = steps_of(workshop).do("make", "Make", {"seed": 1}, work)
        again = steps_of(workshop).do("make", "Make", {"seed": 1}, work)
        assert (work.times, first.cached, again.cached) == (1, False, True)
        assert again.outputs == first.outputs
        assert again.logged == first.logged
        assert workshop.ledger.size == 1


def test_a_step_survives_the_process(opens):
    with opens() as workshop:
        done = steps_of(workshop).do("make", "Make", {}, Work(workshop))
    with opens() as workshop:
        work = Work(workshop)
        assert steps_of(workshop).do("make", "Make", {}, work).logged == done.logged
        assert work.times == 0


def test_a_changed_input_does_the_step_again(opens):
    with opens() as workshop:
        work = Work(workshop)
        steps_of(workshop).do("make", "Make", {"seed": 1}, work)
        steps_of(workshop).do("make", "Make", {"seed": 2}, work)
        assert work.times == 2


@pytest.mark.parametrize("damage", ["artifact", "record", "garbage", "envelope"])
def test_a_step_whose_traces_are_gone_is_done_again(opens, damage):
    with opens() as workshop:
        work = Work(workshop)
        done = steps_of(workshop).do("make", "Make", {}, work)
        store = workshop.folder / "store"
        if damage == "artifact":
            _file_of(store, done.outputs["thing"]).unlink()
        elif damage == "envelope":
            _file_of(store, done.logged[0].digest).unlink()
        elif damage == "record":
            (workshop.folder / "steps" / "make.json").unlink()
        else:
            (workshop.folder / "steps" / "make.json").write_bytes(b'{"key":')
        steps_of(workshop).do("make", "Make", {}, work)
        assert work.times == 2


def _file_of(store, digest):
    (found,) = [path for path in store.rglob("*") if path.is_file() and digest.endswith(path.name[-60:])]
    return found


def test_what_a_step_left_outside_can_call_for_it_again(opens):
    with opens() as workshop:
        work = Work(workshop)
        steps_of(workshop).do("make", "Make", {}, work)
        steps_of(workshop).do("make", "Make", {}, work, still=lambda outputs: "thing" not in outputs)
        assert work.times == 2


@pytest.mark.parametrize("signed", ["not", "by the project before", "by another"])
def test_a_record_that_was_forged_counts_as_none(opens, signed):
    """Whoever may write the folder and has no key cannot have another model taken for the one that was trained."""
    with opens() as workshop:
        work = Work(workshop)
        steps_of(workshop).do("make", "Make", {}, work)
        file = workshop.folder / "steps" / "make.json"
        written = dsse.decode(file.read_bytes(), what="record")
        record = json.loads(written.payload)
        record["outputs"]["thing"] = workshop.artifacts.put(b"another model")
        payload = canonical.encode(record)
        if signed == "not":
            file.write_bytes(payload)
        elif signed == "by another":
            file.write_bytes(dsse.sign(payload, written.payload_type, [workshop.keys.signer(LOGGING)]))
        else:
            text = base64.b64encode(payload).decode()
            file.write_text(json.dumps(json.loads(file.read_bytes()) | {"payload": text}))
        steps_of(workshop).do("make", "Make", {}, work)
        assert work.times == 2


def test_a_record_cannot_point_to_evidence_that_was_not_logged(opens):
    with opens() as workshop:
        work = Work(workshop)
        steps_of(workshop).do("make", "Make", {}, work)
        file = workshop.folder / "steps" / "make.json"
        written = dsse.decode(file.read_bytes(), what="record")
        payload = written.payload.replace(b'"index":0', b'"index":1')
        file.write_bytes(dsse.sign(payload, written.payload_type, [workshop.signer]))
        steps_of(workshop).do("make", "Make", {}, work)
        assert work.times == 2


def test_a_clock_that_was_moved_back_is_refused_and_nothing_is_written(opens):
    with opens() as workshop:
        workshop.attest(workshop.event("data.loaded", (DATA,)))
    with pytest.raises(InvalidInput, match="correct this machine's clock"):
        opens(clock=Clock(NOON - timedelta(minutes=5)))
    with opens(clock=Clock(NOON - timedelta(seconds=1))) as workshop:
        assert workshop.ledger.size == 1


def test_a_ledger_rolled_back_behind_what_was_seen_is_refused(opens, tmp_path):
    import shutil

    seen = Seen(tmp_path / "seen.json")
    with opens(seen=seen) as workshop:
        workshop.attest(workshop.event("a", (DATA,)))
    shutil.copytree(tmp_path / ".hauberk", tmp_path / "old")
    with opens(seen=seen) as workshop:
        workshop.attest(workshop.event("b", (DATA,)))
    shutil.rmtree(tmp_path / ".hauberk")
    shutil.copytree(tmp_path / "old", tmp_path / ".hauberk")
    with pytest.raises(NotProven, match="roll-back"):
        opens(seen=seen)


def test_a_tampered_ledger_is_refused(opens, tmp_path):
    with opens() as workshop:
        workshop.attest(workshop.event("a", (DATA,)))
    for path in (tmp_path / ".hauberk" / "ledger" / "tile").rglob("*"):
        if path.is_file():
            data = bytearray(path.read_bytes())
            data[len(data) // 2] ^= 1
            path.write_bytes(bytes(data))
    with pytest.raises(NotProven):
        opens()


def test_a_wrong_passphrase_is_bad_input(opens):
    opens().close()
    with pytest.raises(InvalidInput, match="passphrase"):
        opens(passphrase=b"another horse")


def test_a_job_is_alone_and_all_else_writes_beside_it(opens):
    with opens(job="protect") as job:
        with pytest.raises(Unavailable, match=r"another job \(protect, process \d+\).*`hauberk update` again"):
            opens(job="update")
        with opens() as server:
            first = server.attest(server.event("served", (DATA,)))
            second = job.attest(job.event("step", (DATA,)))
            third = server.attest(server.event("served", (DATA,)))
            assert [logged.index for logged in (first, second, third)] == [0, 1, 2]
            assert server.recall(second.index, second.digest) == second
            assert job.recall(third.index, third.digest) == third
    with opens(job="update") as job:
        assert job.ledger.size == 3


def test_a_job_that_could_not_open_leaves_no_lock(opens):
    opens().close()
    with pytest.raises(InvalidInput):
        opens(job="protect", passphrase=b"another horse")
    opens(job="protect").close()


def test_a_workshop_that_closes_late_does_not_forget_what_another_saw(opens, tmp_path):
    seen = Seen(tmp_path / "seen")
    early = opens(seen=seen)
    with opens(seen=seen) as other:
        other.attest(other.event("a", (DATA,)))
        newest = other.ledger.checkpoint()
        origin = other.ledger.origin
    early.close()
    assert seen.get(f"{origin} (writer)") == newest


def test_after_the_log_key_is_rotated_what_was_seen_before_still_counts(opens, tmp_path):
    seen = Seen(tmp_path / "seen")
    with opens(seen=seen) as workshop:
        workshop.attest(workshop.event("a", (DATA,)))
        workshop.keys.rotate("ledger")
    with opens(seen=seen) as workshop:
        assert workshop.attest(workshop.event("b", (DATA,))).index == 1


BEGINS = """
import sys
from pathlib import Path
from hauberk.custody.seen import Seen
from hauberk.core.evidence import Subject
from hauberk.records.workshop import Workshop
home = Path(sys.argv[1])
opening = {"name": "t", "keys_uri": f"keyring:{home}/keyring", "passphrase": lambda: b"correct horse"}
with Workshop.open(home, seen=Seen(home / "seen"), **opening) as workshop:
    for turn in range(5):
        print(workshop.attest(workshop.event("begun", (Subject("x", "ab" * 32),), turn=turn)).index, flush=True)
"""


def test_two_first_openings_at_once_make_one_ledger_and_one_set_of_keys(tmp_path, cheap_keys):
    cheap_keys(tmp_path / "keyring")
    started = [
        subprocess.Popen([sys.executable, "-c", BEGINS, str(tmp_path)], stdout=subprocess.PIPE, text=True)
        for _ in range(2)
    ]
    told = [int(line) for process in started for line in process.communicate()[0].split()]
    assert [process.returncode for process in started] == [0, 0]
    assert sorted(told) == list(range(10))


def test_public_keys_are_published_for_those_without_the_passphrase(opens):
    with opens() as workshop:
        workshop.keys.rotate("signing")
        publics = workshop.keys.publics("signing")
    with opens() as workshop:
        assert read_publics(workshop.folder / "signing.pub") == publics
