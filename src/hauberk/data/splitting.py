"""Splitting: which rows are for training and which for the test, by class, and never through a group."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from hauberk.core.errors import InvalidInput

Indices = NDArray[np.int64]


def split_rows(
    y: NDArray[np.int64], groups: NDArray[np.int64] | None, share: float, rng: np.random.Generator
) -> tuple[Indices, Indices]:
    """Return the training and test rows, each sorted: `share` of every class for the test, at least one row.

    groups: rows of one group stay together; a group counts to the class of its first row. Raises InvalidInput when a
    class has too few rows (or groups) to be on both sides.
    """
    units = np.arange(len(y)) if groups is None else groups
    _, first, unit_of = np.unique(units, return_index=True, return_inverse=True)
    unit_class = y[first]
    test = np.zeros(len(first), dtype=np.bool_)
    for label in np.unique(unit_class):
        members = np.flatnonzero(unit_class == label)
        if len(members) < 2:
            what = "row" if groups is None else "group"
            raise InvalidInput(
                f"class number {label} has a single {what}, and needs one on each side: collect more, or leave it out."
            )
        count = min(len(members) - 1, max(1, round(share * len(members))))
        test[rng.permutation(members)[:count]] = True
    on_test = test[unit_of]
    return np.flatnonzero(~on_test), np.flatnonzero(on_test)


def sample_rows(y: NDArray[np.int64], limit: int, rng: np.random.Generator) -> Indices:
    """Return at most `limit` rows, sorted, with every class in about its share and at least one row of each."""
    if len(y) <= limit:
        return np.arange(len(y))
    labels, counts = np.unique(y, return_counts=True)
    if limit < len(labels):
        raise InvalidInput(f"limit = {limit} leaves out whole classes: there are {len(labels)}.")
    wanted = np.maximum(1, np.floor(limit * counts / len(y)).astype(int))
    chosen = [
        rng.permutation(np.flatnonzero(y == label))[:count] for label, count in zip(labels, wanted, strict=True)
    ]
    return np.sort(np.concatenate(chosen))
