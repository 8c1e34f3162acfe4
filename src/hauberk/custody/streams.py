"""Tink's AES-GCM-HKDF streaming encryption: bytes of any length under one key, in segments, in constant memory.

`_segments` describes the wire format; `AES256_GCM_HKDF_1MB` is the default. Segments are processed in parallel,
because AES-GCM and file access release the interpreter's lock. `sealing` adds an envelope, writes files, and
ensures that no plaintext is released before the whole stream is verified.

Does not answer: AES-GCM is not key-committing, the length of the plaintext is visible, and Python cannot wipe keys
and plaintext from memory.
"""

from __future__ import annotations

import io
import os
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TYPE_CHECKING

from cryptography.exceptions import InvalidTag

from hauberk.core.errors import NotProven
from hauberk.core.progress import Quiet, Task
from hauberk.custody._diagnosis import diagnose
from hauberk.custody._segments import AES256_GCM_HKDF_1MB, TAG, Cipher, Parameters

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

ReadAt = Callable[[int, memoryview], None]
"""(offset, view): fill the view with the source's bytes from `offset` on, or raise. Called from several threads."""
WriteAt = Callable[[int, memoryview], None]
"""(offset, view): write the view at `offset` of the target, or raise. Called from several threads, in any order."""


def workers() -> int:
    """Return the number of threads that a stream uses: one for each usable core, and one that waits for the disk; at most 8."""
    affinity = getattr(os, "sched_getaffinity", None)
    cores = len(affinity(0)) if affinity else os.cpu_count() or 1
    return min(8, cores + 1)


def encrypt(  # noqa: PLR0913 - a source, a target and how; grouping them would only move the names
    key: bytes,
    read: ReadAt,
    write: WriteAt,
    *,
    size: int,
    associated: bytes = b"",
    parameters: Parameters = AES256_GCM_HKDF_1MB,
    seen: Callable[[memoryview], object] | None = None,
    task: Task | None = None,
) -> int:
    """Seal `size` bytes of the source; return the sealed size.

    key: `parameters.key_size` secret bytes. read, write: see `ReadAt` and `WriteAt`; the target starts at 0.
    seen: called with the sealed bytes in order, to compute a digest. Memory: a few segments for each thread.
    Raises InvalidInput for a key of the wrong size or a source beyond 2^32 segments.
    """
    header = bytes([parameters.header_size]) + os.urandom(parameters.header_size - 1)
    cipher = Cipher(key, associated, header, parameters)
    return _encrypt_under(
        header, cipher, read, write, size=size, parameters=parameters, seen=seen, task=task or Quiet()
    )


def _encrypt_under(  # noqa: PLR0913 - the body of `encrypt`, apart so that published vectors can fix the header
    header: bytes,
    cipher: Cipher,
    read: ReadAt,
    write: WriteAt,
    *,
    size: int,
    parameters: Parameters,
    seen: Callable[[memoryview], object] | None,
    task: Task,
) -> int:
    """Never call this twice with one header and key: the nonces would repeat, which breaks AES-GCM."""
    sealed_size = parameters.sealed_size(size)
    count = parameters.count(sealed_size)

    def work(index: int, plain: memoryview, sealed: memoryview) -> memoryview:
        start, length = parameters.sealed_span(index, sealed_size)
        plain, sealed = plain[: length - TAG], sealed[:length]
        read(parameters.plain_start(index), plain)
        cipher.encrypt(index, index == count - 1, plain, sealed)
        write(start, sealed)
        return sealed

    def done(index: int, sealed: memoryview) -> None:
        if seen is not None:
            seen(sealed)
        task.update((index + 1) / count)

    write(0, memoryview(header))
    if seen is not None:
        seen(memoryview(header))
    _in_order(count, work, done, room=min(parameters.segment_size, sealed_size))
    return sealed_size


