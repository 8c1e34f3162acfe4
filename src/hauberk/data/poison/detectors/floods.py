"""Floods: rows that occur far more often, as exact or near copies, than is usual in the same data.

Each copy adds weight to its label in training. How many copies are usual depends on the data: census answers repeat a
little, connection logs repeat a lot, pictures do not repeat. So a row's number of copies is compared with that of the other
rows, and data with many natural repeats raise no more alarms than data without.

Answers: floods of exact and of slightly perturbed copies. Does not answer: copies that were rotated, mirrored or cropped,
or a flood of more than a tenth of the rows, which then sets the usual number itself.
Cost: distances between all rows that share all categories, O(n^2) at worst.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import numpy as np

from hauberk.core.errors import InvalidInput
from hauberk.core.progress import Task
from hauberk.data.poison import neighbours
from hauberk.data.poison.detectors import DETECTORS, Rows, Suspicion
from hauberk.data.reading.dataset import Doubles, Labels

_USUAL = 0.9  # quantile of the numbers of copies that is taken as the usual number
_BELOW = 0.8  # lower quantile; twice as many rows lie above it, so the ratio to the usual is the tail's slope
_RARE = 0.001  # share of rows to which the tail is extrapolated
_BLOCK = 1 << 24  # distances held in memory at once


@dataclass(frozen=True, slots=True)
class Params:
    """Settings of the detector.

    times: a flood has at least this many times the usual number of copies, >= 1. copies: and at least this many copies,
    >= 2. tolerance: largest distance of a near copy, in [0, 1]: a share of a picture's contrast, or of the columns' spread.
    0 selects the default of the kind of data, 0.1 for pictures and 0.005 for tables.
    """

    times: float = field(
        default=5.0, metadata={"help": "copies of a flood, as a multiple of the usual number, at least"}
    )
    copies: int = field(default=20, metadata={"help": "copies of a flood, at least"})
    tolerance: float = field(
        default=0.0, metadata={"help": "largest distance of a near copy; 0: the default for the kind of data"}
    )

    def __post_init__(self) -> None:
        if self.times < 1 or self.copies < 2 or not 0 <= self.tolerance <= 1:
            raise InvalidInput(
                f"expected times >= 1, copies >= 2 and tolerance in [0, 1], found {self.times}, {self.copies}, "
                f"{self.tolerance}."
            )


@DETECTORS.register(
    "floods",
    practice="1a",
    threats=("poisoning",),
    summary="rows that occur far more often than rows of these data usually do",
    params=Params,
    kinds=("image", "table", "embedding"),
)
def run(rows: Rows, params: Params, *, rng: np.random.Generator, task: Task) -> Suspicion:  # noqa: ARG001 - the shape of a detector
    """Return a score for each row of a flood; 0 for rows with a usual number of copies."""
    codes = neighbours.row_codes(rows.side.x)[0]
    equal = np.bincount(codes)[codes].astype(np.float64)
    features = neighbours.features(rows.side)[0]
    near = alike(features, _radius(rows, features, params.tolerance), task=task)
    score = np.zeros(len(rows))
    reasons: dict[int, str] = {}
    for count, words in ((near, "equal or nearly so"), (equal, "equal in every value")):
        threshold = _unusual(count, params)
        scores = np.where(count >= threshold, 3.0 + np.log10(np.maximum(count / threshold, 1)), 0.0)
        for row in np.flatnonzero(scores > score):
            reasons[int(row)] = (
                f"occurs {int(count[row])} times, {words}; {threshold:.0f} times would be unusual among these data"
            )
        score = np.maximum(score, scores)
    return Suspicion(score, reasons)


def _unusual(count: Doubles, params: Params) -> float:
    """Return the number of copies from which a row belongs to a flood.

    count: (n,) copies of each row, itself included. If the 0.9 quantile of the counts is above the 0.8 quantile, repeats are
    natural and their number has a long tail. The tail is extrapolated with the power law between these two quantiles to one
    row in a thousand. A flood of less than a tenth of the rows cannot raise these quantiles by itself.
    """
    below, usual = (float(np.quantile(count, share)) for share in (_BELOW, _USUAL))
    halvings = math.log2((1 - _USUAL) / _RARE)
    tail: float = usual * (usual / below) ** halvings
    return max(float(params.copies), params.times * usual, tail)


def alike(features: neighbours.Features, radius: float, *, task: Task) -> Doubles:
    """Return (n,) for each row the number of rows of its block, itself included, within distance `radius`."""
    counts = np.ones(len(features.values))
    order = np.argsort(features.blocks, kind="stable")
    starts = np.flatnonzero(np.diff(features.blocks[order], prepend=features.blocks[order[:1]] - 1))
    for block in np.split(order, starts[1:]):
        if len(block) > 1:
            counts[block] = _within(features.values[block], radius)
        task.update(0.5)
    return counts


def _within(values: np.ndarray, radius: float) -> Labels:
    """Return (m,) for each row the number of rows, itself included, within the radius."""
    squares = np.einsum("ij,ij->i", values, values)
    step = max(1, _BLOCK // len(values))
    # |a|^2 + |b|^2 - 2ab loses digits between nearly equal rows; the slack is far below any radius in use.
    slack = 1e-6 * float(squares.max(initial=1.0)) + 1e-9
    counts = []
    for start in range(0, len(values), step):
        part = values[start : start + step]
        distance = squares[start : start + step, None] + squares[None] - 2 * (part @ values.T)
        counts.append((distance <= radius**2 + slack).sum(axis=1))
    return np.concatenate(counts)


def _radius(rows: Rows, features: neighbours.Features, tolerance: float) -> float:
    """Return the largest distance of a near copy: the tolerance, or less if rows of these data usually lie closer."""
    side = "image" if rows.kind == "image" else "table"
    some = np.linspace(0, len(rows) - 1, min(len(rows), 2_000)).astype(np.int64)
    keys = np.arange(len(rows))
    own = neighbours.nearest(features.take(some), features, query_keys=keys[some], base_keys=keys)
    return neighbours.bound_of(
        own, tolerance=tolerance or neighbours.TOLERANCE[side], dimensions=neighbours.dimensions(features)
    )
