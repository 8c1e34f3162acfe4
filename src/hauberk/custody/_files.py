"""Local files for sealing and the artifact store: reads notice a concurrent writer, and writes are atomic.

A draft is a file that gets its name when it is complete. On Linux and most file systems it is created without a name
(O_TMPFILE), so that even a killed process leaves nothing behind; elsewhere it is written beside its target under a name
that ends in `.tmp`.
"""

from __future__ import annotations

import errno
import hashlib
import os
import secrets
import stat
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from hauberk.core import outputs
from hauberk.core.disk import Disk, explain
from hauberk.core.errors import InvalidInput, Unavailable

CHUNK = 2**20
TEMPORARY = ".tmp"
_NO_UNNAMED_FILES = {errno.EOPNOTSUPP, errno.EISDIR, errno.ENOENT, errno.EINVAL}


@dataclass(frozen=True, slots=True)
class Source:
    """An open regular file; `size` in bytes and `state`, both as of the moment when it was opened."""

    path: Path
    descriptor: int
    size: int
    state: tuple[int, int]

    def read_at(self, offset: int, view: memoryview) -> None:
        """Fill `view` with the bytes from `offset` on. Raises InvalidInput if the file became shorter. Thread-safe."""
        while view:
            try:
                taken = os.preadv(self.descriptor, [view], offset)
            except OSError as error:
                raise cannot_read(error, self.path) from error
            if not taken:
                raise self.changed()
            view, offset = view[taken:], offset + taken

    def unchanged(self) -> None:
        """Raise InvalidInput if the file was written to since it was opened."""
        if _state(os.fstat(self.descriptor)) != self.state:
            raise self.changed()

    def changed(self) -> InvalidInput:
        """Return the error for a file that was written to while it was read."""
        return InvalidInput(
            f"{self.path} changed while it was being read. Wait until its writer is done, then repeat."
        )


def _state(status: os.stat_result) -> tuple[int, int]:
    return status.st_size, status.st_mtime_ns


@contextmanager
def source(path: Path) -> Iterator[Source]:
    """Open a regular file for reading. Raises InvalidInput if it is absent, unreadable or not a regular file."""
    opened = open_source(path)
    try:
        yield opened
    finally:
        os.close(opened.descriptor)


def open_source(path: Path) -> Source:
    """As `source`; the caller closes the descriptor."""
    try:
        # Without O_NONBLOCK, opening a named pipe would block forever.
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    except OSError as error:
        raise cannot_read(error, path) from error
    status = os.fstat(descriptor)
    if not stat.S_ISREG(status.st_mode):
        os.close(descriptor)
        raise InvalidInput(f"{path} is not a regular file. Name a file; pack a folder into one first.")
    return Source(path, descriptor, status.st_size, _state(status))


def cannot_read(error: OSError, path: Path) -> InvalidInput | Unavailable:
    """Turn an operating-system error about reading into one of ours."""
    if error.errno in (errno.ENOENT, errno.ENOTDIR):
        return InvalidInput(f"there is no file {path}. Check the path.")
    if error.errno in (errno.EACCES, errno.EPERM):
        return InvalidInput(f"cannot read {path}: {error.strerror}. Ask its owner for access.")
    return Unavailable(f"cannot read {path}: {error.strerror or error}.")


def digest_of(file: Source, *, copy_to: Draft | None = None) -> str:
    """Return the SHA-256 of a file as hex, and copy the file into `copy_to` if it is given."""
    digest, buffer = hashlib.sha256(), memoryview(bytearray(min(CHUNK, max(1, file.size))))
    for offset in range(0, file.size, CHUNK):
        view = buffer[: min(CHUNK, file.size - offset)]
        file.read_at(offset, view)
        digest.update(view)
        if copy_to is not None:
            copy_to.write_at(offset, view)
    return digest.hexdigest()


@dataclass(frozen=True, slots=True)
class Draft:
    """A file that is being written and that no other process sees yet."""

    target: Path
    descriptor: int

    def write_at(self, offset: int, view: memoryview) -> None:
        """Write all of `view` at `offset`. Raises Unavailable or InvalidInput. Thread-safe."""
        while view:
            try:
                given = os.pwrite(self.descriptor, view, offset)
            except OSError as error:
                raise explain(error, self.target) from error
            view, offset = view[given:], offset + given


@contextmanager
def draft(target: Path, *, disk: Disk, mode: int) -> Iterator[Draft]:
    """Yield a draft. If the block succeeds, the draft atomically and durably replaces `target`; otherwise it is deleted.

    "Otherwise" means any exception, KeyboardInterrupt included. Missing folders are created. After a kill, `target` is
    the old file or the new one. Raises Unavailable (disk full) or InvalidInput (no right to write).
    """
    name: Path | None = None
    descriptor = -1
    try:
        _make_folder(target.parent, disk)
        descriptor, name = _unnamed_or_named(target)
        yield Draft(target, descriptor)
        os.fchmod(descriptor, mode)
        disk.sync(descriptor)
        if name is None:
            name = _temporary(target)
            _give_name(descriptor, name)
        disk.rename(name, target)
        name = None
        disk.sync_folder(target.parent)
    except OSError as error:
        raise explain(error, target) from error
    finally:
        if descriptor >= 0:
            os.close(descriptor)
        if name is not None:
            with suppress(OSError):
                name.unlink()


@contextmanager
def named_draft(target: Path, *, disk: Disk, mode: int) -> Iterator[Draft]:
    """As `draft`, for a target that a user named: links are followed, pipes and devices are written through.

    For a stream the draft lies without a name in the folder for temporary files, and is copied when it is complete.
    """
    output = outputs.resolve(target)
    if output.file is not None:
        with draft(output.file, disk=disk, mode=outputs.narrowed(mode, output)) as file:
            yield file
        return
    with tempfile.TemporaryFile() as hidden:
        yield Draft(target, hidden.fileno())
        outputs.pour(hidden.fileno(), output, disk=disk)


def _temporary(target: Path) -> Path:
    return target.parent / f".{target.name[:40]}.{secrets.token_hex(8)}{TEMPORARY}"


def _unnamed_or_named(target: Path) -> tuple[int, Path | None]:
    unnamed = getattr(os, "O_TMPFILE", 0)
    if unnamed and Path("/proc/self/fd").is_dir():
        try:
            return os.open(target.parent, unnamed | os.O_RDWR | os.O_CLOEXEC, 0o600), None
        except OSError as error:
            if error.errno not in _NO_UNNAMED_FILES:
                raise
    name = _temporary(target)
    return os.open(name, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600), name


def _give_name(descriptor: int, name: Path) -> None:
    # A link to an unnamed file needs AT_SYMLINK_FOLLOW (open(2)); Python passes it only with a folder descriptor.
    folder = os.open("/proc/self/fd", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.link(str(descriptor), name, src_dir_fd=folder, follow_symlinks=True)
    finally:
        os.close(folder)


def _make_folder(folder: Path, disk: Disk) -> None:
    if folder.is_dir():
        return
    _make_folder(folder.parent, disk)
    folder.mkdir(exist_ok=True)
    disk.sync_folder(folder.parent)
