"""Locks between processes (flock): waited for with a time limit, and released by the system when a process dies.

A lock is a file beside what it protects. The file is never removed, because a process that waits on a removed file
would wait for nobody. Locks are advisory: they keep honest processes apart and do not stop an attacker. A link planted
under the name of a lock is refused, because a holder may write into its lock (`records.jobs`).
"""

from __future__ import annotations

import errno
import fcntl
import os
import stat
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from hauberk.core.disk import explain
from hauberk.core.errors import InvalidInput, Unavailable

_PAUSE_S = 0.0005


@contextmanager
def held(file: Path, *, wait: float, busy: str) -> Iterator[int]:
    """Hold the exclusive lock `file` for a block; yields its descriptor. The folder must exist.

    wait: seconds to wait while another process, or another holder in this process, has the lock; 0 tries once.
    busy: the message of the Unavailable that is raised after that time. Raises InvalidInput when the file cannot be
    written, or is a link or no regular file.
    """
    descriptor = take(file, wait=wait, busy=busy)
    try:
        yield descriptor
    finally:
        release(descriptor)


def take(file: Path, *, wait: float, busy: str) -> int:
    """As `held`; the caller passes the descriptor that is returned to `release`."""
    try:
        descriptor = os.open(file, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o644)
    except OSError as error:
        if error.errno == errno.ELOOP:
            raise _planted(file) from error
        raise explain(error, file) from error
    try:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise _planted(file)
        _wait(descriptor, file, wait, busy)
    except BaseException:
        os.close(descriptor)
        raise
    return descriptor


def release(descriptor: int) -> None:
    """Release a lock. Also when the process forked meanwhile: a child's copy of the descriptor holds nothing then."""
    try:
        fcntl.flock(descriptor, fcntl.LOCK_UN)
    finally:
        os.close(descriptor)


def _planted(file: Path) -> InvalidInput:
    return InvalidInput(
        f"{file} is a link or no regular file: expected a lock, a file of its own. Somebody put it there: find out who, "
        "remove it, and run the same command again."
    )


def _wait(descriptor: int, file: Path, wait: float, busy: str) -> None:
    # flock has no time limit of its own, and a signal to interrupt it would be process-wide state.
    deadline = time.monotonic() + wait
    while True:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            if time.monotonic() >= deadline:
                raise Unavailable(busy) from error
        except OSError as error:
            raise explain(error, file) from error
        else:
            return
        time.sleep(_PAUSE_S)
