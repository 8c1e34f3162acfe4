"""One job at a time on one project: jobs that write the release folder hold `.hauberk/job.lock` while they run.

The ledger and the store admit any number of writers, so servers and `hauberk attack` take no job lock. `protect`,
`update`, `rollback` and the erasure of a key do: two of them at once would replace each other's release and steps.
The system releases the lock when the process dies. Does not answer: a second machine that shares the folder over a
network file system without locks.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from hauberk.core.disk import Disk, explain
from hauberk.core.errors import Unavailable
from hauberk.custody import locks

LOCK = "job.lock"
_LONGEST = 200


@contextmanager
def only_job(home: Path, name: str, *, disk: Disk | None = None) -> Iterator[None]:
    """Hold the job lock of the project whose `.hauberk` is `home`, as the job `name`.

    Raises Unavailable at once, naming the running job and its process, when another one holds it; InvalidInput
    for a folder that cannot be written.
    """
    try:
        (disk or Disk()).make_folder(home)
    except OSError as error:
        raise explain(error, home) from error
    file = home / LOCK
    try:
        lock = locks.take(file, wait=0, busy="")
    except Unavailable as error:
        raise Unavailable(
            f"{_holder(file)} is at work on this project and holds {file}. Wait until it ends, or end that process "
            f"(the lock goes with it); then run `hauberk {name}` again. Nothing was changed."
        ) from error
    try:
        os.truncate(lock, 0)
        os.pwrite(lock, f"{name}, process {os.getpid()}\n".encode(), 0)
        yield
    finally:
        locks.release(lock)


def _holder(file: Path) -> str:
    try:
        text = file.read_text(encoding="utf-8", errors="replace")[:_LONGEST].strip()
    except OSError:
        text = ""
    return f"another job ({text})" if text else "another job"
