from __future__ import annotations

import errno
import fcntl
import json
import os
import signal
import stat
import subprocess
import sys
import threading
import time
from datetime import UTC, datetime, timedelta

import pytest

from hauberk.core import canonical
from hauberk.core.disk import Disk
from hauberk.core.errors import InvalidInput, NotProven, Unavailable
from hauberk.core.evidence import Subject
from hauberk.custody.ledger import VerifierKey, levels, merkle
from hauberk.custody.seen import Seen
from hauberk.records import spool
from hauberk.records.reader import read_publics
from hauberk.records.spool import SEGMENT_EVENT, Place, Spool, prove, read_segment, recover, verify
from hauberk.records.workshop import Workshop

NOON = datetime(2026, 1, 2, 12, tzinfo=UTC)


class Clock:
    def __init__(self) -> None:
        self.now = NOON

    def __call__(self) -> datetime:
        return self.now


@pytest.fixture
def home(tmp_path, cheap_keys):
    cheap_keys(tmp_path / ".hauberk" / "keyring")
    return tmp_path / ".hauberk"


def opened(home) -> Workshop:
    return Workshop.open(
        home,
        name="test",
        keys_uri=f"keyring:{home}/keyring",
        passphrase=lambda: b"correct horse",
        seen=Seen(home / "seen"),
    )


@pytest.fixture
def workshop(home):
    with opened(home) as workshop:
        yield workshop


def _events(count, start=0):
    return [{"n": number, "what": "predicted", "line": "one\ntwo"} for number in range(start, start + count)]


def _keys(home, origin):
    log = [VerifierKey(origin, public) for public in read_publics(home / "ledger.pub")]
    return {"signers": read_publics(home / "signing.pub"), "log": log}


def _file(home, name):
    return home / "spool" / f"{name}.events"


def _spooled(workshop, count=5):
    with Spool(workshop, clock=Clock()) as written:
        return written.add_many(_events(count))


def test_each_event_is_proven_offline_from_the_keys_alone(workshop, home):
    with Spool(workshop, clock=Clock()) as written:
        places = [written.add(event) for event in _events(7)]
    assert workshop.ledger.size == 1
    keys = _keys(home, workshop.ledger.origin)
    for place, event in zip(places, _events(7), strict=True):
        proof = json.loads(json.dumps(prove(home, place)))
        shown = verify(proof, **keys)
        assert (shown.event, shown.place, shown.index) == (event, place, 0)
    assert read_segment(home, places[0].segment) == _events(7)


def test_the_root_is_that_of_rfc_6962_over_the_events(workshop, home):
    (place, *_) = _spooled(workshop, 11)
    note = json.loads(_file(home, place.segment).with_suffix(".attested").read_bytes())
    details = workshop.recall(note["index"], note["envelope"]).statement.predicate["details"]
    leaves = [merkle.leaf_hash(canonical.encode(event)) for event in _events(11)]
    assert details["root"] == merkle.root_of(leaves).hex() == levels.root_of(leaves).hex()
    assert (details["events"], details["torn_bytes"]) == (11, 0)


def _line(event):
    return spool._line(canonical.encode(event))


@pytest.mark.parametrize("what", ["changed", "removed", "cut", "reordered", "inserted", "added", "header", "torn"])
def test_what_was_done_to_an_attested_segment_is_noticed(workshop, home, what):
    (place, *_) = _spooled(workshop)
    path = _file(home, place.segment)
    lines = path.read_bytes().splitlines(keepends=True)
    done = {
        "changed": [*lines[:2], _line({"n": 99}), *lines[3:]],
        "removed": [*lines[:2], *lines[3:]],
        "cut": lines[:-1],
        "reordered": [lines[0], lines[2], lines[1], *lines[3:]],
        "inserted": [*lines[:2], _line({"n": 99}), *lines[2:]],
        "added": [*lines, _line({"n": 99})],
        "header": [spool._header(place.segment, NOON + timedelta(days=1)), *lines[1:]],
        "torn": [*lines, b"0000"],
    }
    path.write_bytes(b"".join(done[what]))
    with pytest.raises(NotProven, match="not the segment that was attested"):
        read_segment(home, place.segment)
    with pytest.raises(NotProven):
        prove(home, place)


