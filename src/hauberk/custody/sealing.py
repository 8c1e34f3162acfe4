"""Encryption at rest by envelope: each file under its own data key, the data key wrapped by a key service.

`seal_file` and `unseal_file` work on files of any size in constant memory, `seal_bytes` and `unseal_bytes` on bytes
in memory, `open_sealed` returns a seekable file that decrypts only what is read, and `rewrap` moves a file to a
new key-encryption key without re-encrypting it. `_envelope` and `_segments` describe the format.

Opening takes these steps; each prevents an attack and has its own message:

    1. the header parses strictly           hostile files, other formats            InvalidInput
    2. the key is `key_name`, if given      a file sealed under a key that an
                                            attacker may use                        InvalidInput
    3. the data key unwraps                 wrong key, altered header               NotProven
    4. the associated data commits          a genuine file in the wrong place       NotProven
    5. the size is the header's             truncation, appended bytes              NotProven
    6. every segment authenticates          change, reordering, splicing            NotProven
    7. only then the plaintext gets a name  use of unverified data

Step 3 cannot distinguish a wrong key from an altered header, nor step 6 a changed segment from one of another
file. Answers: theft and alteration of stored files. Does not answer: who may use the key service; replacement of a
sealed file by an older one (the ledger's digests detect it); size and key name are readable by anyone.
"""

from __future__ import annotations

import errno
import hashlib
import hmac
import io
import os
import stat
from pathlib import Path
from typing import BinaryIO

from hauberk.core.disk import Disk
from hauberk.core.errors import InvalidInput, NotProven
from hauberk.core.progress import Task
from hauberk.custody import streams
from hauberk.custody._envelope import FIXED, Header, commit, header_length, parse
from hauberk.custody._files import CHUNK, Draft, Source, named_draft, open_source, source
from hauberk.custody._segments import AES256_GCM_HKDF_1MB
from hauberk.custody.keys.port import KeyService

_DATA_KEY = 32
_NO_SPACE = {errno.ENOSPC, errno.EDQUOT}


def seal_file(  # noqa: PLR0913 - where from, where to, under which key, and how
    path: Path,
    target: Path,
    keys: KeyService,
    key_name: str,
    *,
    associated: bytes = b"",
    task: Task | None = None,
    disk: Disk | None = None,
) -> str:
    """Encrypt `path` into `target`, replacing it in one step; return the SHA-256 of the sealed file, as hex.

    associated: context of the file, such as its purpose and release. It is not stored; opening needs the same bytes.
    Raises InvalidInput (no such file, the file changed meanwhile, no such key, unwritable folder) and Unavailable (disk
    full).
    """
    with source(path) as plain:
        data_key, header = _new_envelope(keys, key_name, plain.size, associated)
        start = header.to_bytes()
        digest = hashlib.sha256(start)
        with named_draft(target, disk=disk or Disk(), mode=0o644) as sealed:
            sealed.write_at(0, memoryview(start))
            streams.encrypt(
                data_key,
                plain.read_at,
                lambda offset, view: sealed.write_at(len(start) + offset, view),
                size=plain.size,
                associated=header.stream_associated(associated),
                seen=digest.update,
                task=task,
            )
            plain.unchanged()
    return digest.hexdigest()


def unseal_file(  # noqa: PLR0913 - as seal_file
    path: Path,
    target: Path,
    keys: KeyService,
    key_name: str | None = None,
    *,
    associated: bytes = b"",
    task: Task | None = None,
    disk: Disk | None = None,
) -> None:
    """Decrypt `path` into `target`, readable by its owner only; on failure no plaintext remains on disk.

    key_name: the key under which it must be sealed; None accepts the key that the header names, and so a file that
    anyone who may use any key of the service has made. Raises as the steps above say, and as `seal_file`.
    """
    with source(path) as sealed:
        opened = _Opened(sealed, keys, key_name, associated)
        with named_draft(target, disk=disk or Disk(), mode=0o600) as plain:
            streams.decrypt(
                opened.data_key,
                opened.read_at,
                plain.write_at,
                size=opened.size,
                associated=opened.associated,
                task=task,
                what=str(path),
            )


