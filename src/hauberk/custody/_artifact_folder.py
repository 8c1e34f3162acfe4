"""Artifacts in a local folder: each appears by one rename, after its bytes are on the disk."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from typing import BinaryIO

from hauberk.core.disk import Disk
from hauberk.custody._files import TEMPORARY, Source, cannot_read, digest_of, draft

# Nobody writes to an artifact: a slip of the hand is refused by the system already.
_MODE = 0o444


class Folder:
    """The target of a store that is a folder."""

    def __init__(self, root: Path, disk: Disk) -> None:
        self._root, self._disk = root, disk

    def where(self, name: str) -> str:
        """Return the path."""
        return str(self._root / name)

    def has(self, name: str) -> bool:
        """Say whether there is such a file."""
        return (self._root / name).is_file()

    def write(self, name: str, data: bytes) -> None:
        """Write and rename."""
        with draft(self._root / name, disk=self._disk, mode=_MODE) as fresh:
            fresh.write_at(0, memoryview(data))

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

    def clean(self, before: float) -> int:
        """Remove old temporary files; one that somebody else removes meanwhile does not count."""
        removed = 0
        for path in self._root.glob(f"sha256/*/.*{TEMPORARY}"):
            with suppress(FileNotFoundError):
                if path.stat().st_mtime < before:
                    path.unlink()
                    removed += 1
        return removed
