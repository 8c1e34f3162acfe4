"""Cuts a file into parts: Parquet at its row groups, as the footer places them; any other file every 4 MiB.

Parts cover the file without a gap. The bytes before the first row group are the `header`, the bytes after the last are the
`footer` (page indexes and metadata). Bytes between two groups belong to the second one, so that the last group keeps its
digest when another is appended.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from hauberk.core.errors import HauberkError
from hauberk.data.manifest.items import Item, Reader
from hauberk.data.manifest.model import BLOCK, BLOCKS, PARQUET, block_name
from hauberk.data.reading.formats._footer import MAGIC, row_groups

_ENDINGS = (".parquet", ".pq", ".parq")
_MOST_FOOTER = 256 << 20  # bytes; a file with a larger footer is cut into blocks
FOOTER = "footer"


@dataclass(frozen=True, slots=True)
class Cut:
    """Where a part lies: bytes [start, end) of its file."""

    name: str
    start: int
    end: int
    rows: int | None = None


def cut(item: Item, reader: Reader) -> tuple[str, tuple[Cut, ...]]:
    """Return the form of a file and its parts. A Parquet file whose footer is damaged is cut into blocks."""
    if item.name.lower().endswith(_ENDINGS):
        groups = _groups(item, reader)
        if groups is not None:
            return PARQUET, groups
    return BLOCKS, blocks(item.size)


def blocks(size: int) -> tuple[Cut, ...]:
    """Return the blocks of a file of `size` bytes; an empty file has one empty block."""
    return tuple(Cut(block_name(at // BLOCK), at, min(size, at + BLOCK)) for at in range(0, max(1, size), BLOCK))


def _groups(item: Item, reader: Reader) -> tuple[Cut, ...] | None:
    if item.size < 12:
        return None
    length, last = struct.unpack("<I4s", reader.read(item, item.size - 8, item.size))
    start = item.size - 8 - length
    if last != MAGIC or start < 4 or length > _MOST_FOOTER:
        return None
    try:
        groups = row_groups(reader.read(item, start, item.size - 8), item.size, where=item.name)
    except HauberkError:
        return None
    return _covering(groups, start, item.size)


def _covering(groups: Sequence[tuple[int, int, int]], footer: int, size: int) -> tuple[Cut, ...] | None:
    """Return the parts, or None if the groups overlap, are out of order or extend into the footer."""
    ordered = all(one[1] <= other[0] for one, other in pairwise(groups))
    if not ordered or any(not 4 <= start <= end <= footer for start, end, _ in groups):
        return None
    cuts = [Cut("header", 0, groups[0][0] if groups else 4)]
    for number, (_, end, rows) in enumerate(groups):
        cuts.append(Cut(f"row group {number}", cuts[-1].end, end, rows))
    return (*cuts, Cut(FOOTER, cuts[-1].end, size))
