"""Outliers: values farther out than the tail of their own column, or of their own class, leads one to expect.

A plain rule of so many deviations flags whole columns of incomes and byte counts, whose tails are long by nature. Here the
tail itself is measured, from the tenth row in a hundred to the first, and followed as a power law: a value is as rare
as that law says. A lighter tail makes the rule more careful, never more eager; a column that hardly varies is left alone.

Answers: rows with values far from all others, by error or to drag a model. Does not answer: unusual combinations of
usual values, categories, or a group of outliers larger than one row in a hundred, which then is the tail.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from hauberk.core.columns import ColumnKind
from hauberk.core.errors import InvalidInput
from hauberk.core.progress import Task
from hauberk.data.poison.detectors import DETECTORS, Rows, Suspicion
from hauberk.data.reading.dataset import Dataset, Doubles

_NEAR, _FAR = 0.9, 0.99  # shares of the rows between which the tail is measured
_SPEAKS = 3.0  # one row in a thousand
_FEWEST = 100  # rows, from which on there is a tail to measure


@dataclass(frozen=True, slots=True)
class Params:
    """most: the largest score, in decimal orders of rarity; what lies farther out is not told apart."""

    most: float = 6.0

    def __post_init__(self) -> None:
        if not 1 <= self.most <= 20:
            raise InvalidInput(f"most must lie from 1 to 20, found {self.most}.")


@DETECTORS.register(
    "outliers",
    practice="1a",
    threats=("poisoning",),
    summary="values farther out than the tail of their column or class explains",
    params=Params,
    kinds=("table", "embedding"),
)
def run(rows: Rows, params: Params, *, rng: np.random.Generator, task: Task) -> Suspicion:  # noqa: ARG001 - the shape of a detector
    """Return a score for each row with a value that is rare by its column's own tail."""
    side = rows.side
    names, distance = (_of_classes if rows.kind == "embedding" else _of_columns)(side)
    if not names:
        return Suspicion(np.zeros(len(side)))
    # Each column is one more chance to look rare.
    scores = np.stack([rarity(column) for column in distance]) - math.log10(len(names))
    worst = scores.argmax(axis=0)
    score = np.clip(scores.max(axis=0), 0, params.most)
    # Below that a tail is merely long, and its rows would stand in the way of what other detectors rank.
    score[score < _SPEAKS] = 0
    reasons = {
        int(row): f"{names[worst[row]]} lies farther out than one row in {10 ** score[row]:,.0f} would"
        for row in np.flatnonzero(score)
    }
    return Suspicion(score, reasons)


def rarity(distance: Doubles) -> Doubles:
    """Return (n,) minus the decimal logarithm of how many rows lie as far out, by a power law fitted to the tail.

    distance: (n,) 0 or more. 0 where there is no tail to measure: fewer than a hundred rows, or a tenth of the rows or
    less away from 0.
    """
    near, far = np.quantile(distance, [_NEAR, _FAR])
    if len(distance) < _FEWEST or near <= 0:
        return np.zeros(len(distance))
    # Never steeper than a normal tail, which a bounded column would otherwise be.
    decade = max(math.log(far / near), 0.45)
    found: Doubles = 2 + np.log(np.maximum(distance, far) / far) / decade
    return np.where(distance > far, found, 0.0)


def _of_columns(side: Dataset) -> tuple[list[str], list[Doubles]]:
    """Return number columns' names and how far each row's value lies from the middle one."""
    names, found = [], []
    for index, column in enumerate(side.columns):
        if column.kind is ColumnKind.CATEGORY:
            continue
        values = side.x[:, index].astype(np.float64)
        names.append(column.name)
        found.append(np.abs(values - np.median(values)))
    return names, found


def _of_classes(side: Dataset) -> tuple[list[str], list[Doubles]]:
    """Return how far each row lies from the middle of its class, each coordinate in its own middle deviation."""
    found = np.zeros(len(side))
    for label in np.unique(side.y):
        rows = np.flatnonzero(side.y == label)
        values = side.x[rows].astype(np.float64)
        gaps = np.abs(values - np.median(values, axis=0))
        spread = np.median(gaps, axis=0)
        kept = spread > 0
        if len(rows) >= _FEWEST and kept.any():
            length = np.sqrt(((gaps[:, kept] / spread[kept]) ** 2).mean(axis=1))
            # In units of the class's own middle, so that classes can be compared.
            found[rows] = length / np.median(length)
    return ["the row"], [found]