def decrypt(  # noqa: PLR0913 - as encrypt
    key: bytes,
    read: ReadAt,
    write: WriteAt,
    *,
    size: int,
    associated: bytes = b"",
    parameters: Parameters = AES256_GCM_HKDF_1MB,
    task: Task | None = None,
    what: str = "the sealed stream",
) -> int:
    """Open a sealed stream of `size` bytes; return the plaintext's size.

    Each segment is authenticated before it is written, but only a normal return means that the whole is genuine:
    write to a file that no one else reads, and release it afterwards. `what` names the stream in errors.
    Raises NotProven with its own sentence for a stream that is truncated, extended, reordered, spliced or
    changed, or opened with a wrong key or wrong associated data (`_diagnosis` says which cases can be distinguished).
    """
    opening = _Opening(key, read, size=size, associated=associated, parameters=parameters, what=what)

    def work(index: int, plain: memoryview, sealed: memoryview) -> memoryview:
        plain = opening.segment(index, sealed, plain)
        write(parameters.plain_start(index), plain)
        return plain

    def done(index: int, _plain: memoryview) -> None:
        task.update((index + 1) / opening.count) if task else None

    try:
        _in_order(opening.count, work, done, room=min(parameters.segment_size, size))
    except _SegmentRefused as refused:
        raise opening.explained(refused.index) from refused
    return opening.plain_size


class _SegmentRefused(Exception):  # noqa: N818 - never leaves this module
    def __init__(self, index: int) -> None:
        super().__init__(f"segment {index} does not authenticate")
        self.index = index


class _Opening:
    """A stream that is being opened, shared by `decrypt` and `Reader`."""

    def __init__(  # noqa: PLR0913 - the parts of a stream
        self, key: bytes, read: ReadAt, *, size: int, associated: bytes, parameters: Parameters, what: str
    ) -> None:
        self._read, self._size, self._parameters, self._what = read, size, parameters, what
        self.count = parameters.count(size)
        # A last segment that is too short for its tag shows that the stream was cut.
        if size < parameters.header_size + TAG or parameters.sealed_span(self.count - 1, size)[1] < TAG:
            raise NotProven(
                f"{what} does not open: it is truncated, {size} bytes end inside "
                f"{'the header or ' if self.count == 1 else ''}a segment's tag. Fetch the whole file again."
            )
        self.plain_size = parameters.plain_size(size)
        header = bytearray(parameters.header_size)
        read(0, memoryview(header))
        if header[0] != parameters.header_size:
            raise NotProven(
                f"{what} does not open: it begins with byte {header[0]:#04x}, expected "
                f"{parameters.header_size:#04x}. It is not a stream of this kind, or its header was changed."
            )
        self._cipher = Cipher(key, associated, bytes(header), parameters)

    def segment(self, index: int, sealed: memoryview, plain: memoryview) -> memoryview:
        """Read and decrypt segment `index`; return the part of `plain` that holds the result."""
        start, length = self._parameters.sealed_span(index, self._size)
        sealed, plain = sealed[:length], plain[: length - TAG]
        self._read(start, sealed)
        try:
            self._cipher.decrypt(index, index == self.count - 1, sealed, plain)
        except InvalidTag as error:
            raise _SegmentRefused(index) from error
        return plain

    def explained(self, index: int) -> NotProven:
        """Return the error for a segment that did not authenticate."""

        def opens(position: int, as_index: int, last: bool) -> bool:  # noqa: FBT001 - the shape of Opens
            start, length = self._parameters.sealed_span(position, self._size)
            sealed, plain = memoryview(bytearray(length)), memoryview(bytearray(length - TAG))
            self._read(start, sealed)
            try:
                self._cipher.decrypt(as_index, last, sealed, plain)
            except InvalidTag:
                return False
            return True

        return NotProven(f"{self._what} does not open: {diagnose(index, self.count, opens)}")


_Work = Callable[[int, memoryview, memoryview], memoryview]


