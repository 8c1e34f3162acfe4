"""Exact and near duplicates: equal rows, and rows so close that one is a modified copy of the other.

Equal: the values have the same bytes. Close: a distance below a bound, between features that ignore what a copier would
change. For pictures the features are the shading: grey, averaged down to at most 16 x 16 pixels, minus the mean, scaled to
length one, so that brightness, contrast, small noise, resizing and recompression hardly change them. For tables: equal
categories, and numbers divided by their standard deviation.
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

# Largest distance of a copy. Pictures: copies with 2 % noise and 15 % brightness have a median distance of 0.05 (measured);
# neighbours in digits, Fashion-MNIST and GTSRB have more than 0.1. Tables: 0.5 % of the columns' standard deviation.
TOLERANCE = {"image": 0.1, "table": 0.005}

_SIDE = 16  # pixels
_FAINT = 0.01  # contrast (standard deviation of values in [0, 1]) below which a picture counts as blank
_BLOCK = 1 << 24  # distances held in memory at once
_SAMPLE = 1000  # rows from which the number of continuous features is estimated
_BY_CHANCE = 0.001  # share of honest rows that may lie within the bound by chance


@dataclass(frozen=True, slots=True, eq=False)
class Nearest:
    """For each query: distance to the nearest allowed row of the base (inf without one), and its index (or -1)."""

    distance: Doubles
    index: Labels


@dataclass(frozen=True, slots=True, eq=False)
class Features:
    """values: (n, f) float32, compared by Euclidean distance. blocks: (n,) numbers; rows of different blocks are not compared."""

    values: Floats
    blocks: Labels

    def take(self, rows: Labels) -> Features:
        """Return the features of these rows."""
        return Features(self.values[rows], self.blocks[rows])


def row_codes(*sides: npt.NDArray[np.float32]) -> tuple[Labels, ...]:
    """Return (n,) codes for each array; two rows, of any of the arrays, have equal codes exactly if they are equal."""
    known: dict[bytes, int] = {}

    def code(row: npt.NDArray[np.float32]) -> int:
        return known.setdefault(hashlib.blake2b(row.data, digest_size=16).digest(), len(known))

    # -0.0 equals 0.0 but has other bytes; adding zero turns it into 0.0.
    return tuple(
        np.fromiter((code(row) for row in np.ascontiguousarray(side + np.float32(0))), np.int64, len(side))
        for side in sides
    )


def features(*sides: Dataset) -> tuple[Features, ...]:
    """Return features that are comparable between all given data sets: units and blocks are computed over all together.

    A row with NaN or infinity gets a block of its own, so that it is close to no other row.
    """
    finite = [np.asarray(np.isfinite(side.x).reshape(len(side), -1).all(axis=1), np.bool_) for side in sides]
    whole = [
        side.x if good.all() else np.where(good.reshape(-1, *[1] * (side.x.ndim - 1)), side.x, np.float32(0))
        for side, good in zip(sides, finite, strict=True)
    ]
    if sides[0].kind == "image":
        plain = tuple(Features(_picture_features(x), np.zeros(len(x), np.int64)) for x in whole)
    else:
        plain = _table_features(whole, sides[0].columns)
    return tuple(
        Features(one.values, np.where(good, one.blocks, -1 - number - len(sides) * np.arange(len(good))))
        for number, (one, good) in enumerate(zip(plain, finite, strict=True))
    )


def _picture_features(x: Floats) -> Floats:
    """Return (n, f) float32 of length at most one: the shading of pictures (n, c, h, w), independent of brightness."""
    grey = pooled(x.mean(axis=1, dtype=np.float32, keepdims=True)).reshape(len(x), -1)
    grey = grey - grey.mean(axis=1, keepdims=True)
    length = np.linalg.norm(grey, axis=1, keepdims=True)
    # The noise of a blank picture must not be scaled up to length one.
    scaled: Floats = (grey / np.maximum(length, _FAINT * grey.shape[1] ** 0.5)).astype(np.float32)
    return scaled


def pooled(x: Floats, side: int = _SIDE) -> Floats:
    """Return pictures (n, c, h, w) averaged down to at most `side` pixels a side; smaller ones stay as they are."""
    return _pooled(_pooled(x, 2, side), 3, side)


def _table_features(sides: Sequence[Floats], columns: Sequence[Column]) -> tuple[Features, ...]:
    """Return number columns divided by their standard deviation and by the root of their count; equal categories share a block.

    A distance is thus the root mean square difference over the number columns, in standard deviations.
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
    """Return each query's nearest base row in the same block, excluding base rows with the query's key.

    query_keys, base_keys: (n,) numbers; pass row numbers to exclude the row itself, or group numbers to exclude its group.
    Time: O(n_queries x n_base x f) in each block; memory is bounded.
    """
    distance = np.full(len(queries.values), np.inf)
    index = np.full(len(queries.values), -1, np.int64)
    for query_rows, base_rows in _pairs(queries.blocks, base.blocks):
        step = max(1, _BLOCK // len(base_rows))
        values = base.values[base_rows]
        squares = np.einsum("ij,ij->i", values, values)
        for start in range(0, len(query_rows), step):
            part = query_rows[start : start + step]
            near = squares[None] - 2 * (queries.values[part] @ values.T)
            if query_keys is not None and base_keys is not None:
                near[query_keys[part][:, None] == base_keys[base_rows][None]] = np.inf
            best = near.argmin(axis=1)
            allowed = np.isfinite(near[np.arange(len(part)), best])
            index[part[allowed]] = base_rows[best[allowed]]
    matched = index >= 0
    # Recomputed directly, because |b|^2 - 2ab loses digits between nearly equal rows.
    gaps = queries.values[matched].astype(np.float64) - base.values[index[matched]]
    distance[matched] = np.linalg.norm(gaps, axis=1)
    return Nearest(distance, index)


def dimensions(side: Features) -> int:
    """Return the number of continuous features: at least a fifth as many distinct values as rows, in a sample."""
    sample = side.values[:_SAMPLE]
    return sum(len(np.unique(column)) * 5 >= len(sample) for column in sample.T)


def bound_of(own: Nearest, *, tolerance: float, dimensions: int) -> float:
    """Return the distance up to which two rows count as copies: `tolerance`, or less if the data's rows lie closer together.

    own: nearest neighbours within the training data, excluding a row's own group. dimensions: number of continuous features.

    A slightly modified copy is far closer than ordinary neighbours, so the bound is at most a fraction f of the median
    neighbour distance. The median is used because a flood of copies in less than half of the rows cannot lower it. In d
    dimensions a neighbour lies within f times the median by chance for 1 - 2^(-f^d) of the rows; f is chosen so that this is
    at most one in a thousand, and is at most 0.25. Without continuous features rows are near by chance; then the bound is 0
    and only equal rows count.
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
    """Yield (query rows, base rows) for each block that occurs in both."""
    order, other = np.argsort(queries, kind="stable"), np.argsort(base, kind="stable")
    sorted_queries, sorted_base = queries[order], base[other]
    for block in np.intersect1d(queries, base):
        query_rows = order[np.searchsorted(sorted_queries, block) : np.searchsorted(sorted_queries, block, "right")]
        base_rows = other[np.searchsorted(sorted_base, block) : np.searchsorted(sorted_base, block, "right")]
        yield query_rows, base_rows
