"""Artifacts in any target that fsspec knows: object stores, file servers, memory.

An artifact is written under a temporary name and then moved. Where a move is atomic, so is the appearance of the
artifact; in an object store a move is a copy on the server, and each object still appears whole. Readers check the
digest in any case: an incomplete object is refused, and replaced by the next put.
"""

from __future__ import annotations

import hashlib
import secrets
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import Any, BinaryIO

from hauberk.core.errors import InvalidInput, Unavailable
from hauberk.custody._files import CHUNK, TEMPORARY, Source

# Larger artifacts are spooled to a temporary file while they are verified.
_IN_MEMORY = 8 * CHUNK


class Remote:
    """The target of a store at an fsspec URL."""

    def __init__(self, url: str) -> None:
        import fsspec

        self._url = url.rstrip("/")
        try:
            self._system, root = fsspec.core.url_to_fs(url)
        except ValueError as error:
            known = ", ".join(sorted(fsspec.available_protocols()))
            raise InvalidInput(
                f"unknown kind of artifact store {url!r}: expected a folder or one of {known}."
            ) from error
        except ImportError as error:
            raise Unavailable(
                f"the artifact store {url!r} needs a library that is not installed: {error}."
            ) from error
        self._root = str(root).rstrip("/")

    def where(self, name: str) -> str:
        """Return the URL."""
        return f"{self._url}/{name}"

    def has(self, name: str) -> bool:
        """Return whether the target has such an object."""
        with self._reached():
            return bool(self._system.isfile(f"{self._root}/{name}"))

    def write(self, name: str, data: bytes) -> None:
        """Write under a temporary name and move."""
        with self._fresh(name) as file:
            file.write(data)

    def write_many(self, items: Sequence[tuple[str, bytes]]) -> None:
        """Write one after another."""
        for name, data in items:
            self.write(name, data)

    def write_file(self, name: str, file: Source, digest: str) -> None:
        """Copy under a temporary name and move."""
        copied, buffer = hashlib.sha256(), memoryview(bytearray(min(CHUNK, max(1, file.size))))
        with self._fresh(name) as fresh:
            for offset in range(0, file.size, CHUNK):
                view = buffer[: min(CHUNK, file.size - offset)]
                file.read_at(offset, view)
                copied.update(view)
                fresh.write(bytes(view))
            if copied.hexdigest() != digest:
                raise file.changed()

    def open(self, name: str) -> BinaryIO:
        """Fetch into a temporary file, so that the bytes that are read are the ones that were verified."""
        kept = tempfile.SpooledTemporaryFile(max_size=_IN_MEMORY)  # noqa: SIM115 - handed to the caller, who closes it
        try:
            with self._reached(), self._system.open(f"{self._root}/{name}", "rb") as file:
                while data := file.read(CHUNK):
                    kept.write(data)
            kept.seek(0)
        except BaseException:
            kept.close()
            raise
        return kept  # type: ignore[return-value] # it is a binary file in all but name

    def remove(self, name: str) -> None:
        """Remove the object."""
        with self._reached(), suppress(FileNotFoundError):
            self._system.rm_file(f"{self._root}/{name}")

    def clean(self, before: float) -> int:
        """Remove old temporary files, as far as the target knows their age."""
        removed = 0
        with self._reached():
            for path in self._system.glob(f"{self._root}/*/*/.*{TEMPORARY}"):
                with suppress(FileNotFoundError, NotImplementedError):
                    if self._system.modified(path).timestamp() < before:
                        self._system.rm_file(path)
                        removed += 1
        return removed

    @contextmanager
    def _fresh(self, name: str) -> Iterator[Any]:
        path = f"{self._root}/{name}"
        folder, _, last = path.rpartition("/")
        temporary = f"{folder}/.{last[:40]}.{secrets.token_hex(8)}{TEMPORARY}"
        with self._reached():
            try:
                self._system.makedirs(folder, exist_ok=True)
                with self._system.open(temporary, "wb") as file:
                    yield file
                self._system.mv(temporary, path)
            except BaseException:
                with suppress(Exception):  # the first error is the one to report
                    self._system.rm_file(temporary)
                raise

    @contextmanager
    def _reached(self) -> Iterator[None]:
        try:
            yield
        except FileNotFoundError:
            raise
        except PermissionError as error:
            raise InvalidInput(
                f"no access to the artifact store {self._url}: {error}. Check its credentials."
            ) from error
        except OSError as error:
            raise Unavailable(
                f"the artifact store {self._url} did not answer: {error}. Try again later."
            ) from error
