"""Neighbours: which rows are the same, and which are so close that one is a copy of the other.

Same: equal bytes of the values. Close: a distance below a bound, between features that forget what a copier would
change. For pictures these are shape and shading alone: grey, averaged down to at most 16 x 16, mean removed and
length one, so brightness, contrast, small noise, resizing and recompression hardly move them. For tables: all
categories equal, and numbers in units of their own spread.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from hauberk.core.columns import Column, ColumnKind
from hauberk.data.reading.dataset import Dataset, Doubles, Floats, Labels

# Largest distance of a copy. Pictures: copies with 2 % noise and 15 % brightness measured 0.05 in the middle and
# neighbours in digits, Fashion-MNIST and GTSRB over 0.1; tables: a two-hundredth of the columns' spread.
TOLERANCE = {"image": 0.1, "table": 0.005}

_SIDE = 16
_FAINT = 0.01  # contrast (standard deviation, of a range of 1) below which a picture is taken as blank
_BLOCK = 1 << 24  # distances held at once
_SAMPLE = 1000  # rows that tell how many features vary continuously
_BY_CHANCE = 0.001  # share of honest rows that may be called copies


@dataclass(frozen=True, slots=True, eq=False)
class Nearest:
    """For each query: distance to the nearest allowed row of the base (inf without one), and its index (or -1)."""

    distance: Doubles
    index: Labels


@dataclass(frozen=True, slots=True, eq=False)
class Features:
    """values: (n, f) float32, compared by Euclidean distance; blocks: (n,), only rows of one block are compared."""

    values: Floats
    blocks: Labels

    def take(self, rows: Labels) -> Features:
        """Return the features of these rows."""
        return Features(self.values[rows], self.blocks[rows])


def row_codes(*sides: npt.NDArray[np.float32]) -> tuple[Labels, ...]:
    """Return, for each side, (n,) numbers that are equal exactly where rows are (on all sides together)."""
    known: dict[bytes, int] = {}

    def code(row: npt.NDArray[np.float32]) -> int:
        return known.setdefault(hashlib.blake2b(row.data, digest_size=16).digest(), len(known))

    # Adding zero turns -0.0, which has other bytes, into 0.0.
    return tuple(
        np.fromiter((code(row) for row in np.ascontiguousarray(side + np.float32(0))), np.int64, len(side))
        for side in sides
    )


def features(*sides: Dataset) -> tuple[Features, ...]:
    """Return comparable features of each side; units and blocks are taken from all sides together.

    A row that is not finite is near no other: it has a block of its own.
    """
    finite = [np.asarray(np.isfinite(side.x).reshape(len(side), -1).all(axis=1), np.bool_) for side in sides]
    whole = [
        side.x if good.all() else np.where(good.reshape(-1, *[1] * (side.x.ndim - 1)), side.x, np.float32(0))
        for side, good in zip(sides, finite, strict=True)
    ]
    if sides[0].kind == "image":
        found = tuple(Features(picture_features(x), np.zeros(len(x), np.int64)) for x in whole)
    else:
        found = table_features(whole, sides[0].columns)
    return tuple(
        Features(one.values, np.where(good, one.blocks, -1 - number - len(sides) * np.arange(len(good))))
        for number, (one, good) in enumerate(zip(found, finite, strict=True))
    )


def picture_features(x: Floats) -> Floats:
    """Return (n, f) float32 of length at most one: the shading of pictures (n, c, h, w) without their brightness."""
    grey = pooled(x.mean(axis=1, dtype=np.float32, keepdims=True)).reshape(len(x), -1)
    grey = grey - grey.mean(axis=1, keepdims=True)
    length = np.linalg.norm(grey, axis=1, keepdims=True)
    # A blank picture has no shading to compare: its noise must not be blown up to length one.
    scaled: Floats = (grey / np.maximum(length, _FAINT * grey.shape[1] ** 0.5)).astype(np.float32)
    return scaled


def pooled(x: Floats, side: int = _SIDE) -> Floats:
    """Return pictures (n, c, h, w) averaged down to at most `side` pixels a side; smaller ones stay as they are."""
    return _pooled(_pooled(x, 2, side), 3, side)


def table_features(sides: Sequence[Floats], columns: Sequence[Column]) -> tuple[Features, ...]:
    """Return numbers in units of their spread over the root of their count, and blocks of equal categories.

    So the distance is a root mean square over the number columns: 0.01 is a hundredth of the spread, on average.
    """
    number = np.array([column.kind is not ColumnKind.CATEGORY for column in columns], bool)
    every = np.concatenate(sides).astype(np.float64)
    numbers = every[:, number]
    spread = numbers.std(axis=0)
    spread[spread == 0] = 1
    scaled = ((numbers - numbers.mean(axis=0)) / (spread * max(1, number.sum()) ** 0.5)).astype(np.float32)
    blocks = row_codes(every[:, ~number].astype(np.float32))[0]
    ends = np.cumsum([len(side) for side in sides])[:-1]
    return tuple(Features(*pair) for pair in zip(np.split(scaled, ends), np.split(blocks, ends), strict=True))


def nearest(
    queries: Features,
    base: Features,
    *,
    query_keys: Labels | None = None,
    base_keys: Labels | None = None,
) -> Nearest:
    """Return each query's nearest row of the base within its block, other than rows with the query's own key.

    Keys: (n,) numbers; give each row its own to leave out itself, or its group to leave out the group. Time is
    O(n_queries x n_base x f) within a block, memory bounded.
    """
    distance = np.full(len(queries.values), np.inf)
    index = np.full(len(queries.values), -1, np.int64)
    for ask, have in _pairs(queries.blocks, base.blocks):
        step = max(1, _BLOCK // len(have))
        values = base.values[have]
        squares = np.einsum("ij,ij->i", values, values)
        for start in range(0, len(ask), step):
            part = ask[start : start + step]
            near = squares[None] - 2 * (queries.values[part] @ values.T)
            if query_keys is not None and base_keys is not None:
                near[query_keys[part][:, None] == base_keys[have][None]] = np.inf
            best = near.argmin(axis=1)
            found = np.isfinite(near[np.arange(len(part)), best])
            index[part[found]] = have[best[found]]
    found = index >= 0
    # Measured once more without the cancellation of the expanded square.
    gaps = queries.values[found].astype(np.float64) - base.values[index[found]]
    distance[found] = np.linalg.norm(gaps, axis=1)
    return Nearest(distance, index)


def dimensions(side: Features) -> int:
    """Return how many features vary continuously: those with a fifth as many different values as rows, or more."""
    sample = side.values[:_SAMPLE]
    return sum(len(np.unique(column)) * 5 >= len(sample) for column in sample.T)


def bound_of(own: Nearest, *, tolerance: float, dimensions: int) -> float:
    """Return the distance under which two rows count as copies: `tolerance`, or less where data lie closer.

    own: nearest neighbours inside the training side, of other groups. A copy with small changes is far closer than
    what neighbours usually are, so the bound never exceeds a fraction of the median distance; the median, because a
    flood of copies below half of the rows cannot pull it down and hide itself. In d dimensions a neighbour is within
    f of the median by chance for 1 - 2^(-f^d) of the rows, and f is such that this stays under one in a thousand, at
    most a quarter. Where nothing varies continuously, chance alone makes rows near, and only equal ones count.
    """
    if not dimensions:
        return 0.0
    fraction = min(0.25, (_BY_CHANCE / math.log(2)) ** (1 / dimensions))
    known = own.distance[np.isfinite(own.distance) & (own.distance > 0)]
    return min(tolerance, fraction * float(np.median(known))) if len(known) else tolerance


def _pooled(x: Floats, axis: int, side: int) -> Floats:
    size = x.shape[axis]
    if size <= side:
        return x
    edges = np.linspace(0, size, side + 1).astype(np.int64)
    sums = np.add.reduceat(x, edges[:-1], axis=axis)
    shape = [1] * x.ndim
    shape[axis] = side
    means: Floats = (sums / np.diff(edges).reshape(shape)).astype(np.float32)
    return means


def _pairs(queries: Labels, base: Labels) -> Iterable[tuple[Labels, Labels]]:
    """Yield (query rows, base rows) of each block that both have."""
    order, other = np.argsort(queries, kind="stable"), np.argsort(base, kind="stable")
    sorted_queries, sorted_base = queries[order], base[other]
    for block in np.intersect1d(queries, base):
        ask = order[np.searchsorted(sorted_queries, block) : np.searchsorted(sorted_queries, block, "right")]
        have = other[np.searchsorted(sorted_base, block) : np.searchsorted(sorted_base, block, "right")]
        yield ask, have
