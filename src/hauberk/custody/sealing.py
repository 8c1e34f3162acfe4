"""Encryption at rest by envelope: each file under its own data key, the data key wrapped by a key service.

`seal_file` and `unseal_file` work on files of any size in constant memory, `seal_bytes` and `unseal_bytes` on small
things in memory, `open_sealed` gives a seekable file that opens only what is read, and `rewrap` moves a file to a
new key-encryption key without touching its ciphertext. The bytes are described in `_envelope` and `_segments`.

Opening goes through these steps; each stops an attack and has its own message:

    1. the header parses strictly           hostile and foreign files               InvalidInput
    2. the key is the one asked for         a file sealed under a key that an
                                            attacker may use (only with `key_name`) InvalidInput
    3. the data key unwraps                 wrong key, altered header               NotProven
    4. the associated data commits          a genuine file in the wrong place       NotProven
    5. the size is the header's             truncation, appended bytes              NotProven
    6. every segment authenticates          change, reordering, splicing            NotProven
    7. only then the plaintext gets a name  use of what has not been proven

Step 3 cannot tell a wrong key from an altered header, nor step 6 a changed segment from one taken from another
file. Answers: theft and alteration of stored files. Does not answer: who may use the key service; an old sealed
file put back in the place of a newer one (the ledger's digests do); that size and key name can be read by all.
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

    associated: is not stored; whoever opens the file has to give the same (what it is, which release it is of).
    Raises InvalidInput (no such file, it changed meanwhile, no such key, unwritable folder) and Unavailable (disk
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
    """Decrypt `path` into `target`, readable by its owner alone; on any failure no plaintext is left anywhere.

    key_name: the key it has to be sealed under; None takes the one that the header names, and so accepts a file
    made by anybody who may use any key of the service. Raises as the steps above say; also as `seal_file`.
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

    The size is proven at once; a changed segment raises NotProven when it is reached, which may be after earlier
    ones were given out. Whoever must not act on a part uses `unseal_file`. Errors as there.
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
    """Return the plaintext of what `seal_bytes` or `seal_file` made; raises as `unseal_file`, naming it `what`."""
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


def read_header(path: Path) -> Header:
    """Return what a sealed file says of itself; nothing of it is proven yet. Raises InvalidInput."""
    with source(path) as sealed:
        return _read_header(sealed)[0]


def rewrap(
    path: Path, keys: KeyService, key_name: str, *, held_by: KeyService | None = None, disk: Disk | None = None
) -> None:
    """Wrap the data key of `path` under the current version of `key_name`.

    held_by: who holds the key it is wrapped under now, when it moves from one key service to another; None is
    `keys`. The ciphertext is copied, not decrypted; the file is replaced in one step, after the new wrapping was
    unwrapped again. For rotation: afterwards the old key-encryption key is not needed for this file. A data key that
    has leaked asks for `unseal_file` and `seal_file` instead. Raises NotProven when the present key does not unwrap
    it; the stream is not verified.
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
    """Copy a file from `start` on to `at` of a draft: within the kernel where it can do so."""
    try:
        while start < sealed.size:
            # At most 1 GiB a call, so that an interrupt is heard.
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
    """Steps 1 to 5 for a file: what is left is to decrypt the stream."""

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
    """Wrap a data key and look at once that it comes back: a service that errs must not cost anybody a file."""
    wrapped = keys.wrap(key_name, data_key, core)
    if not hmac.compare_digest(keys.unwrap(key_name, wrapped, core), data_key):
        raise NotProven(
            f"the key {key_name!r} gives back another data key than it wrapped. Nothing was written; ask who runs the "
            "key service."
        )
    return wrapped


def _open_envelope(
    header: Header, keys: KeyService, key_name: str | None, associated: bytes, *, what: str
) -> bytes:
    if key_name is not None and header.key != key_name:
        raise InvalidInput(
            f"{what} says it is sealed under the key {header.key!r}, expected {key_name!r}. Name the right one."
        )
    data_key = _unwrap(header, keys, what=what)
    header.check_associated(data_key, associated, what=what)
    return data_key


def _unwrap(header: Header, keys: KeyService, *, what: str) -> bytes:
    try:
        data_key = keys.unwrap(header.key, header.wrapped, header.core)
    except NotProven as error:
        raise NotProven(
            f"{what} does not open: the key {header.key!r} at hand is not the one it was sealed under, or its "
            "header was altered. Use the keyring of that time; if it is the one, fetch the file again."
        ) from error
    if len(data_key) != _DATA_KEY:
        raise NotProven(f"{what} does not open: its data key has {len(data_key)} bytes, expected {_DATA_KEY}.")
    return data_key


def _read_header(sealed: Source) -> tuple[Header, int]:
    """Return the header and where the stream begins."""
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
