"""The few things that custody does to a disk, in one place, so that a test can make each of them fail.

Every write here is atomic (a reader sees the old bytes or the new, never a mixture) and durable once the
call returns (the file and its folder entry are synced).
"""

from __future__ import annotations

import errno
import os
import tempfile
from contextlib import suppress
from pathlib import Path

from hauberk.core.errors import InvalidInput, Unavailable


def explain(error: OSError, path: Path) -> InvalidInput | Unavailable:
    """Turn an operating-system error into one of ours that says what to do about it."""
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return Unavailable(f"no space left while writing {path}. Free some and run the same command again.")
    if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
        return InvalidInput(f"cannot write {path}: {error.strerror}. Choose a folder that you may write to.")
    return Unavailable(f"cannot write {path}: {error.strerror or error}.")


class Disk:
    """Local disk. Tests pass a subclass that fails, or stops, at the n-th operation."""

    def write(self, path: Path, data: bytes, *, mode: int = 0o644) -> None:
        """Replace `path` by `data`, creating parent folders. Raises Unavailable or InvalidInput, with cause."""
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name[:40]}.", suffix=".tmp")
        except OSError as error:
            raise explain(error, path) from error
        try:
            with os.fdopen(handle, "wb") as file:
                os.fchmod(file.fileno(), mode)
                file.write(data)
                file.flush()
                self.sync(file.fileno())
            self.rename(Path(name), path)
            self.sync_folder(path.parent)
        except OSError as error:
            raise explain(error, path) from error
        finally:
            with suppress(OSError):
                Path(name).unlink(missing_ok=True)

    def sync(self, descriptor: int) -> None:
        """Make the bytes of an open file durable."""
        os.fsync(descriptor)

    def rename(self, source: Path, target: Path) -> None:
        """Put `source` in the place of `target` in one step."""
        source.replace(target)

    def sync_folder(self, path: Path) -> None:
        """Make the entries of a folder durable."""
        descriptor = os.open(path, os.O_RDONLY)
        try:
            self.sync(descriptor)
        finally:
            os.close(descriptor)
