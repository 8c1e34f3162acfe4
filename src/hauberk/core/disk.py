"""Disk operations in one place, so that a test can make each of them fail.

`write` is atomic (a reader sees the old bytes or the new, never a mixture) and durable once the call returns
(the file and its folder entry are synced). `fill` writes many files that nobody reads before a later `write`
refers to them: durable, not atomic; the caller syncs the folders once at the end.
"""

from __future__ import annotations

import ctypes
import errno
import os
import stat
import tempfile
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from hauberk.core.errors import InvalidInput, Unavailable

_OPEN_AT_ONCE = 64
_HERE, _EXCHANGE = -100, 2  # AT_FDCWD, RENAME_EXCHANGE


def explain(error: OSError, path: Path) -> InvalidInput | Unavailable:
    """Return the Hauberk error for an operating-system error, with what to do about it."""
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return Unavailable(f"no space left while writing {path}. Free some and run the same command again.")
    if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
        return InvalidInput(f"cannot write {path}: {error.strerror}. Choose a folder that you may write to.")
    return Unavailable(f"cannot write {path}: {error.strerror or error}. Choose another place, or repair this one.")


def _emptied(path: Path) -> int:
    """Open a file for writing, empty, and return its descriptor."""
    flags = os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW
    try:
        descriptor = os.open(path, flags | os.O_NONBLOCK, 0o644)  # or a pipe would wait for its reader
    except OSError as error:
        if error.errno not in (errno.ELOOP, errno.ENXIO):
            raise
    else:
        found = os.fstat(descriptor)
        if stat.S_ISREG(found.st_mode) and found.st_nlink == 1:
            os.truncate(descriptor, 0)
            return descriptor
        os.close(descriptor)
    path.unlink()
    return os.open(path, flags | os.O_EXCL, 0o644)


class Disk:
    """Local disk. Tests pass a subclass that fails, or stops, at the n-th operation."""

    def write(self, path: Path, data: bytes, *, mode: int = 0o644) -> None:
        """Replace `path` by `data`, creating parent folders. Raises Unavailable or InvalidInput as `explain`."""
        try:
            self.make_folder(path.parent)
            handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name[:40]}.", suffix=".tmp")
        except OSError as error:
            raise explain(error, path) from error
        try:
            with os.fdopen(handle, "wb") as file:
                os.fchmod(file.fileno(), mode)
                self.store(file.fileno(), data)
                self.sync(file.fileno())
            self.rename(Path(name), path)
            self.sync_folder(path.parent)
        except OSError as error:
            raise explain(error, path) from error
        finally:
            with suppress(OSError):
                Path(name).unlink(missing_ok=True)

    def fill(self, files: Sequence[tuple[Path, bytes]]) -> None:
        """Create or overwrite files in place and sync their bytes. The caller then calls `sync_folder` on their parents.

        Links, and whatever else is no regular file of its own, are replaced: nothing is written to where they lead.
        """
        for start in range(0, len(files), _OPEN_AT_ONCE):
            self._fill(files[start : start + _OPEN_AT_ONCE])

    def _fill(self, files: Sequence[tuple[Path, bytes]]) -> None:
        # All files are written before the first sync, so that one journal flush covers many.
        descriptors: list[int] = []
        path = files[0][0]
        try:
            for path, data in files:
                descriptors.append(_emptied(path))
                self.store(descriptors[-1], data)
            for descriptor, (path, _) in zip(descriptors, files, strict=True):  # noqa: B007 - the handler names it
                self.sync(descriptor)
        except OSError as error:
            raise explain(error, path) from error
        finally:
            for descriptor in descriptors:
                os.close(descriptor)

    def make_folder(self, path: Path) -> None:
        """Create a folder and its missing parents; each new entry is durable once the call returns."""
        if path.is_dir():
            return
        self.make_folder(path.parent)
        path.mkdir(exist_ok=True)
        self.sync_folder(path.parent)

    def store(self, descriptor: int, data: bytes) -> None:
        """Write all bytes to an open file."""
        left = memoryview(data)
        while left:
            left = left[os.write(descriptor, left) :]

    def remove(self, path: Path) -> None:
        """Remove a file, which may be absent, or an empty folder."""
        if path.is_dir():
            path.rmdir()
        else:
            path.unlink(missing_ok=True)

    def sync(self, descriptor: int) -> None:
        """Make the bytes of an open file durable."""
        os.fsync(descriptor)

    def rename(self, source: Path, target: Path) -> None:
        """Replace `target` by `source` atomically."""
        source.replace(target)

    def exchange(self, one: Path, other: Path) -> None:
        """Exchange two paths atomically: neither is ever missing.

        Raises OSError (ENOSYS, EINVAL) where the system or the file system does not support it. Linux does, on most
        file systems.
        """
        call = getattr(ctypes.CDLL(None, use_errno=True), "renameat2", None)
        if call is None:
            raise OSError(errno.ENOSYS, os.strerror(errno.ENOSYS))
        if call(_HERE, os.fsencode(one), _HERE, os.fsencode(other), _EXCHANGE):
            code = ctypes.get_errno()
            raise OSError(code, os.strerror(code), str(one))

    def sync_file(self, path: Path) -> None:
        """Make the bytes of a file durable, whoever wrote them."""
        descriptor = os.open(path, os.O_RDONLY)
        try:
            self.sync(descriptor)
        finally:
            os.close(descriptor)

    def sync_system(self, folder: Path) -> bool:
        """Make everything durable that was written to the file system of `folder`: for many files at once.

        Returns False, having done nothing, where the system has no syncfs(2); then each file has to be synced.
        """
        call = getattr(ctypes.CDLL(None, use_errno=True), "syncfs", None)
        if call is None:
            return False
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            if call(descriptor):
                code = ctypes.get_errno()
                raise OSError(code, os.strerror(code), str(folder))
        finally:
            os.close(descriptor)
        return True

    def sync_folder(self, path: Path) -> None:
        """Make the entries of a folder durable."""
        descriptor = os.open(path, os.O_RDONLY)
        try:
            self.sync(descriptor)
        finally:
            os.close(descriptor)
