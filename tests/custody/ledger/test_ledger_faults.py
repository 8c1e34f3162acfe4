"""Whatever fails at whatever write, the log stays sound: nothing acknowledged is lost, no size signed twice."""

from __future__ import annotations

import random
import shutil
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

import pytest

from hauberk.core.errors import HauberkError, InvalidInput, Unavailable
from hauberk.custody.ledger import Ledger

# Within one tile, up to its end, across it, across several tiles with a level above, and on.
BATCHES = (1, 2, 252, 1, 1, 600, 3)


def _batches():
    made, start = [], 0
    for count in BATCHES:
        made.append([b"entry %d " % index + b"x" * (index % 7) for index in range(start, start + count)])
        start += count
    return made


def _run(folder, signer, disk):
    """Append until the end or the kill. Returns the acknowledged entries, all tried, and the checkpoints seen."""
    acknowledged, tried, seen = {}, [], []
    log = None
    try:
        log = _create(folder, signer, disk)
        seen.append(log.checkpoint())
        for batch in _batches():
            tried.append(batch)
            with suppress(Unavailable):
                indices = log.append_many(batch)
                acknowledged.update(zip(indices, batch, strict=True))
                seen.append(log.checkpoint())
    except disk.killed:
        pass
    finally:
        if log is not None:
            log.close()
    return acknowledged, tried, seen


def _create(folder, signer, disk):
    for _ in range(2):
        try:
            return Ledger.create(folder, signer.origin, signer, disk=disk)
        except Unavailable:
            continue
        except InvalidInput:
            break
    return Ledger.open(folder, signer, disk=disk)


def _check(folder, signer, outcome):
    acknowledged, tried, seen = outcome
    log = _create(folder, signer, _disk())
    with log:
        for checkpoint in seen:
            log.check_extends(checkpoint, signer.public)
        assert log.audit(signer.public).size == log.size
        entries = list(log.entries())
        assert all(entries[index] == entry for index, entry in acknowledged.items())
        _all_or_none(entries, tried)
        first = log.append(b"afterwards")
        assert log.entry(first) == b"afterwards"
        found = log.audit(signer.public)
    assert found.size == len(entries) + 1
    # What a dead commit left beyond the end gives way to the next ones. Older partial files, whose removal was
    # cut short, may stay: at most the bundle and the tile of each level that one commit replaced.
    with Ledger.open(folder, signer) as log:
        log.append_many([b"fill %d" % index for index in range(1200)])
        assert log.audit(signer.public).ignored <= 3
    assert all(len(roots) == 1 for roots in signer.heads().values()), "two roots signed for one size"


def _all_or_none(entries, tried):
    for batch in tried:
        present = [entry in entries for entry in (batch[0], batch[-1])]
        assert all(present) or not any(present), "a batch was recorded in part"
    assert entries == [entry for batch in tried if batch[0] in entries for entry in batch]


def _disk():
    from hauberk.core.disk import Disk

    return Disk()


def _operations(place, lab):
    disk = lab.disk(place / "count", 0, "kill")
    _run(place / "count", lab.signer(), disk)
    return disk.count


def _inject(place, lab, how, chosen):
    for at in chosen:
        folder, signer = place / f"{how}-{at}", lab.signer()
        outcome = _run(folder, signer, lab.disk(folder, at, how))
        _check(folder, signer, outcome)


WAYS = ["full", "kill", "torn", "power"]


@pytest.mark.parametrize("how", WAYS)
def test_a_fault_at_some_writes_leaves_the_log_sound(place, lab, how):
    total = _operations(place, lab)
    chosen = random.Random(how).sample(range(1, total + 1), 14)
    _inject(place, lab, how, chosen)


@pytest.mark.slow
@pytest.mark.parametrize("how", WAYS)
def test_a_fault_at_every_write_leaves_the_log_sound(place, lab, how):
    total = _operations(place, lab)
    assert total > 80
    _inject(place, lab, how, range(1, total + 1))


@pytest.mark.slow
@pytest.mark.parametrize("first", ["power", "kill"])
def test_a_power_cut_while_the_first_fault_is_repaired_leaves_the_log_sound(place, lab, first):
    total = _operations(place, lab)
    for at in range(10, total + 1, 3):
        _fault_twice(place / f"{at}", lab, first, at, range(1, 15))


def test_a_power_cut_right_after_a_kill_takes_no_signed_head_back(place, lab):
    total = _operations(place, lab)
    for at in range(total - 9, total + 1):
        _fault_twice(place / f"{at}", lab, "kill", at, (2, 4, 6, 9))


