"""The right edge of the tree: what is needed to append entries and to compute the root, as an immutable value.

It holds the partial tile of each level and the partial entry bundle. `extend` returns a new frontier and the files
that change. Nothing is written here, so after a failed commit the old value is still valid.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import sha256

from hauberk.custody.ledger.merkle import EMPTY_ROOT, HASH_SIZE, node_hash
from hauberk.custody.ledger.tiles import BLANK, WIDTH, Tile, bundle


@dataclass(frozen=True, slots=True)
class Frontier:
    """A log's size, its partial tile on each level (width below 256) and the bytes of its partial bundle."""

    size: int = 0
    tiles: tuple[Tile, ...] = ()
    bundle: bytes = b""

    def root(self) -> bytes:
        """Return the root of the log: its complete subtrees, joined from the right (RFC 6962 §2.1)."""
        root: bytes | None = None
        for tile in self.tiles:
            for height in range(8):
                if tile.width >> height & 1:
                    node = tile.node(height, (tile.width >> height) - 1)
                    root = node if root is None else node_hash(node, root)
        return EMPTY_ROOT if root is None else root


@dataclass(frozen=True, slots=True)
class Growth:
    """The result of an append: the new frontier, and the files to write.

    `tiles` are (level, index, tile), `bundles` (index, width, bytes); partial ones are at the new right edge.
    """

    frontier: Frontier
    tiles: tuple[tuple[int, int, Tile], ...]
    bundles: tuple[tuple[int, int, bytes], ...]


def widths(size: int) -> tuple[int, ...]:
    """Return the width of the partial tile on each level of a log of `size` entries (tlog-tiles, Partial Tiles)."""
    found = []
    while size:
        found.append(size % WIDTH)
        size //= WIDTH
    return tuple(found)


def extend(frontier: Frontier, entries: Sequence[bytes]) -> Growth:
    """Append entries, which the caller has checked, to the right edge. About 1.2 µs an entry."""
    edge: list[Tile] = []
    made: list[tuple[int, int, Tile]] = []
    carried = b"".join([sha256(b"\x00" + entry).digest() for entry in entries])
    level = 0
    while carried or level < len(frontier.tiles):
        tile = frontier.tiles[level] if level < len(frontier.tiles) else BLANK
        partial, full = _fill(tile, carried)
        first = frontier.size >> 8 * (level + 1)
        made += [(level, first + offset, done) for offset, done in enumerate(full)]
        if partial.width and carried:
            made.append((level, first + len(full), partial))
        edge.append(partial)
        carried = b"".join([done.node(8, 0) for done in full])
        level += 1
    bundles = _bundles(frontier, entries)
    rest = bundles[-1][2] if bundles and bundles[-1][1] < WIDTH else b""
    if not entries:
        rest = frontier.bundle
    return Growth(Frontier(frontier.size + len(entries), tuple(edge), rest), tuple(made), bundles)


def _fill(tile: Tile, hashes: bytes) -> tuple[Tile, list[Tile]]:
    full: list[Tile] = []
    at = 0
    while at < len(hashes):
        room = (WIDTH - tile.width) * HASH_SIZE
        tile = tile.grow(hashes[at : at + room])
        at += room
        if tile.width == WIDTH:
            full.append(tile)
            tile = BLANK
    return tile, full


def _bundles(frontier: Frontier, entries: Sequence[bytes]) -> tuple[tuple[int, int, bytes], ...]:
    found: list[tuple[int, int, bytes]] = []
    index, width = divmod(frontier.size, WIDTH)
    begun, at = frontier.bundle, 0
    while at < len(entries):
        some = entries[at : at + WIDTH - width]
        found.append((index, width + len(some), begun + bundle(some)))
        at, index, width, begun = at + len(some), index + 1, 0, b""
    return tuple(found)
