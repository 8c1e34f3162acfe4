"""A verified view of one signed tree head: every hash and entry is traced to the root before it is returned.

The partial tiles at the right edge are read when the view is created and must hash to the root. A full tile is read
when first needed, hashed, and compared with its hash in the parent tile; a bundle is compared with its level-0 tile.
Verified tiles and bundles are cached, so that proofs cost a few dictionary look-ups.

Answers: any altered, exchanged or missing file. Does not answer: whether the root is the log's; `log` checks the
checkpoint's signature.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

from hauberk.core.errors import InvalidInput, NotProven
from hauberk.custody.ledger import tiles
from hauberk.custody.ledger.frontier import Frontier, widths
from hauberk.custody.ledger.merkle import EMPTY_ROOT, leaf_hash, node_hash, split_point
from hauberk.custody.ledger.tiles import WIDTH, Tile

_Key = TypeVar("_Key")
_Value = TypeVar("_Value")

# How often a reader tries again when a writer replaced a partial file while it was read.
_LOOKS = 5

# A full bundle of the largest entries. A file that claims more is not read into memory; it fails as altered.
_LARGEST_FILE = WIDTH * (2 + tiles.LARGEST_ENTRY)


@dataclass(slots=True)
class Cache:
    """Verified full tiles and bundles, the oldest dropped first. 4,096 tiles are 64 MiB, or 10^6 entries."""

    most_tiles: int = 4096
    most_bundles: int = 64
    tiles: dict[tuple[int, int], Tile] = field(default_factory=dict)
    bundles: dict[int, list[bytes]] = field(default_factory=dict)

    def keep_tile(self, level: int, index: int, tile: Tile) -> None:
        """Remember a verified full tile."""
        _keep(self.tiles, (level, index), tile, self.most_tiles)

    def keep_bundle(self, index: int, entries: list[bytes]) -> None:
        """Remember a verified full bundle."""
        _keep(self.bundles, index, entries, self.most_bundles)


def _keep(kept: dict[_Key, _Value], key: _Key, value: _Value, most: int) -> None:
    kept[key] = value
    while len(kept) > most:
        kept.pop(next(iter(kept)), None)


@dataclass(frozen=True, slots=True)
class Tree:
    """The log in `folder` as it was at `size` entries with `root`. Safe to share between threads."""

    folder: Path
    size: int
    root: bytes
    edge: tuple[Tile, ...]
    cache: Cache = field(default_factory=Cache)

    # -- hashes ---------------------------------------------------------------------------------------------

    def node(self, height: int, index: int) -> bytes:
        """Return the hash of the complete subtree over entries [index·2^height, (index+1)·2^height)."""
        level, inner = divmod(height, 8)
        number = index >> (8 - inner)
        tile = self.cache.tiles.get((level, number)) or self.tile(level, number)
        return tile.node(inner, index & ((1 << (8 - inner)) - 1))

    def tile(self, level: int, index: int) -> Tile:
        """Return a tile of this tree, verified. Raises NotProven, naming the file, when altered or gone."""
        if index == self.size >> 8 * (level + 1):
            return self.edge[level]
        known = self.cache.tiles.get((level, index))
        if known is not None:
            return known
        name = tiles.path(level, index)
        tile = tiles.read_tile(_read(self.folder / name), WIDTH, exact=True)
        if tile is None or tile.node(8, 0) != self.node(8 * (level + 1), index):
            raise altered(self.folder / name, "its hash in the level above")
        self.cache.keep_tile(level, index, tile)
        return tile

    def span(self, start: int, stop: int) -> bytes:
        """Return the Merkle hash over entries [start, stop), start on a boundary of its size (RFC 6962 §2.1)."""
        if start == stop:
            return EMPTY_ROOT
        found: bytes | None = None
        height, at = 0, stop - start
        while at:
            if at & 1:
                node = self.node(height, (start >> height) + at - 1)
                found = node if found is None else node_hash(node, found)
            height, at = height + 1, at >> 1
        assert found is not None
        return found

    def root_at(self, size: int) -> bytes:
        """Return the root when the log had `size` entries. Raises InvalidInput beyond the present size."""
        self._within(size)
        return self.root if size == self.size else self.span(0, size)

    # -- proofs ---------------------------------------------------------------------------------------------

    def inclusion(self, index: int, size: int) -> list[bytes]:
        """Return the inclusion proof of entry `index` in the log of `size` entries (RFC 6962 §2.1.1)."""
        self._within(size)
        if not 0 <= index < size:
            raise InvalidInput(f"entry {index} is not in a log of {size} entries: choose one from 0 to {size - 1}.")
        inner = (index ^ (size - 1)).bit_length()
        node = self.node
        proof = [node(height, (index >> height) ^ 1) for height in range(inner - 1)]
        if inner:
            proof.append(self._meeting(index, inner - 1, size))
        left = [height for height in range(inner, size.bit_length()) if index >> height & 1]
        return proof + [node(height, (index >> height) - 1) for height in left]

    def _meeting(self, index: int, height: int, size: int) -> bytes:
        # The path of the entry and that of the last entry meet here; a sibling on the right may be incomplete.
        sibling = (index >> height) ^ 1
        start = sibling << height
        return self.span(start, min(size, start + (1 << height)))

    def consistency(self, old: int, new: int) -> list[bytes]:
        """Return the proof that the log of `new` entries extends the one of `old` (RFC 6962 §2.1.2)."""
        self._within(new)
        if not 0 < old <= new:
            raise InvalidInput(f"a consistency proof runs from a size in 1 to {new}; {old} is not one.")
        proof: list[bytes] = []
        low, high, whole = 0, new, True
        while old != high:
            middle = low + split_point(high - low)
            if old <= middle:
                proof.append(self.span(middle, high))
                high = middle
            else:
                proof.append(self.span(low, middle))
                low, whole = middle, False
        if not whole:
            proof.append(self.span(low, high))
        return proof[::-1]

    # -- entries --------------------------------------------------------------------------------------------

    def entry(self, index: int) -> bytes:
        """Return an entry, verified. Raises InvalidInput beyond the end, NotProven for an altered file."""
        if not 0 <= index < self.size:
            raise InvalidInput(f"there is no entry {index} in a log of {self.size} entries.")
        number, offset = divmod(index, WIDTH)
        return self.bundle(number, only=offset)[offset]

    def entries(self, start: int, stop: int) -> Iterator[bytes]:
        """Yield the entries [start, stop), verified bundle by bundle."""
        for number in range(start // WIDTH, -(-stop // WIDTH)):
            first = number * WIDTH
            yield from self.bundle(number)[max(0, start - first) : stop - first]

    def bundle(self, number: int, *, only: int | None = None) -> list[bytes]:
        """Return the entries of a bundle, each compared with its leaf hash; only: compare this one and no other.

        A leaf hash costs about 1 µs, so that one entry out of a bundle costs a hundredth of all of them.
        """
        known = self.cache.bundles.get(number)
        if known is not None:
            return known[: self.size - number * WIDTH]
        tile = self.tile(0, number)
        width = min(WIDTH, self.size - number * WIDTH)
        wanted = self.folder / tiles.path(None, number, width)
        for _ in range(_LOOKS):
            for file in candidates(self.folder, None, number, width):
                with suppress(_Gone):
                    entries = _checked(file, number, tile, width, exact=file == wanted, only=only)
                    if width == WIDTH and only is None:
                        self.cache.keep_bundle(number, entries)
                    return entries
        raise missing(wanted)

    def frontier(self) -> Frontier:
        """Return the frontier from which a writer continues, with the partial bundle verified."""
        number, width = divmod(self.size, WIDTH)
        return Frontier(self.size, self.edge, tiles.bundle(self.bundle(number)) if width else b"")

    def _within(self, size: int) -> None:
        if not 0 <= size <= self.size:
            raise InvalidInput(
                f"the log has {self.size} entries, and {size} is beyond its end: use a smaller size."
            )


def load(folder: Path, size: int, root: bytes, cache: Cache | None = None) -> Tree:
    """Read the right edge of the log and compare it with the root. Raises NotProven, naming the file at fault."""
    cache = Cache() if cache is None else cache
    edge = []
    for level, width in enumerate(widths(size)):
        index = size >> 8 * (level + 1)
        edge.append(_edge_tile(folder, level, index, width) if width else tiles.BLANK)
    if Frontier(size, tuple(edge)).root() != root:
        raise altered(_suspect(folder, size, root, edge), "the signed root")
    return Tree(folder, size, root, tuple(edge), cache)


def candidates(folder: Path, level: int | None, index: int, width: int) -> Iterator[Path]:
    """Yield the files that begin with the `width` hashes or entries wanted, the exact one first.

    A log may drop a partial file once a wider one exists (tlog-tiles, Partial Tiles); a reader of an older checkpoint
    then takes the beginning of the wider one and verifies it like any other.
    """
    exact, full = folder / tiles.path(level, index, width), folder / tiles.path(level, index)
    if exact.is_file():
        yield exact
    if width == WIDTH:
        return
    if full.is_file():
        yield full
    partials = full.with_name(full.name + ".p")
    try:
        found = [int(file.name) for file in partials.iterdir() if file.name.isdecimal()]
    except OSError:  # a writer may remove the folder at any moment
        found = []
    yield from (partials / str(wider) for wider in sorted(found) if wider > width)


class _Gone(NotProven):
    """A missing file: either it was removed, or a writer has just replaced it by a wider one."""


class _Unfit(_Gone):
    """A wider file that a writer has not finished."""


def altered(file: Path, expected: str) -> NotProven:
    """Return the error for a file that does not match what was signed."""
    return NotProven(f"{file} was altered: it does not match {expected}. {_ADVICE}")


def missing(file: Path) -> NotProven:
    """Return the error for a missing file that the checkpoint covers."""
    return _Gone(f"{file} is missing, but the checkpoint covers it. {_ADVICE}")


_ADVICE = (
    "Do not rely on this ledger, keep the folder as evidence, and restore the ledger from a copy that passes "
    "`hauberk ledger audit`."
)


def _read(file: Path) -> bytes:
    try:
        with file.open("rb") as opened:
            return opened.read(_LARGEST_FILE + 1)
    except FileNotFoundError as error:
        raise missing(file) from error
    except OSError as error:
        raise InvalidInput(f"cannot read {file}: {error.strerror}. Run as a user who may read it.") from error


def _edge_tile(folder: Path, level: int, index: int, width: int) -> Tile:
    wanted = folder / tiles.path(level, index, width)
    for file in candidates(folder, level, index, width):
        tile = tiles.read_tile(_read(file), width, exact=file == wanted)
        if tile is None:
            raise altered(file, f"{width} hashes of 32 bytes")
        return tile
    raise missing(wanted)


def _checked(  # noqa: PLR0913 - a file, and what it must hold
    file: Path, number: int, tile: Tile, width: int, *, exact: bool, only: int | None
) -> list[bytes]:
    fault = altered if exact else lambda file, expected: _Unfit(str(altered(file, expected)))
    try:
        entries = tiles.read_bundle(_read(file), None if exact else width)
    except _Gone:
        raise
    except NotProven as error:
        raise fault(file, f"{width} entries ({error})") from error
    if len(entries) != width:
        raise fault(file, f"{width} entries (it has {len(entries)})")
    for offset in range(width) if only is None else (only,):
        if leaf_hash(entries[offset]) != tile.node(0, offset):
            raise fault(file, f"entry {number * WIDTH + offset} as it was logged")
    return entries


def _suspect(folder: Path, size: int, root: bytes, edge: list[Tile]) -> Path:
    # The edge hashes to another root than the signed one. Rebuild one level after another from the level beneath it;
    # the level whose rebuilt tile leads to the signed root is the one that was altered.
    for level, tile in enumerate(edge):
        index = size >> 8 * (level + 1)
        rebuilt = _rebuild(folder, level, index, tile.width)
        changed = [*edge[:level], rebuilt, *edge[level + 1 :]] if rebuilt else edge
        if Frontier(size, tuple(changed)).root() == root:
            return folder / tiles.path(level, index, tile.width)
    return folder / "tile"


def _rebuild(folder: Path, level: int, index: int, width: int) -> Tile | None:
    try:
        if level == 0:
            file = next(candidates(folder, None, index, width))
            hashes = [leaf_hash(entry) for entry in tiles.read_bundle(_read(file), width)]
        else:
            below = [tiles.path(level - 1, index * WIDTH + offset) for offset in range(width)]
            found = [tiles.read_tile(_read(folder / name), WIDTH, exact=True) for name in below]
            hashes = [tile.node(8, 0) for tile in found if tile is not None]
    except (NotProven, StopIteration):
        return None
    return tiles.BLANK.grow(b"".join(hashes)) if len(hashes) == width else None
