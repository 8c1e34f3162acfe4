"""Readers of file formats, one a module, selected by a file's name and, failing that, by its first bytes.

A reader is `run(source, wanted) -> Read | None`; it returns None for files of another format. The name takes precedence, so
that a file whose content contradicts its name is an error. Readers check claimed sizes (`limits.claim`) before they
allocate, and none unpickles or executes anything.
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
    """Reads files of one format."""

    def __call__(self, source: Source, wanted: Wanted) -> Read | None:
        """Return the files' content, or None if they have another format. Raises InvalidInput for damaged files."""


FORMATS: Registry[Reader] = Registry("data format", "hauberk.data.reading.formats")


def read(paths: Sequence[Path], wanted: Wanted) -> Read:
    """Return the content of one side's files. Raises InvalidInput naming file, row and column, and what to do."""
    source = Source(tuple(paths), b"" if paths[0].is_dir() else limits.head(paths[0]))
    for path in paths[1:]:
        if not path.is_dir():
            limits.head(path)
    for entry in FORMATS:
        content = entry.run(source, wanted)
        if content is not None:
            return content
    raise InvalidInput(f"{paths[0]} has no known format (it starts with {source.first[:8]!r}): {_EXPECTED}.")
