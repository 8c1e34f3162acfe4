"""The artifact store: immutable bytes, known by their SHA-256 and never given out without checking it.

    PLACE/sha256/ab/cdef…      the artifact whose digest begins with ab, then cdef…
    PLACE/sha256/ab/.*.tmp     what a killed writer left; `clean` removes it

A place is a folder, or a URL of any fsspec target (`s3://bucket/path`, `memory://name`). In a folder an artifact
appears whole, durably and in one step, whatever is killed meanwhile; any number of writers may put the same bytes
at once, for they put the same file. In other targets it is first written under a temporary name and then moved.

`put` of what is there already reads it and compares the digest, not only the size: the caller has just read as many
bytes, so it costs at most the same again, and a damaged artifact is healed by the next run that makes it.

Answers: damage and alteration of stored artifacts, kills, concurrent writers. Does not answer: deletion (noticed,
not prevented) and secrecy (`sealing`).
"""

from __future__ import annotations

import hashlib
import re
from pathlib import Path
from typing import BinaryIO, Protocol

from hauberk.core.disk import Disk
from hauberk.core.errors import InvalidInput, NotProven
from hauberk.custody._artifact_folder import Folder
from hauberk.custody._files import CHUNK, Draft, Source, digest_of, named_draft, source

_DIGEST = re.compile("[0-9a-f]{64}")
DAY = 86_400.0


class _Target(Protocol):
    """Where artifacts lie: names to bytes. What it gives back is not believed."""

    def where(self, name: str) -> str:
        """Return the full name for messages."""

    def has(self, name: str) -> bool:
        """Say whether something has this name."""

    def write(self, name: str, data: bytes) -> None:
        """Let `data` appear under `name`, whole or not at all."""

    def write_file(self, name: str, file: Source, digest: str) -> None:
        """Let a file appear under `name`, unless what was copied has another digest (it changed meanwhile)."""

    def open(self, name: str) -> BinaryIO:
        """Open for reading and seeking. Raises FileNotFoundError."""

    def clean(self, before: float) -> int:
        """Remove temporary files last touched before this time; return how many."""


class Artifacts:
    """A store at one place. Holds no state: any number of processes may use one place at once.

    place: a folder (made when the first artifact comes) or an fsspec URL. Raises InvalidInput for an unknown kind
    of URL, Unavailable when its library is not installed.
    """

    def __init__(self, place: Path | str, *, disk: Disk | None = None) -> None:
        self._disk = disk or Disk()
        self._target: _Target
        if isinstance(place, str) and "://" in place and not place.startswith("file://"):
            from hauberk.custody._artifact_remote import Remote

            self._target = Remote(place)
        else:
            self._target = Folder(Path(str(place).removeprefix("file://")), self._disk)

    def put(self, data: bytes) -> str:
        """Keep `data`; return its digest (64 hex digits). Does nothing when it is there and intact.

        Raises Unavailable (disk full, target out of reach) or InvalidInput (no right to write).
        """
        digest = hashlib.sha256(data).hexdigest()
        if not self._intact(digest):
            self._target.write(_name(digest), data)
        return digest

    def put_file(self, path: Path) -> str:
        """Keep the bytes of a file of any size, in constant memory; return its digest. Errors as `put`.

        Raises InvalidInput when the file changes meanwhile.
        """
        with source(path) as file:
            digest = digest_of(file)
            if not self._intact(digest):
                self._target.write_file(_name(digest), file, digest)
            file.unchanged()
        return digest

    def has(self, digest: str) -> bool:
        """Say whether the artifact is there; not whether it is intact. Raises InvalidInput for no digest."""
        return self._target.has(_name(digest))

    def get(self, digest: str) -> bytes:
        """Return the artifact's bytes, verified. Raises NotProven when damaged, InvalidInput when absent."""
        name = _name(digest)
        with self._opened(digest, name) as file:
            data = file.read()
        if hashlib.sha256(data).hexdigest() != digest:
            raise self._damaged(digest)
        return data

    def open(self, digest: str) -> BinaryIO:
        """Return the artifact as a seekable file, verified from end to end before this returns. Errors as `get`.

        Does not answer: who may write to the store's files can still change them under an open file.
        """
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
        """Write the artifact to `path`, replacing it in one step, in constant memory. Errors as `get` and `put`.

        When it is damaged, `path` stays as it was.
        """
        with self._opened(digest, _name(digest)) as file, named_draft(path, disk=self._disk, mode=0o644) as copy:
            if _digest_of_open(file, copy_to=copy) != digest:
                raise self._damaged(digest)

    def clean(self, now: float, *, age: float = DAY) -> int:
        """Remove what killed writers left over `age` seconds before `now` (a POSIX time); return how many files.

        A day is longer than any writer takes, so that no living one loses its file.
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

    def _intact(self, digest: str) -> bool:
        if not self._target.has(_name(digest)):
            return False
        try:
            with self.open(digest):
                return True
        except (NotProven, InvalidInput):  # damaged, or removed since: to be written anew
            return False

    def _damaged(self, digest: str) -> NotProven:
        where = self._target.where(_name(digest))
        return NotProven(
            f"the artifact {where} is damaged: its bytes do not have the SHA-256 that names it, {digest}. "
            "Do not use it. Put the right bytes again (from a backup, or by the step that makes it): that heals it."
        )


def _name(digest: str) -> str:
    # Also keeps "../" out of paths.
    if not _DIGEST.fullmatch(digest):
        raise InvalidInput(f"{digest[:80]!r} is not a SHA-256 digest: expected 64 lower-case hex digits.")
    return f"sha256/{digest[:2]}/{digest[2:]}"


def _digest_of_open(file: BinaryIO, *, copy_to: Draft | None = None) -> str:
    digest, offset = hashlib.sha256(), 0
    while data := file.read(CHUNK):
        digest.update(data)
        if copy_to is not None:
            copy_to.write_at(offset, memoryview(data))
        offset += len(data)
    return digest.hexdigest()
