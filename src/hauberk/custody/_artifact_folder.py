"""Artifacts in a local folder: each gets its name by one rename, after its bytes are durable."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO

from hauberk.core.disk import Disk, explain
from hauberk.custody._files import TEMPORARY, Source, cannot_read, digest_of, draft

# Read-only, so that the system refuses an accidental write.
_MODE = 0o444
_MANY = 8


class Folder:
    """The target of a store in a local folder."""

    def __init__(self, root: Path, disk: Disk) -> None:
        self._root, self._disk = root, disk

    def where(self, name: str) -> str:
        """Return the path."""
        return str(self._root / name)

    def has(self, name: str) -> bool:
        """Return whether there is such a file."""
        return (self._root / name).is_file()

    def write(self, name: str, data: bytes) -> None:
        """Write and rename."""
        with draft(self._root / name, disk=self._disk, mode=_MODE) as fresh:
            fresh.write_at(0, memoryview(data))

    def write_many(self, items: Sequence[tuple[str, bytes]]) -> None:
        """Write all under temporary names, sync the file system, rename all, and sync it again.

        Two syncs serve any number of files; a few are faster one by one.
        """
        if len(items) < _MANY:
            for name, data in items:
                self.write(name, data)
            return
        drafts: list[tuple[Path, Path]] = []
        try:
            for name, data in items:
                path = self._root / name
                drafts.append((self._draft(path, data), path))
            self._sync([fresh for fresh, _ in drafts])
            for fresh, path in drafts:
                self._disk.rename(fresh, path)
            self._sync([folder for _, path in drafts for folder in path.parents[:3]])
        except OSError as error:
            raise explain(error, self._root) from error
        finally:
            for fresh, _ in drafts:
                with suppress(OSError):
                    fresh.unlink(missing_ok=True)

    def _sync(self, paths: Sequence[Path]) -> None:
        if not self._disk.sync_system(self._root):
            for path in dict.fromkeys(paths):
                self._disk.sync_file(path)

    def _draft(self, path: Path, data: bytes) -> Path:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name[:40]}.", suffix=TEMPORARY)
        try:
            os.fchmod(handle, _MODE)
            self._disk.store(handle, data)
        except BaseException:
            Path(name).unlink()
            raise
        finally:
            os.close(handle)
        return Path(name)

    def write_file(self, name: str, file: Source, digest: str) -> None:
        """Copy and rename; nothing appears when the file changes meanwhile."""
        with draft(self._root / name, disk=self._disk, mode=_MODE) as fresh:
            if digest_of(file, copy_to=fresh) != digest:
                raise file.changed()

    def open(self, name: str) -> BinaryIO:
        """Open for reading."""
        path = self._root / name
        try:
            return path.open("rb")
        except FileNotFoundError:
            raise
        except OSError as error:
            raise cannot_read(error, path) from error

    def remove(self, name: str) -> None:
        """Remove the file, durably."""
        path = self._root / name
        if not path.exists():
            return
        try:
            self._disk.remove(path)
            self._disk.sync_folder(path.parent)
        except OSError as error:
            raise explain(error, path) from error

    def clean(self, before: float) -> int:
        """Remove old temporary files; one that another process removes meanwhile does not count."""
        removed = 0
        for path in self._root.glob(f"*/*/.*{TEMPORARY}"):
            with suppress(FileNotFoundError):
                if path.stat().st_mtime < before:
                    path.unlink()
                    removed += 1
        return removed