def _in_order(count: int, work: _Work, done: Callable[[int, memoryview], None], *, room: int) -> None:
    """Run `work(index, plain, sealed)` for all segments in parallel and `done(index, result)` in their order.

    Buffers are reused, so memory does not grow with the stream. Raises the first failure in segment order, after all
    threads have stopped.
    """
    threads = min(workers(), count)

    def slot() -> tuple[memoryview, memoryview]:
        return memoryview(bytearray(room)), memoryview(bytearray(room))

    if count == 1:
        done(0, work(0, *slot()))
        return
    waiting: deque[tuple[int, tuple[memoryview, memoryview], Future[memoryview]]] = deque()
    with ThreadPoolExecutor(threads) as pool:
        try:
            for index in range(count):
                buffers = _finish(waiting, done) if len(waiting) > threads else slot()
                waiting.append((index, buffers, pool.submit(work, index, *buffers)))
            while waiting:
                _finish(waiting, done)
        except BaseException:
            pool.shutdown(wait=True, cancel_futures=True)
            raise


def _finish(
    waiting: deque[tuple[int, tuple[memoryview, memoryview], Future[memoryview]]],
    done: Callable[[int, memoryview], None],
) -> tuple[memoryview, memoryview]:
    index, buffers, future = waiting.popleft()
    done(index, future.result())
    return buffers


class Reader(io.RawIOBase):
    """The plaintext of a sealed stream as a seekable, read-only file that decrypts only the segments that are read.

    The last segment is verified first, because it proves the size; each other segment is verified when it is read,
    and a segment that is never read is not verified. close: called once when the reader is closed.
    Raises NotProven as `decrypt` does, from the constructor and from reads.
    """

    def __init__(  # noqa: PLR0913 - as decrypt
        self,
        key: bytes,
        read: ReadAt,
        *,
        size: int,
        associated: bytes = b"",
        parameters: Parameters = AES256_GCM_HKDF_1MB,
        what: str = "the sealed stream",
        close: Callable[[], None] | None = None,
    ) -> None:
        super().__init__()
        self._close: Callable[[], None] | None = None
        self._opening = _Opening(key, read, size=size, associated=associated, parameters=parameters, what=what)
        self._parameters, self._position = parameters, 0
        room = min(parameters.segment_size, size)
        self._sealed, self._plain = memoryview(bytearray(room)), memoryview(bytearray(room))
        self._held, self._current = -1, memoryview(b"")
        self._hold(self._opening.count - 1)
        self._close = close  # set last: if the constructor raises, the caller closes its own source

    def _hold(self, index: int) -> memoryview:
        if index != self._held:
            self._held = -1
            try:
                self._current = self._opening.segment(index, self._sealed, self._plain)
            except _SegmentRefused as refused:
                raise self._opening.explained(refused.index) from refused
            self._held = index
        return self._current

    def readable(self) -> bool:
        """Say yes."""
        return True

    def seekable(self) -> bool:
        """Say yes."""
        return True

    def tell(self) -> int:
        """Return the position in the plaintext."""
        return self._position

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        """Move to an offset in the plaintext; beyond its end is allowed, as with files."""
        base = {os.SEEK_SET: 0, os.SEEK_CUR: self._position, os.SEEK_END: self._opening.plain_size}.get(whence)
        if base is None or base + offset < 0:
            raise ValueError(f"cannot seek to {offset} from {whence}")
        self._position = base + offset
        return self._position

    def readinto(self, buffer: WriteableBuffer, /) -> int:
        """Read at most to the end of the current segment; return 0 at the end of the plaintext."""
        if self.closed:
            raise ValueError("the sealed file is closed")
        view = memoryview(buffer).cast("B")
        if self._position >= self._opening.plain_size or not view:
            return 0
        per_segment = self._parameters.segment_size - TAG
        index = (self._position + self._parameters.header_size) // per_segment
        rest = self._hold(index)[self._position - self._parameters.plain_start(index) :]
        taken = min(len(rest), len(view))
        view[:taken] = rest[:taken]
        self._position += taken
        return taken

    def close(self) -> None:
        """Drop the cached plaintext and close the source."""
        if not self.closed:
            self._held, self._current = -1, memoryview(b"")
            if self._close is not None:
                self._close()
        super().close()