def test_a_proof_of_one_event_proves_no_other(workshop, home):
    places = _spooled(workshop)
    logged = workshop.attest(workshop.event("something.else", (Subject("x", "ab" * 32),)))
    other = workshop.artifacts.get(logged.digest).decode()
    proof, keys = prove(home, places[2]), _keys(home, workshop.ledger.origin)
    ledger = workshop.ledger.tlog_proof(logged.index).decode()
    for bad in (
        {"event": proof["event"] | {"n": 3}},
        {"index": 3},
        {"hashes": proof["hashes"][1:]},
        {"hashes": [*proof["hashes"][:-1], "00" * 32]},
        {"envelope": other},
        {"ledger": ledger},
        {"envelope": other, "ledger": ledger},
        {"envelope": proof["envelope"].replace("payload", "paylaod", 1)},
    ):
        with pytest.raises((NotProven, InvalidInput)):
            verify(proof | bad, **keys)
    with pytest.raises(NotProven):
        verify(proof, signers=keys["log"][0].public and [keys["log"][0].public], log=keys["log"])
    for bad in ({"version": 2}, {"type": "x"}, {"index": "2"}, {"hashes": [5]}, {"ledger": None}):
        with pytest.raises(InvalidInput):
            verify(proof | bad, **keys)


def test_a_segment_ends_when_it_is_full_and_when_its_time_is_up(workshop, home):
    clock = Clock()
    with Spool(workshop, clock=clock, most=10) as written:
        places = written.add_many(_events(25))
        assert workshop.ledger.size == 2
        clock.now += timedelta(seconds=0.9)
        written.tick()
        assert workshop.ledger.size == 2
        clock.now += timedelta(seconds=0.1)
        written.tick()
        assert workshop.ledger.size == 3
        last = written.add({"n": 25})
    assert workshop.ledger.size == 4
    assert [place.index for place in places] == [*range(10), *range(10), *range(5)]
    names = list(dict.fromkeys([place.segment for place in places] + [last.segment]))
    assert [event["n"] for name in names for event in read_segment(home, name)] == list(range(26))


def test_an_event_of_a_segment_that_is_open_is_not_proven_yet(workshop, home):
    with Spool(workshop, clock=Clock()) as written:
        place = written.add({"n": 0})
        with pytest.raises(InvalidInput, match="not attested yet"):
            prove(home, place)
    with pytest.raises(InvalidInput, match="there is no 1"):
        prove(home, Place(place.segment, 1))
    with pytest.raises(InvalidInput, match="no segment"):
        read_segment(home, "other")
    with pytest.raises(InvalidInput, match="not the name"):
        read_segment(home, "../spool/x")


def test_what_is_no_small_json_object_is_refused_and_costs_nobody_else_anything(workshop, home):
    with Spool(workshop, clock=Clock()) as written:
        with pytest.raises(InvalidInput, match="65535"):
            written.add({"text": "x" * 70_000})
        with pytest.raises(InvalidInput):
            written.add_many([{"n": 0}, {"n": float("nan")}])
        place = written.add({"n": 1})
    assert read_segment(home, place.segment) == [{"n": 1}]


def test_threads_share_the_sync_of_the_disk(workshop, home):
    class Counting(Disk):
        syncs = 0
        gate = threading.Event()

        def sync(self, descriptor):
            self.syncs += stat.S_ISREG(os.fstat(descriptor).st_mode)
            if self.syncs == 2:  # the first event's; the header's came before
                assert self.gate.wait(30)
            super().sync(descriptor)

    disk = Counting()
    with Spool(workshop, clock=Clock(), disk=disk) as written:
        threads = [threading.Thread(target=written.add, args=({"n": number},)) for number in range(12)]
        for thread in threads:
            thread.start()
        while written._group.waiting < 11:
            time.sleep(0.001)
        disk.gate.set()
        for thread in threads:
            thread.join()
        assert disk.syncs == 3
        name = written.add({"n": 12}).segment
    assert sorted(event["n"] for event in read_segment(home, name)) == list(range(13))


# -- faults ---------------------------------------------------------------------------------------------------


