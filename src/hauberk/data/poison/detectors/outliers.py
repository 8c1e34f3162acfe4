"""Outliers: values farther out than the tail of their own column, or of their own class, predicts.

A threshold in standard deviations would flag much of a column of incomes or byte counts, whose tails are naturally long.
Here a power law is fitted to the tail between the 0.9 and 0.99 quantiles and extrapolated: a value is as rare as the law
says. The fitted tail is never lighter than a normal one. A column that hardly varies is skipped.

Answers: rows with values far from all others, by error or to pull a model towards them. Does not answer: unusual
combinations of usual values, categories, or a group of outliers of more than one row in a hundred, which then shapes the
fitted tail.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import numpy as np

from hauberk.core.columns import ColumnKind
from hauberk.core.errors import InvalidInput
from hauberk.core.progress import Task
from hauberk.data.poison.detectors import DETECTORS, Rows, Suspicion
from hauberk.data.reading.dataset import Dataset, Doubles

_NEAR, _FAR = 0.9, 0.99  # quantiles between which the tail is fitted
_SPEAKS = 3.0  # lowest score that is returned: one row in a thousand
_FEWEST = 100  # with fewer rows the tail cannot be fitted


@dataclass(frozen=True, slots=True)
class Params:
    """most: cap of the score, in decimal orders of rarity, in [1, 20]."""

    most: float = field(default=6.0, metadata={"help": "cap of the score, in decimal orders of rarity"})

    def __post_init__(self) -> None:
        if not 1 <= self.most <= 20:
            raise InvalidInput(f"expected most in [1, 20], found {self.most}.")


@DETECTORS.register(
    "outliers",
    practice="1a",
    threats=("poisoning",),
    summary="values farther out than the tail of their column or class explains",
    params=Params,
    kinds=("table", "embedding"),
)
def run(rows: Rows, params: Params, *, rng: np.random.Generator, task: Task) -> Suspicion:  # noqa: ARG001 - the shape of a detector
    """Return a score for each row with a value that is rare by the tail of its column (tables) or class (embeddings)."""
    side = rows.side
    names, distance = (_of_classes if rows.kind == "embedding" else _of_columns)(side)
    if not names:
        return Suspicion(np.zeros(len(side)))
    # Bonferroni over the columns.
    scores = np.stack([rarity(column) for column in distance]) - math.log10(len(names))
    worst = scores.argmax(axis=0)
    score = np.clip(scores.max(axis=0), 0, params.most)
    # Lower scores are ordinary tails; they would only rank above rows that other detectors find suspicious.
    score[score < _SPEAKS] = 0
    reasons = {
        int(row): f"{names[worst[row]]} lies farther out than one row in {10 ** score[row]:,.0f} would"
        for row in np.flatnonzero(score)
    }
    return Suspicion(score, reasons)


def rarity(distance: Doubles) -> Doubles:
    """Return (n,) minus the decimal logarithm of the share of rows expected as far out, by a power law fitted to the tail.

    distance: (n,) >= 0. Returns 0 up to the 0.99 quantile; zeros for fewer than 100 rows, or if at most a tenth of the rows
    is away from 0.
    """
    near, far = np.quantile(distance, [_NEAR, _FAR])
    if len(distance) < _FEWEST or near <= 0:
        return np.zeros(len(distance))
    # A normal tail has about 0.45; a bounded column would have less.
    decade = max(math.log(far / near), 0.45)
    rare: Doubles = 2 + np.log(np.maximum(distance, far) / far) / decade
    return np.where(distance > far, rare, 0.0)


def _of_columns(side: Dataset) -> tuple[list[str], list[Doubles]]:
    """Return the names of the number columns, and for each (n,) the absolute distance of its values from the median."""
    names, distances = [], []
    for index, column in enumerate(side.columns):
        if column.kind is ColumnKind.CATEGORY:
            continue
        values = side.x[:, index].astype(np.float64)
        names.append(column.name)
        distances.append(np.abs(values - np.median(values)))
    return names, distances


def _of_classes(side: Dataset) -> tuple[list[str], list[Doubles]]:
    """Return ["the row"] and [(n,) distances from the class median], coordinates scaled by their median deviation."""
    distances = np.zeros(len(side))
    for label in np.unique(side.y):
        rows = np.flatnonzero(side.y == label)
        values = side.x[rows].astype(np.float64)
        gaps = np.abs(values - np.median(values, axis=0))
        spread = np.median(gaps, axis=0)
        kept = spread > 0
        if len(rows) >= _FEWEST and kept.any():
            length = np.sqrt(((gaps[:, kept] / spread[kept]) ** 2).mean(axis=1))
            # Divided by the class's median distance, so that classes are comparable.
            distances[rows] = length / np.median(length)
    return ["the row"], [distances]
