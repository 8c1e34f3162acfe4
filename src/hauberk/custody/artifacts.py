"""The artifact store: immutable bytes, identified by their SHA-256, which is checked whenever they are read.

    PLACE/sha256/ab/cdef…      the artifact whose digest begins with ab, then cdef…, in the clear
    PLACE/sealed/ab/cdef…      the same, sealed (`sealing`) under a key of the key service
    PLACE/*/ab/.*.tmp          left by a killed writer; `clean` removes it

The digest is that of the plaintext in both cases, so ledger and evidence do not depend on how an artifact is kept. A
sealed one is bound to its digest by its associated data: it does not open under another name.

A place is a folder, or a URL of any fsspec target (`s3://bucket/path`, `memory://name`). In a folder an artifact
appears whole, durably and in one step, whatever is killed meanwhile; any number of writers may put the same bytes
at once. In other targets it is first written under a temporary name and then moved.

`put` of an artifact that is present reads it and compares the digest, not only the size: that costs at most as much as
the caller's own reading, and a damaged artifact is healed by the next run that makes it.

Answers: damage and alteration of stored artifacts, kills, concurrent writers; of sealed artifacts also theft, and copies
in backups once their key is erased. Does not answer: deletion (noticed, not prevented); what a sealed artifact holds
can be guessed by whoever has the same bytes, because its name is their digest; blocks of a plain copy that `seal`
removed may stay on the disk.
"""

from __future__ import annotations

import hashlib
import io
import re
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import BinaryIO, Protocol

from hauberk.core.disk import Disk
from hauberk.core.errors import InvalidInput, NotProven
from hauberk.custody._artifact_folder import Folder
from hauberk.custody._files import CHUNK, Draft, Source, digest_of, named_draft, source
from hauberk.custody.keys.port import KeyService
from hauberk.custody.sealing import key_name, seal_bytes, seal_file, unseal_bytes

_DIGEST = re.compile("[0-9a-f]{64}")
DAY = 86_400.0


class _Target(Protocol):
    """Where artifacts are stored: names to bytes. What it returns is verified by the caller."""

    def where(self, name: str) -> str:
        """Return the full name, for messages."""

    def has(self, name: str) -> bool:
        """Return whether something has this name."""

    def write(self, name: str, data: bytes) -> None:
        """Store `data` under `name`, whole or not at all."""

    def write_many(self, items: Sequence[tuple[str, bytes]]) -> None:
        """As `write`, for many small items, durable when it returns."""

    def write_file(self, name: str, file: Source, digest: str) -> None:
        """Store a file under `name`, unless the copy has another digest because the file changed meanwhile."""

    def open(self, name: str) -> BinaryIO:
        """Open for reading and seeking. Raises FileNotFoundError."""

    def remove(self, name: str) -> None:
        """Remove what has this name, if anything has."""

    def clean(self, before: float) -> int:
        """Remove temporary files last modified before this time; return how many."""


