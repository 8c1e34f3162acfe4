"""Formats: one reader a file, found by what the file is called and, failing that, by its first bytes.

A reader is `run(source, wanted) -> Read | None` and returns None for what is not its own. A name decides before
content does, so a file that is called one thing and holds another is an error and not a surprise. Readers check claimed sizes
(`limits.claim`) before they allocate, and none of them unpickles or executes anything.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

from hauberk.core.errors import InvalidInput
from hauberk.core.registry import Registry
from hauberk.data.reading import limits
from hauberk.data.reading.raw import Read, Source, Wanted

_EXPECTED = (
    "expected a Parquet or CSV table, an .npz archive, an idx pair (images and labels), or a folder with one folder "
    "of PNG, JPEG or PPM pictures for each class"
)


class Reader(Protocol):
    """Reads files of one format, or returns None when they are of another."""

    def __call__(self, source: Source, wanted: Wanted) -> Read | None:
        """Return what the files hold."""


FORMATS: Registry[Reader] = Registry("data format", "hauberk.data.reading.formats")


def read(paths: Sequence[Path], wanted: Wanted) -> Read:
    """Return what the files of one side hold. Raises InvalidInput naming file, row and column, and what to do."""
    source = Source(tuple(paths), b"" if paths[0].is_dir() else limits.head(paths[0]))
    for path in paths[1:]:
        if not path.is_dir():
            limits.head(path)
    for entry in FORMATS:
        found = entry.run(source, wanted)
        if found is not None:
            return found
    raise InvalidInput(f"{paths[0]} has no known format (it starts with {source.first[:8]!r}): {_EXPECTED}.")