def open_sealed(path: Path, keys: KeyService, key_name: str | None = None, *, associated: bytes = b"") -> BinaryIO:
    """Open a sealed file for reading and seeking; segments are decrypted and verified as they are read.

    The size is verified at once; a changed segment raises NotProven when it is reached, which may be after earlier
    segments were returned. Use `unseal_file` if no unverified whole may be acted on. Raises as `unseal_file`.
    """
    sealed = open_source(path)
    try:
        opened = _Opened(sealed, keys, key_name, associated)
        reader = streams.Reader(
            opened.data_key,
            opened.read_at,
            size=opened.size,
            associated=opened.associated,
            what=str(path),
            close=lambda: os.close(sealed.descriptor),
        )
    except BaseException:
        os.close(sealed.descriptor)
        raise
    return io.BufferedReader(reader)


def seal_bytes(data: bytes, keys: KeyService, key_name: str, *, associated: bytes = b"") -> bytes:
    """Return `data` sealed, in the same format as a file."""
    data_key, header = _new_envelope(keys, key_name, len(data), associated)
    start, bound = header.to_bytes(), header.stream_associated(associated)
    sealed = bytearray(len(start) + AES256_GCM_HKDF_1MB.sealed_size(len(data)))
    sealed[: len(start)] = start
    stream = memoryview(sealed)[len(start) :]
    streams.encrypt(data_key, _reads(memoryview(data)), _writes(stream), size=len(data), associated=bound)
    return bytes(sealed)


def unseal_bytes(
    data: bytes,
    keys: KeyService,
    key_name: str | None = None,
    *,
    associated: bytes = b"",
    what: str = "the sealed data",
) -> bytes:
    """Return the plaintext of a result of `seal_bytes` or `seal_file`. Raises as `unseal_file`; `what` names it in errors."""
    length = header_length(data[:FIXED], what=what)
    header = parse(data[FIXED : FIXED + length], what=what)
    stream = memoryview(data)[FIXED + length :]
    data_key = _open_envelope(header, keys, key_name, associated, what=what)
    _check_size(header, len(stream), what=what)
    plain = bytearray(header.plain_size)
    bound = header.stream_associated(associated)
    read, write = _reads(stream), _writes(memoryview(plain))
    streams.decrypt(data_key, read, write, size=len(stream), associated=bound, what=what)
    return bytes(plain)


def key_name(data: bytes, *, what: str) -> str:
    """Return the name of the key that sealed bytes claim to be sealed under; not proven. Raises InvalidInput."""
    length = header_length(data[:FIXED], what=what)
    return parse(data[FIXED : FIXED + length], what=what).key


def read_header(path: Path) -> Header:
    """Return the header of a sealed file, which is not authenticated yet. Raises InvalidInput."""
    with source(path) as sealed:
        return _read_header(sealed)[0]


def rewrap(
    path: Path, keys: KeyService, key_name: str, *, held_by: KeyService | None = None, disk: Disk | None = None
) -> None:
    """Wrap the data key of `path` under the current version of `key_name`.

    held_by: the service that holds the present key, if the file moves from one key service to another; None is `keys`.
    The ciphertext is copied, not decrypted. The file is replaced atomically, after the new wrapped key was unwrapped as a
    test. After rotation the old key-encryption key is not needed for this file. If the data key itself leaked, use
    `unseal_file` and `seal_file` instead. Raises NotProven if the present key does not unwrap it; the stream is not verified.
    """
    with source(path) as sealed:
        old, start = _read_header(sealed)
        data_key = _unwrap(old, held_by or keys, what=str(path))
        wrapped = _wrap(keys, key_name, data_key, old.core)
        head = Header(key_name, old.plain_size, old.associated, wrapped).to_bytes()
        mode = stat.S_IMODE(os.fstat(sealed.descriptor).st_mode)
        with named_draft(path, disk=disk or Disk(), mode=mode) as fresh:
            fresh.write_at(0, memoryview(head))
            _copy(sealed, start, fresh, len(head))
            sealed.unchanged()


def _copy(sealed: Source, start: int, fresh: Draft, at: int) -> None:
    """Copy a file from offset `start` to offset `at` of a draft, within the kernel if the system supports it."""
    try:
        while start < sealed.size:
            # At most 1 GiB a call, so that an interrupt is handled in between.
            copied = os.copy_file_range(
                sealed.descriptor, fresh.descriptor, min(2**30, sealed.size - start), start, at
            )
            if not copied:
                raise sealed.changed()
            start, at = start + copied, at + copied
    except (OSError, AttributeError) as error:
        if getattr(error, "errno", None) in _NO_SPACE:
            raise
        _copy_by_hand(sealed, start, fresh, at)


