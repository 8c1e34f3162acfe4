"""Names and bytes of the files in the log's folder (c2sp.org/tlog-tiles), as pure functions and one value type.

A tile holds 256 consecutive hashes of one level, level 0 being the leaves; each hash of level L + 1 is the root
of a full tile of level L. A partial tile is at the right edge, in a file named after its width. An entry
bundle holds the 256 entries (or fewer, at the edge) that one level-0 tile hashes.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from hashlib import sha256
from struct import pack

from hauberk.core.errors import InvalidInput, NotProven
from hauberk.custody.ledger.merkle import HASH_SIZE

WIDTH = 256
LARGEST_ENTRY = 0xFFFF

# A Tile keeps its hashes and all nodes above them in one byte string: height h starts at _OFFSET[h], 511 in all.
_OFFSET = tuple((512 - (512 >> height)) * HASH_SIZE for height in range(9))
_BLANK = bytes(511 * HASH_SIZE)


@dataclass(frozen=True, slots=True)
class Tile:
    """Up to 256 hashes and every complete node above them; bytes beyond `width` are zero and never read."""

    width: int
    nodes: bytes

    def node(self, height: int, index: int) -> bytes:
        """Return the hash over leaves [index·2^height, (index+1)·2^height) of this tile, which must be complete."""
        start = _OFFSET[height] + index * HASH_SIZE
        return self.nodes[start : start + HASH_SIZE]

    def data(self) -> bytes:
        """Return the bytes of the tile's file."""
        return self.nodes[: self.width * HASH_SIZE]

    def grow(self, hashes: bytes) -> Tile:
        """Return this tile with `hashes` (a multiple of 32 bytes that fits) appended."""
        nodes = bytearray(self.nodes)
        width = self.width + len(hashes) // HASH_SIZE
        nodes[self.width * HASH_SIZE : width * HASH_SIZE] = hashes
        for height in range(1, 9):
            done, reached = self.width >> height, width >> height
            if done == reached:
                break
            below = _OFFSET[height - 1]
            pairs = range(below + done * 64, below + reached * 64, 64)
            made = b"".join([sha256(b"\x01" + nodes[at : at + 64]).digest() for at in pairs])
            start = _OFFSET[height] + done * HASH_SIZE
            nodes[start : start + len(made)] = made
        return Tile(width, bytes(nodes))


BLANK = Tile(0, _BLANK)


def read_tile(data: bytes, width: int, *, exact: bool) -> Tile | None:
    """Return the tile of the first `width` hashes of a file, or None when it has fewer (or, if `exact`, more)."""
    wanted = width * HASH_SIZE
    if len(data) < wanted or (exact and len(data) != wanted):
        return None
    return BLANK.grow(data[:wanted])


def number(index: int) -> str:
    """Return the path of a tile index: 1234067 is x001/x234/067."""
    parts = [f"{index % 1000:03d}"]
    while index >= 1000:
        index //= 1000
        parts.append(f"x{index % 1000:03d}")
    return "/".join(reversed(parts))


def path(level: int | None, index: int, width: int = WIDTH) -> str:
    """Return the path under the log's folder of a tile, or with level None of an entry bundle."""
    stem = f"tile/{'entries' if level is None else level}/{number(index)}"
    return stem if width == WIDTH else f"{stem}.p/{width}"


def files_of(size: int) -> Iterable[tuple[int | None, int, int]]:
    """Yield (level, index, width) of every file of a log of `size` entries; level None is entries."""
    for index in range(-(-size // WIDTH)):
        yield None, index, min(WIDTH, size - index * WIDTH)
    level, count = 0, size
    while count:
        for index in range(-(-count // WIDTH)):
            yield level, index, min(WIDTH, count - index * WIDTH)
        level, count = level + 1, count // WIDTH


def bundle(entries: Iterable[bytes]) -> bytes:
    """Return entries as an entry bundle: each preceded by its length, uint16 big-endian."""
    return b"".join([pack(">H", len(entry)) + entry for entry in entries])


def read_bundle(data: bytes, count: int | None = None) -> list[bytes]:
    """Read the first `count` entries of a bundle, or all. Raises NotProven when the lengths do not add up."""
    entries: list[bytes] = []
    at = 0
    while at < len(data) and len(entries) != count:
        start = at + 2
        at = start + int.from_bytes(data[at:start], "big")
        if start > len(data) or at > len(data):
            raise NotProven("it ends within an entry.")
        entries.append(data[start:at])
    if count is not None and len(entries) != count:
        raise NotProven(f"it holds {len(entries)} entries, expected {count}.")
    return entries


def check_entry(entry: bytes) -> None:
    """Raise InvalidInput unless this is bytes that an entry bundle can hold (at most 65,535 of them)."""
    if not isinstance(entry, bytes):
        raise InvalidInput(f"a ledger entry is bytes, found {type(entry).__name__}.")
    if len(entry) > LARGEST_ENTRY:
        raise InvalidInput(
            f"a ledger entry holds at most {LARGEST_ENTRY} bytes, found {len(entry)}. "
            "Store it as an artifact and log its digest."
        )