class Artifacts:
    """A store at one place. Holds no state: any number of processes may use one place at once.

    place: a folder (made with the first artifact) or an fsspec URL. keys: the key service that seals and opens sealed
    artifacts; without one the others can be used. Raises InvalidInput for an unknown kind of URL, Unavailable when its
    library is not installed.
    """

    def __init__(self, place: Path | str, *, disk: Disk | None = None, keys: KeyService | None = None) -> None:
        self._disk = disk or Disk()
        self._keys = keys
        self._target: _Target
        if isinstance(place, str) and "://" in place and not place.startswith("file://"):
            from hauberk.custody._artifact_remote import Remote

            self._target = Remote(place)
        else:
            self._target = Folder(Path(str(place).removeprefix("file://")), self._disk)

    def put(self, data: bytes, *, key: str | None = None) -> str:
        """Keep `data`; return its digest (64 hex digits). Does nothing when it is present and intact.

        key: the name of the key to seal it under; a copy in the clear is then removed. None keeps it in the clear.
        Raises Unavailable (disk full, target out of reach) or InvalidInput (no right to write; no such key).
        """
        digest = hashlib.sha256(data).hexdigest()
        if key is not None:
            if not self._opens(digest):
                self._target.write(
                    _sealed(digest), seal_bytes(data, self._service(), key, associated=_bound(digest))
                )
            self._target.remove(_name(digest))
        elif not self._intact(digest):
            self._target.write(_name(digest), data)
        return digest

    def put_many(self, items: Sequence[bytes]) -> list[str]:
        """Keep many small artifacts in the clear, with two syncs of the disk for all; return their digests. Errors as `put`."""
        digests = [hashlib.sha256(data).hexdigest() for data in items]
        absent = {digest: data for digest, data in zip(digests, items, strict=True) if not self._intact(digest)}
        self._target.write_many([(_name(digest), data) for digest, data in absent.items()])
        return digests

    def put_file(self, path: Path, *, key: str | None = None) -> str:
        """Keep the bytes of a file of any size, in constant memory; return its digest. Key and errors as `put`.

        Raises InvalidInput when the file changes meanwhile.
        """
        with source(path) as file:
            digest = digest_of(file)
            if key is not None:
                if not self._opens(digest):
                    self._write_sealed(file, digest, key)
                self._target.remove(_name(digest))
            elif not self._intact(digest):
                self._target.write_file(_name(digest), file, digest)
            file.unchanged()
        return digest

    def seal(self, digest: str, *, key: str) -> None:
        """Replace an artifact that is kept in the clear by a sealed one; nothing to do for a sealed one. Errors as `get`."""
        if self._target.has(_name(digest)):
            self.put(self.get(digest), key=key)

    def has(self, digest: str) -> bool:
        """Return whether the artifact is present, not whether it is intact or opens. Needs no keys.

        Raises InvalidInput for a text that is no digest.
        """
        return self._target.has(_name(digest)) or self._target.has(_sealed(digest))

    def get(self, digest: str) -> bytes:
        """Return the artifact's bytes, verified, a sealed one opened.

        Raises NotProven when it is damaged or the key at hand is not the one it was sealed under; InvalidInput when it is
        absent, when its key was erased, and for a sealed artifact in a store without keys.
        """
        if self._is_sealed(digest):
            return self._unsealed(digest)
        with self._opened(digest, _name(digest)) as file:
            data = file.read()
        if hashlib.sha256(data).hexdigest() != digest:
            raise self._damaged(digest)
        return data

    def open(self, digest: str) -> BinaryIO:
        """Return the artifact as a seekable file, verified from end to end before this returns. Errors as `get`.

        A sealed artifact is held in memory, because a temporary file would be a copy in the clear.
        Does not answer: whoever may write to the store's files can still change them under an open file.
        """
        if self._is_sealed(digest):
            return io.BytesIO(self._unsealed(digest))
        file = self._opened(digest, _name(digest))
        try:
            intact = _digest_of_open(file) == digest
            file.seek(0)
        except BaseException:
            file.close()
            raise
        if not intact:
            file.close()
            raise self._damaged(digest)
        return file

    def copy_to(self, digest: str, path: Path) -> None:
        """Write the artifact to `path`, replacing it in one step. Errors as `get` and `put`; then `path` stays as it was.

        In constant memory, except for a sealed one; that is readable by its owner alone.
        """
        if self._is_sealed(digest):
            data = self._unsealed(digest)
            with named_draft(path, disk=self._disk, mode=0o600) as copy:
                copy.write_at(0, memoryview(data))
            return
        with self._opened(digest, _name(digest)) as file, named_draft(path, disk=self._disk, mode=0o644) as copy:
            if _digest_of_open(file, copy_to=copy) != digest:
                raise self._damaged(digest)

    def clean(self, now: float, *, age: float = DAY) -> int:
        """Remove files that killed writers left more than `age` seconds before `now` (POSIX time); return how many.

        A day is longer than any writer takes, so that no running one loses its file.
        """
        return self._target.clean(now - age)

    def _opened(self, digest: str, name: str) -> BinaryIO:
        try:
            return self._target.open(name)
        except FileNotFoundError as error:
            raise InvalidInput(
                f"there is no artifact {digest} in the store: expected {self._target.where(name)}. "
                "Run the step that makes it again, or copy the file there from a backup."
            ) from error

    def _is_sealed(self, digest: str) -> bool:
        # A copy in the clear costs no key; there are both only between the two steps of `put` with a key.
        return not self._target.has(_name(digest)) and self._target.has(_sealed(digest))

    def _service(self) -> KeyService:
        if self._keys is None:
            raise InvalidInput(
                "this artifact store was opened without keys, and the artifact is to be sealed: give it keys."
            )
        return self._keys

    def _unsealed(self, digest: str) -> bytes:
        where = self._target.where(_sealed(digest))
        with self._opened(digest, _sealed(digest)) as file:
            sealed = file.read()
        try:
            name = key_name(sealed, what=where)
        except InvalidInput as error:
            raise self._damaged(digest, _sealed(digest)) from error
        if self._keys is None:
            raise InvalidInput(
                f"the artifact {where} is sealed under the key {name!r}, and this store was opened without keys. Open the "
                "project with its keys."
            )
        try:
            data = unseal_bytes(sealed, self._keys, associated=_bound(digest), what=where)
        except (InvalidInput, NotProven) as error:
            if name in self._keys.names():
                raise
            raise InvalidInput(
                f"the artifact {where} does not open: it is sealed under the key {name!r}, which does not exist any more. If "
                "the key was erased, nobody can read it again. To make it anew, remove this file and run the same command again."
            ) from error
        if hashlib.sha256(data).hexdigest() != digest:
            raise self._damaged(digest, _sealed(digest))
        return data

    def _opens(self, digest: str) -> bool:
        if not self._target.has(_sealed(digest)):
            return False
        try:
            self._unsealed(digest)
        except (NotProven, InvalidInput):  # damaged, of a key that is gone, or removed since: to be written anew
            return False
        return True

    def _write_sealed(self, file: Source, digest: str, key: str) -> None:
        with tempfile.TemporaryDirectory() as scratch:
            made = Path(scratch) / "sealed"
            seal_file(file.path, made, self._service(), key, associated=_bound(digest))
            file.unchanged()  # or other bytes were sealed than those that have this digest
            with source(made) as sealed:
                self._target.write_file(_sealed(digest), sealed, digest_of(sealed))

    def _intact(self, digest: str) -> bool:
        if not self._target.has(_name(digest)):
            return False
        try:
            with self.open(digest):
                return True
        except (NotProven, InvalidInput):  # damaged, or removed since: to be written anew
            return False

    def _damaged(self, digest: str, name: str = "") -> NotProven:
        where = self._target.where(name or _name(digest))
        return NotProven(
            f"the artifact {where} is damaged: its bytes do not have the SHA-256 that names it, {digest}. "
            "Do not use it. Put the right bytes again (from a backup, or by the step that makes it): that heals it."
        )


def _name(digest: str) -> str:
    # Also keeps "../" out of paths.
    if not _DIGEST.fullmatch(digest):
        raise InvalidInput(f"{digest[:80]!r} is not a SHA-256 digest: expected 64 lower-case hex digits.")
    return f"sha256/{digest[:2]}/{digest[2:]}"


def _sealed(digest: str) -> str:
    return "sealed" + _name(digest).removeprefix("sha256")


def _bound(digest: str) -> bytes:
    """Return the associated data of a sealed artifact: one that was put under another digest does not open."""
    return b"hauberk artifact v1\0" + digest.encode("ascii")


def _digest_of_open(file: BinaryIO, *, copy_to: Draft | None = None) -> str:
    digest, offset = hashlib.sha256(), 0
    while data := file.read(CHUNK):
        digest.update(data)
        if copy_to is not None:
            copy_to.write_at(offset, memoryview(data))
        offset += len(data)
    return digest.hexdigest()