def _copy_by_hand(sealed: Source, start: int, fresh: Draft, at: int) -> None:
    buffer = memoryview(bytearray(CHUNK))
    for offset in range(start, sealed.size, CHUNK):
        view = buffer[: min(CHUNK, sealed.size - offset)]
        sealed.read_at(offset, view)
        fresh.write_at(at + offset - start, view)


class _Opened:
    """A sealed file after steps 1 to 5; the stream remains to be decrypted."""

    def __init__(self, sealed: Source, keys: KeyService, key_name: str | None, associated: bytes) -> None:
        what = str(sealed.path)
        header, self._start = _read_header(sealed)  # 1
        self.data_key = _open_envelope(header, keys, key_name, associated, what=what)  # 2, 3, 4
        self.size = sealed.size - self._start
        _check_size(header, self.size, what=what)  # 5
        self.associated = header.stream_associated(associated)
        self._sealed = sealed

    def read_at(self, offset: int, view: memoryview) -> None:
        """Read from the stream, which begins after the header."""
        self._sealed.read_at(self._start + offset, view)


def _new_envelope(keys: KeyService, key_name: str, size: int, associated: bytes) -> tuple[bytes, Header]:
    data_key = os.urandom(_DATA_KEY)
    bare = Header(key_name, size, commit(data_key, associated), b"")
    return data_key, Header(key_name, size, bare.associated, _wrap(keys, key_name, data_key, bare.core))


def _wrap(keys: KeyService, key_name: str, data_key: bytes, core: bytes) -> bytes:
    """Wrap a data key, and unwrap it as a test, so that a faulty key service cannot make a file unreadable."""
    wrapped = keys.wrap(key_name, data_key, core)
    if not hmac.compare_digest(keys.unwrap(key_name, wrapped, core), data_key):
        raise NotProven(
            f"the key {key_name!r} returns a data key other than the one it wrapped. Nothing was written; ask who runs the "
            "key service."
        )
    return wrapped


def _open_envelope(
    header: Header, keys: KeyService, key_name: str | None, associated: bytes, *, what: str
) -> bytes:
    if key_name is not None and header.key != key_name:
        raise InvalidInput(
            f"{what} is sealed under the key {header.key!r}, expected {key_name!r}. Name the right one."
        )
    data_key = _unwrap(header, keys, what=what)
    header.check_associated(data_key, associated, what=what)
    return data_key


def _unwrap(header: Header, keys: KeyService, *, what: str) -> bytes:
    try:
        data_key = keys.unwrap(header.key, header.wrapped, header.core)
    except NotProven as error:
        raise NotProven(
            f"{what} does not open: this key {header.key!r} is not the one it was sealed under, or its "
            "header was altered. Use the keyring that sealed it; if this is the one, fetch the file again."
        ) from error
    if len(data_key) != _DATA_KEY:
        raise NotProven(f"{what} does not open: its data key has {len(data_key)} bytes, expected {_DATA_KEY}.")
    return data_key


def _read_header(sealed: Source) -> tuple[Header, int]:
    """Return the header and the offset of the stream."""
    what = str(sealed.path)
    length = header_length(_take(sealed, 0, FIXED), what=what)
    return parse(_take(sealed, FIXED, length), what=what), FIXED + length


def _take(sealed: Source, offset: int, length: int) -> bytes:
    data = bytearray(max(0, min(length, sealed.size - offset)))
    sealed.read_at(offset, memoryview(data))
    return bytes(data)


def _check_size(header: Header, found: int, *, what: str) -> None:
    expected = AES256_GCM_HKDF_1MB.sealed_size(header.plain_size)
    if found < expected:
        raise NotProven(
            f"{what} does not open: it is truncated, {found} bytes of ciphertext where {expected} were sealed. "
            "Fetch the whole file again."
        )
    if found > expected:
        raise NotProven(
            f"{what} does not open: bytes were appended, {found} bytes of ciphertext where {expected} were sealed. "
            "Fetch the original file again."
        )


def _reads(data: memoryview) -> streams.ReadAt:
    def read(offset: int, view: memoryview) -> None:
        view[:] = data[offset : offset + len(view)]

    return read


def _writes(into: memoryview) -> streams.WriteAt:
    def write(offset: int, view: memoryview) -> None:
        into[offset : offset + len(view)] = view

    return write
