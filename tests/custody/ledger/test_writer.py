"""Several writers of one log: they take turns for a commit each, and none is affected by the death of another."""

from __future__ import annotations

import fcntl
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import threading
import time
from contextlib import suppress
from itertools import pairwise
from pathlib import Path

import pytest

from hauberk.core.disk import Disk
from hauberk.core.errors import InvalidInput, NotProven, Unavailable
from hauberk.custody.ledger import Ledger

BATCHES = (1, 2, 251, 1, 1, 1, 600, 3, 2)


@pytest.fixture
def folder(place, origin, signer):
    Ledger.create(place / "log", origin, signer).close()
    return place / "log"


def _free(file: Path) -> bool:
    descriptor = os.open(file, os.O_RDWR)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    finally:
        os.close(descriptor)
    return True


class Gate(Disk):
    """Stops at the commit point until it is opened."""

    def __init__(self) -> None:
        self.reached, self.opened = threading.Event(), threading.Event()

    def rename(self, source, target):
        self.reached.set()
        assert self.opened.wait(30)
        super().rename(source, target)


def _until(condition):
    deadline = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.001)


def test_nothing_holds_the_lock_between_commits(folder, signer):
    with Ledger.open(folder, signer) as log:
        for _ in range(3):
            assert _free(folder / "lock")
            assert _free(folder / "turn")
            log.append(b"entry")


