from __future__ import annotations

import threading
import time

import pytest

from hauberk.core.errors import InvalidInput, Unavailable
from hauberk.custody.group import GroupCommit


class Slow:
    """Commits once it is let go, and remembers the batches."""

    def __init__(self) -> None:
        self.batches, self.go = [], threading.Event()
        self.fails: Exception | None = None

    def __call__(self, batch):
        assert self.go.wait(30)
        self.batches.append(list(batch))
        if self.fails is not None:
            raise self.fails
        return [item * 10 for item in batch]


def _call_all(group, items):
    results = {}

    def work(item):
        try:
            results[item] = group.submit(item)
        except Exception as error:  # noqa: BLE001 - it is what the test looks at
            results[item] = error

    threads = [threading.Thread(target=work, args=(item,)) for item in items]
    for thread in threads:
        thread.start()
    return threads, results


def _until_waiting(group, count):
    deadline = time.monotonic() + 30
    while group.waiting < count:
        assert time.monotonic() < deadline
        time.sleep(0.001)


def test_callers_that_wait_share_one_commit_and_each_gets_its_own_result():
    commit = Slow()
    group = GroupCommit(commit)
    threads, results = _call_all(group, range(9))
    _until_waiting(group, 8)
    commit.go.set()
    for thread in threads:
        thread.join()
    assert results == {item: item * 10 for item in range(9)}
    assert [len(batch) for batch in commit.batches] == [1, 8]


def test_an_error_reaches_each_caller_as_an_object_of_its_own_and_the_next_commit_works():
    commit = Slow()
    group = GroupCommit(commit)
    commit.fails = Unavailable("the disk is full")
    threads, results = _call_all(group, range(6))
    _until_waiting(group, 5)
    commit.go.set()
    for thread in threads:
        thread.join()
    assert {str(error) for error in results.values()} == {"the disk is full"}
    assert len({id(error) for error in results.values()}) == 6
    commit.fails = None
    assert group.submit(7) == 70


def test_an_interrupted_commit_frees_the_others_and_passes_the_interrupt_on():
    commit = Slow()
    commit.go.set()
    group = GroupCommit(commit)
    commit.fails = KeyboardInterrupt()
    with pytest.raises(KeyboardInterrupt):
        group.submit(1)
    commit.fails = InvalidInput("no")
    with pytest.raises(InvalidInput):
        group.submit(2)
