from __future__ import annotations

import os
import threading
from pathlib import Path

import pytest

from hauberk.core.errors import InvalidInput, Unavailable
from hauberk.custody import locks


def test_one_holder_at_a_time_and_the_next_one_waits(tmp_path):
    order, begun = [], threading.Event()

    def second():
        begun.set()
        with locks.held(tmp_path / "lock", wait=30, busy="busy"):
            order.append("second")

    with locks.held(tmp_path / "lock", wait=0, busy="busy"):
        waiter = threading.Thread(target=second)
        waiter.start()
        begun.wait()
        with pytest.raises(Unavailable, match="busy for sure"):
            locks.take(tmp_path / "lock", wait=0.01, busy="busy for sure")
        order.append("first")
    waiter.join()
    assert order == ["first", "second"]


def test_a_child_that_inherits_the_descriptor_does_not_keep_the_lock(tmp_path):
    descriptor = locks.take(tmp_path / "lock", wait=0, busy="busy")
    copy = os.dup(descriptor)  # as a fork makes one
    locks.release(descriptor)
    with locks.held(tmp_path / "lock", wait=0, busy="busy"):
        pass
    os.close(copy)


def test_a_refused_wait_leaves_no_descriptor_open(tmp_path):
    with locks.held(tmp_path / "lock", wait=0, busy="busy"):
        before = len(list(Path("/proc/self/fd").iterdir()))
        for _ in range(5):
            with pytest.raises(Unavailable):
                locks.take(tmp_path / "lock", wait=0, busy="busy")
        assert len(list(Path("/proc/self/fd").iterdir())) == before


def test_a_lock_that_cannot_be_made_is_named(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises((InvalidInput, Unavailable), match="file/lock"):
        locks.take(tmp_path / "file" / "lock", wait=0, busy="busy")


@pytest.mark.parametrize("planted", ["a link to a file", "a link to nothing", "a pipe"])
def test_a_link_or_pipe_planted_under_the_name_of_a_lock_is_refused(tmp_path, planted):
    lock, victim = tmp_path / "lock", tmp_path / "victim"
    if planted == "a pipe":
        os.mkfifo(lock)
    else:
        lock.symlink_to(victim)
    if planted == "a link to a file":
        victim.write_text("precious")
    before = victim.exists()
    with pytest.raises(InvalidInput, match="remove it"):
        locks.take(lock, wait=0, busy="busy")
    assert victim.exists() == before