class Full(Disk):
    """Writes half and fails, when told to."""

    full = False

    def store(self, descriptor, data):
        if self.full:
            super().store(descriptor, data[: len(data) // 2])
            raise OSError(28, "No space left on device")
        super().store(descriptor, data)


def test_a_full_disk_is_reported_and_later_events_follow_on_those_before(workshop, home):
    disk = Full()
    with Spool(workshop, clock=Clock(), disk=disk) as written:
        first = written.add({"n": 0})
        disk.full = True
        with pytest.raises(Unavailable, match="no space left"):
            written.add({"n": 1})
        disk.full = False
        assert written.add({"n": 2}) == Place(first.segment, 1)
    assert read_segment(home, first.segment) == [{"n": 0}, {"n": 2}]


def test_events_go_on_while_the_ledger_cannot_be_written(workshop, home):
    workshop.ledger._limit = 0.01
    clock = Clock()
    with Spool(workshop, clock=clock, most=2) as written:
        descriptor = os.open(home / "ledger" / "lock", os.O_RDWR)
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        places = written.add_many(_events(5))
        clock.now += timedelta(seconds=2)
        with pytest.raises(Unavailable, match="lslocks"):
            written.tick()
        os.close(descriptor)
        written.tick()
        assert workshop.ledger.size == 3
    assert read_segment(home, places[4].segment) == _events(1, 4)


def _left(workshop, events):
    """Write a segment and let go of it as a kill does."""
    written = Spool(workshop, clock=Clock())
    places = written.add_many(events)
    os.close(written._segment.descriptor)
    return places[0].segment


@pytest.mark.parametrize("rest", [b"", b"1", b'12345678 {"n":', b'00000000 {"n":9}\n', bytes(100), b"\n\n"])
def test_a_segment_that_a_kill_left_is_attested_at_the_next_opening_without_its_torn_end(workshop, home, rest):
    name = _left(workshop, _events(4))
    with _file(home, name).open("ab") as file:
        file.write(rest)
    with Spool(workshop, clock=Clock()):
        assert workshop.ledger.size == 1
    assert read_segment(home, name) == _events(4)
    note = json.loads(_file(home, name).with_suffix(".attested").read_bytes())
    details = workshop.recall(0, note["envelope"]).statement.predicate["details"]
    assert (details["torn_bytes"], details["recovered"]) == (len(rest), True)
    assert recover(workshop) == []


def test_events_behind_a_torn_place_are_kept(workshop, home):
    name = _left(workshop, _events(4))
    lines = _file(home, name).read_bytes().splitlines(keepends=True)
    _file(home, name).write_bytes(b"".join([*lines[:2], bytes(len(lines[2])), *lines[3:]]))
    assert recover(workshop) == [name]
    # The zeros have no newline, so they spoil the line after them too.
    assert [event["n"] for event in read_segment(home, name)] == [0, 3]


def test_a_segment_without_an_event_leaves_nothing(workshop, home):
    (home / "spool").mkdir()
    (home / "spool" / "x.events").write_bytes(b'00000000 {"ty')
    assert recover(workshop) == ["x"]
    assert workshop.ledger.size == 0
    assert not list((home / "spool").glob("*.events"))


def test_a_kill_between_logging_and_noting_does_not_attest_twice(workshop, home):
    (place, *_) = _spooled(workshop)
    _file(home, place.segment).with_suffix(".attested").unlink()
    assert recover(workshop) == [place.segment]
    assert workshop.ledger.size == 1
    assert read_segment(home, place.segment) == _events(5)


def test_a_segment_of_a_later_version_is_left_alone(workshop, home):
    header = {"type": "hauberk.spool", "version": 2}
    (home / "spool").mkdir()
    (home / "spool" / "x.events").write_bytes(_line(header) + _line({"n": 1}))
    with pytest.raises(InvalidInput, match="version 1"):
        recover(workshop)
    assert (home / "spool" / "x.events").exists()


WRITES = """
import json, sys
from datetime import timedelta
from pathlib import Path
from hauberk.custody.seen import Seen
from hauberk.records.spool import Spool
from hauberk.records.workshop import Workshop
home, name, most = Path(sys.argv[1]), sys.argv[2], int(sys.argv[3])
opening = {"name": "test", "keys_uri": f"keyring:{home}/keyring", "passphrase": lambda: b"correct horse"}
with Workshop.open(home, seen=Seen(home / "seen"), **opening) as workshop, Spool(workshop, most=200) as spool:
    number = 0
    while number < most:
        places = spool.add_many([{"by": name, "n": number + at} for at in range(7)])
        number += 7
        print(json.dumps([[place.segment, place.index] for place in places]), flush=True)
"""


def _writers(home, names, most):
    return [
        subprocess.Popen(
            [sys.executable, "-c", WRITES, str(home), name, str(most)], stdout=subprocess.PIPE, text=True
        )
        for name in names
    ]


def test_two_processes_spool_at_once_and_a_kill_9_loses_nothing_durable(workshop, home):
    doomed, living = _writers(home, ["doomed"], 10**9)[0], _writers(home, ["living"], 1400)[0]
    heard = [json.loads(doomed.stdout.readline()) for _ in range(60)]
    doomed.send_signal(signal.SIGKILL)
    heard += [json.loads(line) for line in doomed.communicate()[0].split("\n")[:-1]]
    told = [json.loads(line) for line in living.communicate()[0].split("\n")[:-1]]
    assert (living.returncode, len(told)) == (0, 200)
    recover(workshop)
    found = {}
    for path in (home / "spool").glob("*.events"):
        for index, event in enumerate(read_segment(home, path.stem)):
            found[path.stem, index] = event
    for name, lines in (("doomed", heard), ("living", told)):
        places = [tuple(place) for line in lines for place in line]
        assert [found[place] for place in places] == [{"by": name, "n": number} for number in range(len(places))]
    kinds = [json.loads(entry)["kind"] for entry in workshop.ledger.entries()]
    workshop.ledger.refresh()
    segments = {segment for segment, _ in found}
    assert len(list(workshop.ledger.entries())) == len(segments)
    assert set(kinds) <= {SEGMENT_EVENT}


def test_what_another_process_is_writing_is_left_to_it(workshop, home):
    with Spool(workshop, clock=Clock()) as written:
        place = written.add({"n": 0})
        assert recover(workshop) == []
        assert not _file(home, place.segment).with_suffix(".attested").exists()
    assert read_segment(home, place.segment) == [{"n": 0}]


def test_an_attested_segment_is_not_attested_again_with_other_events(workshop, home):
    """Whoever removes the note and changes the events finds that the ledger remembers the segment by its name."""
    (place, *_) = _spooled(workshop)
    path = _file(home, place.segment)
    path.with_suffix(".attested").unlink()
    path.write_bytes(spool._header(place.segment, NOON) + _line({"n": 99}))
    with pytest.raises(NotProven, match="was attested with other bytes"):
        Spool(workshop, clock=Clock())
    assert workshop.ledger.size == 1
    with pytest.raises(InvalidInput):
        read_segment(home, place.segment)


def test_events_under_a_header_that_was_spoiled_are_not_removed(workshop, home):
    name = _left(workshop, _events(3))
    path = _file(home, name)
    data = path.read_bytes()
    path.write_bytes(b"X" + data[1:])
    with pytest.raises(NotProven, match="header"):
        recover(workshop)
    assert path.read_bytes()[1:] == data[1:]


def test_a_disk_that_fails_while_a_left_segment_is_attested_is_reported(workshop):
    _left(workshop, _events(3))

    class Full(Disk):
        def rename(self, source, target):  # noqa: ARG002 - of Disk
            raise OSError(errno.ENOSPC, "no space left")

    with pytest.raises(Unavailable, match="no space"):
        recover(workshop, disk=Full())


def test_a_segments_name_is_durable_before_an_event_in_it_is_acknowledged(workshop):
    steps = []

    class Noting(Disk):
        def rename(self, source, target):
            super().rename(source, target)
            steps.append("renamed")

        def sync_folder(self, path):
            super().sync_folder(path)
            steps.append(f"synced {path.name}")

        def store(self, descriptor, data):
            super().store(descriptor, data)
            steps.append("stored")

        def sync(self, descriptor):
            super().sync(descriptor)
            steps.append("synced")

    with Spool(workshop, clock=Clock(), disk=Noting()) as written:
        steps.clear()
        written.add({"n": 1})
        assert steps == ["stored", "synced", "renamed", "synced", "synced spool", "stored", "synced"]


def test_callers_that_share_a_commit_get_each_the_places_of_their_own_events(workshop):
    with Spool(workshop, clock=Clock(), most=4) as written:
        batch = [tuple(canonical.encode(event) for event in _events(count)) for count in (2, 3, 0, 1)]
        places = written._commit(batch)
    assert [len(each) for each in places] == [2, 3, 0, 1]
    flat = [place for each in places for place in each]
    assert [place.index for place in flat] == [0, 1, 2, 3, 0, 1]
    assert len({place.segment for place in flat}) == 2


@pytest.mark.parametrize("index", [-1, 5])
def test_an_event_beyond_its_segment_is_refused(workshop, home, index):
    (place, *_) = _spooled(workshop)
    with pytest.raises(InvalidInput, match="has 5 events"):
        prove(home, Place(place.segment, index))


@pytest.mark.parametrize("moved", ["index", "index and envelope"])
def test_a_note_that_names_another_attestation_is_noticed(workshop, home, moved):
    (place, *_) = _spooled(workshop)
    details = {"segment": place.segment, "events": 5, "root": "00" * 32}
    logged = workshop.attest(workshop.event("something.else", (Subject("x", "ab" * 32),), **details))
    note = _file(home, place.segment).with_suffix(".attested")
    value = json.loads(note.read_bytes())
    value["index"] = logged.index
    if moved != "index":
        value["envelope"] = logged.digest
    note.write_bytes(canonical.encode(value))
    expected = "is not the attestation of segment" if moved == "index" else "not of a segment of events"
    with pytest.raises(NotProven, match=expected):
        read_segment(home, place.segment)


def test_the_largest_event_is_taken_and_one_byte_more_is_refused(workshop):
    most = spool.LARGEST_EVENT - len(b'{"x":""}')
    with Spool(workshop, clock=Clock()) as written:
        assert written.add({"x": "a" * most}).index == 0
        with pytest.raises(InvalidInput, match="at most 65535 bytes"):
            written.add({"x": "a" * (most + 1)})
