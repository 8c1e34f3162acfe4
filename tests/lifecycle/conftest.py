from __future__ import annotations

import errno
import os

import pytest

from hauberk.core.disk import Disk
from hauberk.core.progress import Progress
from hauberk.custody.seen import Seen


@pytest.fixture(scope="session")
def quiet():
    """How the jobs are run on a project with `cheap_keys`: in silence, and with a memory of releases in its folder."""

    def options(folder, **more):
        usual = {"passphrase": lambda: b"correct horse", "progress": Progress(visible=False)}
        return usual | {"seen": Seen(folder / "seen")} | more

    return options


class FullDisk(Disk):
    """A disk that is full from the n-th time on that something is made durable, moved or exchanged."""

    def __init__(self, after: int) -> None:
        self.left = after

    def _spend(self):
        self.left -= 1
        if self.left < 0:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    def sync(self, descriptor):
        self._spend()
        super().sync(descriptor)

    def rename(self, source, target):
        self._spend()
        super().rename(source, target)

    def exchange(self, one, other):
        self._spend()
        super().exchange(one, other)


@pytest.fixture
def full_disk():
    """A disk that takes `after` operations: full_disk(after)."""
    return FullDisk
