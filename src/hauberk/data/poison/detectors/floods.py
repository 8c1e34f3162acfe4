"""Floods: rows that occur far more often, equal or nearly equal, than rows of these data usually do.

Each copy is one more vote for its label. How many copies are usual differs: a census has some equal answers, a log of
connections has many, pictures have none. So a row's copies are held against what most rows of the same data have,
and a set with many natural repeats is as quiet as one without. Answers: floods of exact copies and of copies that
were moved a little. Does not answer: copies that were rotated, mirrored or cropped, or a flood of more than a tenth of the
rows, which then is what is usual. Cost: distances between rows that share all categories, O(n^2) at worst.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from hauberk.core.errors import InvalidInput
from hauberk.core.progress import Task
from hauberk.data.poison import neighbours
from hauberk.data.poison.detectors import DETECTORS, Rows, Suspicion
from hauberk.data.reading.dataset import Doubles, Labels

_USUAL = 0.9  # share of rows whose copies are usual
_BELOW = 0.8  # twice as many rows lie above it as above the usual
_RARE = 0.001  # share of rows to which the natural tail is followed
_BLOCK = 1 << 24  # distances held at once


@dataclass(frozen=True, slots=True)
class Params:
    """times: usual number of copies from which rows are a flood. copies: least number of them.

    tolerance: distance of a near copy, 0: by the kind of data, a share of a picture's contrast (0.1) or of the columns'
    spread (0.005).
    """

    times: float = 5.0
    copies: int = 20
    tolerance: float = 0.0

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
    """Return a score for each row of a flood; zeros for rows that are as usual."""
    codes = neighbours.row_codes(rows.side.x)[0]
    equal = np.bincount(codes)[codes].astype(np.float64)
    features = neighbours.features(rows.side)[0]
    near = alike(features, _radius(rows, features, params.tolerance), task=task)
    score = np.zeros(len(rows))
    reasons: dict[int, str] = {}
    for count, words in ((near, "equal or nearly so"), (equal, "equal in every value")):
        bar = unusual(count, params)
        found = np.where(count >= bar, 3.0 + np.log10(np.maximum(count / bar, 1)), 0.0)
        for row in np.flatnonzero(found > score):
            reasons[int(row)] = (
                f"occurs {int(count[row])} times, {words}; {bar:.0f} times would be unusual among these data"
            )
        score = np.maximum(score, found)
    return Suspicion(score, reasons)


def unusual(count: Doubles, params: Params) -> float:
    """Return from how many copies on a row is part of a flood.

    count: (n,) copies of each row, itself among them. Where the upper fifth of the rows repeats more than the rows
    below it, repeats are natural and their number has a long tail: it is followed, as it rises from the fourth fifth to the
    last tenth, to one row in a thousand. A flood below a tenth of the rows cannot raise what is measured there by itself.
    """
    below, usual = (float(np.quantile(count, share)) for share in (_BELOW, _USUAL))
    halvings = math.log2((1 - _USUAL) / _RARE)
    tail: float = usual * (usual / below) ** halvings
    return max(float(params.copies), params.times * usual, tail)


def alike(features: neighbours.Features, radius: float, *, task: Task) -> Doubles:
    """Return (n,) how many rows, itself among them, lie within `radius` of each row and in its block."""
    found = np.ones(len(features.values))
    order = np.argsort(features.blocks, kind="stable")
    starts = np.flatnonzero(np.diff(features.blocks[order], prepend=features.blocks[order[:1]] - 1))
    for block in np.split(order, starts[1:]):
        if len(block) > 1:
            found[block] = _within(features.values[block], radius)
        task.update(0.5)
    return found


def _within(values: np.ndarray, radius: float) -> Labels:
    """Return (m,) counts of rows within the radius, itself among them."""
    squares = np.einsum("ij,ij->i", values, values)
    step = max(1, _BLOCK // len(values))
    # The expanded square loses digits where rows are equal; the slack is far below any radius in use.
    slack = 1e-6 * float(squares.max(initial=1.0)) + 1e-9
    counts = []
    for start in range(0, len(values), step):
        part = values[start : start + step]
        distance = squares[start : start + step, None] + squares[None] - 2 * (part @ values.T)
        counts.append((distance <= radius**2 + slack).sum(axis=1))
    return np.concatenate(counts)


def _radius(rows: Rows, features: neighbours.Features, tolerance: float) -> float:
    """Return the distance of a near copy: the tolerance, or less where rows lie closer than that by nature."""
    side = "image" if rows.kind == "image" else "table"
    some = np.linspace(0, len(rows) - 1, min(len(rows), 2_000)).astype(np.int64)
    keys = np.arange(len(rows))
    own = neighbours.nearest(features.take(some), features, query_keys=keys[some], base_keys=keys)
    return neighbours.bound_of(
        own, tolerance=tolerance or neighbours.TOLERANCE[side], dimensions=neighbours.dimensions(features)
    )