def test_a_folder_that_a_killed_process_made_is_synced_by_the_next(place, origin, signer, lab):
    folder = place / "log"
    Ledger.create(folder, origin, signer).close()
    for at in range(1, 6):  # dies between making a folder of the first tile and syncing its entry
        disk = lab.disk(folder, at, "kill")
        with suppress(lab.killed), Ledger.open(folder, signer, disk=disk) as log:
            log.append(b"lost")
        with Ledger.open(folder, signer, disk=disk.restart(0, "power")) as log:
            log.append(b"kept")
            seen = log.checkpoint()
        disk.lose()
        with Ledger.open(folder, signer) as log:
            log.check_extends(seen, signer.public)
            log.audit(signer.public)
        shutil.rmtree(folder)
        Ledger.create(folder, origin, signer).close()


def _fault_twice(base, lab, first, at, seconds):
    for again in seconds:
        folder, signer = base / str(again), lab.signer()
        disk = lab.disk(folder, at, first)
        outcome = _run(folder, signer, disk)
        with suppress(lab.killed, HauberkError), _create(folder, signer, disk.restart(again, "power")) as log:
            log.append(b"entry that may not arrive")
        _check_after_two(folder, signer, outcome)


def _check_after_two(folder, signer, outcome):
    acknowledged, _, seen = outcome
    with _create(folder, signer, _disk()) as log:
        for checkpoint in seen:
            log.check_extends(checkpoint, signer.public)
        # Had a head been forgotten that was signed before, this would sign another for the same size.
        log.append_many([b"afterwards"] * max(1, max(signer.heads()) - log.size))
        log.audit(signer.public)
        assert all(log.entry(index) == entry for index, entry in acknowledged.items())
    assert all(len(roots) == 1 for roots in signer.heads().values())


def test_a_full_disk_is_told_and_the_same_log_goes_on(place, origin, signer, lab):
    folder = place / "log"
    Ledger.create(folder, origin, signer).close()
    disk = lab.disk(folder, 0, "full")
    with Ledger.open(folder, signer, disk=disk) as log:
        log.append(b"before")
        disk.at = disk.count + 1
        with pytest.raises(Unavailable, match="no space left"):
            log.append(b"lost")
        assert (log.size, list(log.entries())) == (1, [b"before"])
        assert log.append(b"after") == 1
        assert log.audit(signer.public).size == 2


def test_entries_whose_intent_is_on_disk_are_completed_by_the_next_opening(place, origin, signer, lab):
    folder = place / "log"
    Ledger.create(folder, origin, signer).close()

    class DiesAtTheCheckpoint(lab.disk):
        def rename(self, source, target):  # noqa: ARG002 - the shape of Disk
            raise lab.killed

    log = Ledger.open(folder, signer, disk=DiesAtTheCheckpoint(folder, 0, "kill"))
    with pytest.raises(lab.killed):
        log.append(b"on its way")
    log.close()
    assert Ledger.open(folder).size == 0  # a reader sees what was signed
    with Ledger.open(folder, signer) as log:
        assert list(log.entries()) == [b"on its way"]


def test_an_intent_that_the_key_did_not_sign_adds_nothing(place, origin, signer, another_signer):
    folder, other = place / "log", place / "other"
    with Ledger.create(folder, origin, signer) as log:
        log.append(b"one")
    with Ledger.create(other, origin, another_signer) as log:
        log.append_many([b"one", b"two that the key's holder never wrote"])
    for file in other.rglob("*"):
        if file.is_file() and file.name not in ("checkpoint", "lock"):
            target = folder / file.relative_to(other)
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(file.read_bytes())
    with Ledger.open(folder, signer) as log:
        assert list(log.entries()) == [b"one"]


WRITER = """
import sys
from pathlib import Path
sys.path.insert(0, {here!r})
from conftest import ORIGIN, MemorySigner
from hauberk.custody.ledger import Ledger
with Ledger.open(Path({folder!r}), MemorySigner()) as log:
    print("open", flush=True)
    number = log.size
    while True:
        indices = log.append_many([b"entry %d" % (number + at) for at in range(1 + number % 97)])
        number += len(indices)
        print(number, flush=True)
"""


@pytest.mark.slow
def test_kill_9_loses_nothing_that_was_acknowledged(place, origin, signer):
    folder = place / "log"
    Ledger.create(folder, origin, signer).close()
    code = WRITER.format(here=str(Path(__file__).parent), folder=str(folder))
    pause = random.Random(7)
    for _ in range(25):
        process = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
        assert process.stdout.readline() == "open\n"
        time.sleep(pause.uniform(0.0, 0.15))
        process.send_signal(signal.SIGKILL)
        told = [line for line in process.communicate()[0].split("\n")[:-1] if line]
        with Ledger.open(folder, signer) as log:
            assert log.size >= (int(told[-1]) if told else 0)
            assert list(log.entries()) == [b"entry %d" % index for index in range(log.size)]
            log.audit(signer.public)
    assert log.size > 1000