def test_two_open_logs_append_in_turn_and_see_each_other(folder, signer):
    with Ledger.open(folder, signer) as one, Ledger.open(folder, signer) as other:
        assert [log.append(b"%d" % turn) for turn in range(300) for log in (one, other)] == list(range(600))
        assert (one.size, one.refresh(), other.size) == (599, 600, 600)
        assert list(one.entries()) == list(other.entries()) == [b"%d" % (at // 2) for at in range(600)]
        assert other.audit(signer.public).size == 600
        assert one.prove_inclusion(17) == other.prove_inclusion(17)


def test_a_writer_that_waits_goes_before_one_that_has_just_committed(folder, signer):
    gate = Gate()
    order = []
    with Ledger.open(folder, signer, disk=gate) as busy, Ledger.open(folder, signer) as patient:

        def commit_twice():
            order.append(("busy", busy.append(b"first of busy")))
            order.append(("busy", busy.append(b"second of busy")))

        def commit_once():
            order.append(("patient", patient.append(b"of patient")))

        threads = [threading.Thread(target=commit_twice), threading.Thread(target=commit_once)]
        threads[0].start()
        assert gate.reached.wait(30)
        threads[1].start()
        _until(lambda: not _free(folder / "turn"))  # the patient one stands first in line
        gate.opened.set()
        for thread in threads:
            thread.join()
    assert sorted(order, key=lambda found: found[1]) == [("busy", 0), ("patient", 1), ("busy", 2)]


def test_a_lock_that_stays_taken_is_named_and_nothing_is_recorded(folder, signer):
    with Ledger.open(folder, signer, wait=0.01) as log:
        descriptor = os.open(folder / "lock", os.O_RDWR)
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        with pytest.raises(Unavailable, match=r"log/lock for 0\.01 s.*lslocks"):
            log.append(b"entry")
        with pytest.raises(Unavailable, match="lslocks"):
            Ledger.open(folder, signer, wait=0)
        assert Ledger.open(folder).size == 0
        os.close(descriptor)
        assert log.append(b"entry") == 0


def test_a_head_that_did_not_change_is_not_read_again(folder, signer):
    with Ledger.open(folder, signer) as log:
        log.append_many([b"entry"] * 3)
        shutil.rmtree(folder / "tile")  # a commit that reads the right edge again fails
        log._writer._durable.clear()  # the folders have to be made anew
        assert log.append(b"entry") == 3
        (folder / "checkpoint").write_bytes((folder / "checkpoint").read_bytes() + b"\n")
        with pytest.raises(NotProven):  # a changed one is read and refused
            log.append(b"entry")


@pytest.mark.parametrize("unseen", [b"entry", b"another history"])
def test_a_writer_signs_nothing_for_a_log_that_was_rolled_back_or_forked_meanwhile(folder, signer, unseen):
    with Ledger.open(folder, signer) as log:
        log.append_many([b"entry"] * 2)
        shutil.copytree(folder, folder.parent / "old")
        log.append_many([b"entry"] * 300)
        signed = len(signer.messages)
        shutil.rmtree(folder)
        shutil.copytree(folder.parent / "old", folder)
        with pytest.raises(NotProven, match="roll-back"):
            log.append(b"more")
        assert len(signer.messages) == signed
        with Ledger.open(folder, signer) as forked:
            forked.append_many([unseen] * 400)
        if unseen == b"entry":
            assert log.append(b"more") == 402  # the very same history, and longer
        else:
            with pytest.raises(NotProven, match="fork"):
                log.append(b"more")
            with pytest.raises(NotProven, match="fork"):
                log.append(b"more")


def test_what_a_refresh_saw_is_not_forgotten_by_the_next_append(folder, signer):
    with Ledger.open(folder, signer) as log, Ledger.open(folder, signer) as other:
        shutil.copytree(folder, folder.parent / "old")
        other.append(b"entry")
        log.refresh()
        shutil.rmtree(folder)
        shutil.copytree(folder.parent / "old", folder)
        with pytest.raises(NotProven, match="roll-back"):
            log.append(b"more")


def test_a_commit_that_a_killed_process_began_is_completed_by_the_next_append_of_another(folder, signer, lab):
    class DiesAtTheCheckpoint(Disk):
        def rename(self, source, target):  # noqa: ARG002 - the shape of Disk
            raise lab.killed

    with Ledger.open(folder, signer) as living:
        living.append(b"zero")
        dying = Ledger.open(folder, signer, disk=DiesAtTheCheckpoint())
        with pytest.raises(lab.killed):
            dying.append(b"one")
        assert living.append(b"two") == 2
        assert list(living.entries()) == [b"zero", b"one", b"two"]
        assert living.audit(signer.public).size == 3
    assert all(len(roots) == 1 for roots in signer.heads().values())


# -- a fault in one of two writers ----------------------------------------------------------------------------


def _batches():
    made, start = [], 0
    for count in BATCHES:
        made.append([b"entry %d" % index for index in range(start, start + count)])
        start += count
    return made


def _run(folder, signer, disk, killed):
    """Two writers in turn, `disk` of the first with a fault. Returns what was acknowledged, tried and seen."""
    acknowledged, tried, seen = {}, [], []
    logs = []
    with suppress(killed):
        logs = [Ledger.open(folder, signer, disk=disk.beside()), Ledger.open(folder, signer, disk=disk)]
    for number, batch in enumerate(_batches()):
        tried.append(batch)
        log = logs[number % len(logs)] if logs else None
        if log is None:
            break
        try:
            acknowledged.update(zip(log.append_many(batch), batch, strict=True))
            seen.append(log.checkpoint())
        except Unavailable:
            continue
        except killed:
            logs = [] if disk.how == "power" else logs[:1]
    return acknowledged, tried, seen


def _check(folder, signer, outcome):
    acknowledged, tried, seen = outcome
    with Ledger.open(folder, signer) as log:
        for checkpoint in seen:
            log.check_extends(checkpoint, signer.public)
        assert log.audit(signer.public).size == log.size
        entries = list(log.entries())
        assert all(entries[index] == entry for index, entry in acknowledged.items())
        assert entries == [entry for batch in tried if batch[0] in entries for entry in batch]
        assert log.append(b"afterwards") == len(entries)
        log.audit(signer.public)
    assert all(len(roots) == 1 for roots in signer.heads().values()), "two roots signed for one size"


def _inject(place, lab, origin, how, chosen):
    for at in chosen:
        folder, signer = place / f"{how}-{at}", lab.signer()
        Ledger.create(folder, origin, signer).close()
        outcome = _run(folder, signer, lab.disk(folder, at, how), lab.killed)
        if how in ("kill", "torn") and outcome[0]:
            assert outcome[1][-1][-1] in outcome[0].values(), "the other writer did not go on"
        _check(folder, signer, outcome)


def _operations(place, lab, origin):
    folder, signer = place / "count", lab.signer()
    Ledger.create(folder, origin, signer).close()
    disk = lab.disk(folder, 0, "kill")
    _run(folder, signer, disk, lab.killed)
    return disk.count


WAYS = ["full", "kill", "torn", "power"]


@pytest.mark.parametrize("how", WAYS)
def test_a_fault_at_some_writes_of_one_writer_leaves_the_log_sound_for_the_other(place, lab, origin, how):
    total = _operations(place, lab, origin)
    _inject(place, lab, origin, how, random.Random(how).sample(range(3, total + 1), 10))


@pytest.mark.slow
@pytest.mark.parametrize("how", WAYS)
def test_a_fault_at_every_write_of_one_writer_leaves_the_log_sound_for_the_other(place, lab, origin, how):
    total = _operations(place, lab, origin)
    assert total > 30
    _inject(place, lab, origin, how, range(3, total + 1))


@pytest.mark.parametrize("at", range(5, 40, 5))
def test_a_power_cut_after_one_of_two_writers_was_killed_takes_nothing_back(place, lab, origin, signer, at):
    folder = place / "log"
    Ledger.create(folder, origin, signer).close()
    disk = lab.disk(folder, at, "kill")
    outcome = _run(folder, signer, disk, lab.killed)
    disk.lose()
    _check(folder, signer, outcome)


# -- processes ------------------------------------------------------------------------------------------------

WRITER = """
import json, sys
from pathlib import Path
sys.path.insert(0, {here!r})
from conftest import MemorySigner
from hauberk.custody.ledger import Ledger
name, turns = sys.argv[1], int(sys.argv[2])
with Ledger.open(Path({folder!r}), MemorySigner()) as log:
    print("open", flush=True)
    for turn in range(turns):
        batch = [f"{{name}} {{turn}} {{at}}".encode() for at in range(1 + turn % 5)]
        print(json.dumps([name, turn, log.append_many(batch)]), flush=True)
"""


def _writers(folder, names, turns):
    code = WRITER.format(here=str(Path(__file__).parent), folder=str(folder))
    started = [
        subprocess.Popen([sys.executable, "-c", code, name, str(turns)], stdout=subprocess.PIPE, text=True)
        for name in names
    ]
    for process in started:
        assert process.stdout.readline() == "open\n"
    return started


def _told(process):
    return [json.loads(line) for line in process.communicate()[0].split("\n")[:-1]]


def _holds(log, told):
    entries = list(log.entries())
    for name, turn, indices in told:
        assert [entries[index] for index in indices] == [
            f"{name} {turn} {at}".encode() for at in range(len(indices))
        ]
    return entries


def test_four_processes_lose_nothing_and_share_no_index(folder, signer):
    told = [line for process in _writers(folder, "abcd", 40) for line in _told(process)]
    indices = [index for _, _, found in told for index in found]
    with Ledger.open(folder, signer) as log:
        entries = _holds(log, told)
        assert sorted(indices) == list(range(len(entries))) == list(range(480))
        assert log.audit(signer.public).size == 480
    names = [entry.split()[0] for entry in entries]
    assert sum(one != next_ for one, next_ in pairwise(names)) > 8, "they wrote one after another"


def test_kill_9_of_some_writers_takes_nothing_from_the_others(folder, signer):
    pause = random.Random(5)
    doomed, living = _writers(folder, ["x", "y"], 10**6), _writers(folder, ["a", "b"], 120)
    for process in doomed:
        time.sleep(pause.uniform(0.05, 0.2))
        process.send_signal(signal.SIGKILL)
    told = [_told(process) for process in (*living, *doomed)]
    assert [len(lines) for lines in told[:2]] == [120, 120]
    with Ledger.open(folder, signer) as log:
        entries = _holds(log, [line for lines in told for line in lines])
        assert log.audit(signer.public).size == len(set(entries)) == len(entries)


@pytest.mark.parametrize("planted", ["link", "pipe"])
def test_what_is_planted_for_the_intent_neither_holds_a_writer_nor_leads_it_elsewhere(folder, signer, planted):
    victim, intent = folder / "victim", folder / "intent"
    victim.write_bytes(b"precious")
    if planted == "link":
        intent.symlink_to(victim)
    else:
        os.mkfifo(intent)
    with Ledger.open(folder, signer) as ledger:
        ledger.append(b"one")
    assert (victim.read_bytes(), intent.is_symlink(), intent.is_file()) == (b"precious", False, True)


def test_an_intent_of_another_history_is_not_completed(place, origin, signer):
    logs = {}
    for name, entries in (("one", [b"a"]), ("other", [b"b", b"c"])):
        logs[name] = place / name
        with Ledger.create(logs[name], origin, signer) as log:
            log.append_many(entries)
    before = (logs["one"] / "checkpoint").read_bytes()
    shutil.copytree(logs["other"] / "tile", logs["one"] / "tile", dirs_exist_ok=True)
    shutil.copy(logs["other"] / "intent", logs["one"] / "intent")
    with pytest.raises(NotProven, match="fork"):
        Ledger.open(logs["one"], signer)
    assert (logs["one"] / "checkpoint").read_bytes() == before


def test_no_log_is_begun_where_an_intent_remains(folder, origin, signer):
    with Ledger.open(folder, signer) as log:
        log.append(b"entry")
    shutil.rmtree(folder / "tile")
    (folder / "checkpoint").unlink()
    with pytest.raises(NotProven, match="a ledger was here"):
        Ledger.create(folder, origin, signer)


def test_a_child_of_a_fork_does_not_append_with_its_parents_log(folder, signer):
    with Ledger.open(folder, signer) as log:
        child = os.fork()
        if child == 0:
            code = 0
            try:
                log.append(b"of the child")
            except InvalidInput:
                code = 7
            finally:
                os._exit(code)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 7
        assert log.append(b"of the parent") == 0
