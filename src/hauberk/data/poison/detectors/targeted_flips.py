"""Targeted flips: groups of rows that carry a label far more often than their columns explain one by one.

Flipped labels that are spread over all rows contradict a good model one by one. Flips concentrated in one group teach the
model that the group has this label, and it stops contradicting them. So this detector uses an additive model, without
interactions between columns, which cannot learn a group. Every column and pair of columns is cut into groups, and in each
group the count of each label is compared with the count that the additive model expects. The group with the clearest
excess is removed, the model is fitted again without it and the search is repeated, so that a group is not flagged because
of its neighbour.

Answers: flipped labels in a group that one or two columns describe. Does not answer: groups that span many columns, or
flips towards the label that the group has anyway. A natural interaction of two columns is flagged too if it is both abrupt
and large. Cost: a few logistic regressions and a count for each pair of columns.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import combinations

import numpy as np
import numpy.typing as npt

from hauberk.core.columns import ColumnKind
from hauberk.core.errors import InvalidInput
from hauberk.core.extras import need
from hauberk.core.progress import Task
from hauberk.data.poison.detectors import DETECTORS, Rows, Suspicion
from hauberk.data.poison.detectors._folds import folds
from hauberk.data.reading.dataset import Dataset, Doubles, Labels, Mask

_BINS = 8  # bins of a number column for the additive model
_CUTS = 4  # bins of a number column for the groups
_VALUES = 40  # the most frequent values of a category that get an indicator each
_PAIRS = 500  # pairs of columns that are searched, at most; of more, a random sample
_ROUNDS = 4  # groups that are found, at most
_MOST_CLASSES = 20  # with more classes the counts are too small, and the detector returns zeros


@dataclass(frozen=True, slots=True)
class Params:
    """Settings of the detector.

    z: least excess of a label in a group, in standard deviations, > 0. share: minimum excess, as a share of the group's rows
    that carry the label, in (0, 1). fewest: least number of the group's rows that carry the label, >= 5.
    """

    z: float = field(
        default=8.0, metadata={"help": "excess of a label in a group, in standard deviations, at least"}
    )
    share: float = field(
        default=0.3, metadata={"help": "excess as a share of the group's rows with the label, at least"}
    )
    fewest: int = field(default=30, metadata={"help": "rows of the group with the label, at least"})

    def __post_init__(self) -> None:
        if self.z <= 0 or not 0 < self.share < 1 or self.fewest < 5:
            raise InvalidInput(
                f"expected z > 0, share in (0, 1) and fewest >= 5, found {self.z}, {self.share}, {self.fewest}."
            )


@dataclass(frozen=True, slots=True, eq=False)
class Excess:
    """A label that is too frequent in a group.

    rows: (m,) the group's rows that carry the label. z: excess in standard deviations. share: excess as a share of `rows`.
    size: number of rows in the group, whatever their label.
    """

    columns: tuple[int, ...]
    label: int
    rows: Labels
    z: float
    share: float
    size: int


@DETECTORS.register(
    "targeted-flips",
    practice="1a",
    threats=("poisoning",),
    summary="groups of rows that carry a label far more often than their columns explain",
    params=Params,
    kinds=("table",),
)
def run(rows: Rows, params: Params, *, rng: np.random.Generator, task: Task) -> Suspicion:
    """Return a score for each row with a group's excess label; the suggested label is the additive model's next best."""
    side = rows.side
    score, reasons = np.zeros(len(side)), dict[int, str]()
    suggested = np.full(len(side), -1, np.int64)
    if len(np.unique(side.y)) > _MOST_CLASSES:
        return Suspicion(score, notes=(f"not run: the data have more than {_MOST_CLASSES} classes.",))
    inputs, cells = _indicators(side), [_codes(side, index, _CUTS) for index in range(len(side.columns))]
    kept = np.ones(len(side), bool)
    notes: list[str] = []
    for turn in range(_ROUNDS):
        expected = _additive(side, inputs, kept, seed=rows.seed)
        excess = _clearest(side, cells, expected, kept, params=params, rng=rng)
        task.update((turn + 1) / _ROUNDS)
        if excess is None:
            break
        own, label = excess.rows, excess.label
        others = expected[own].copy()
        others[:, label] = 0
        suggested[own] = others.argmax(axis=1)
        # 3.3 is one honest row in two thousand, above the default flagging threshold. The two small terms order the rows: the
        # clearer excess first, and within it the rows that the model doubts more.
        score[own] = 3.3 + min(excess.z, 100) / 200 + 0.1 * (1 - expected[own, label])
        text = (
            f"{len(own)} of {excess.size} rows with {_described(side, excess)} are labelled "
            f"{side.classes[label]!r}; by their columns one by one, {len(own) * (1 - excess.share):.0f} would be"
        )
        notes.append(f"{text}.")
        reasons |= dict.fromkeys(own.tolist(), text)
        kept[own] = False
    return Suspicion(score, reasons, suggested, tuple(notes))


def _clearest(  # noqa: PLR0913 - one private caller
    side: Dataset,
    cells: list[Labels],
    expected: Doubles,
    kept: Mask,
    *,
    params: Params,
    rng: np.random.Generator,
) -> Excess | None:
    """Return the group and label with the largest excess in standard deviations; None if none exceeds the limits.

    cells: (n,) bin or category codes of each column. expected: (n, k) probabilities. kept: (n,) mask of counted rows.
    """
    best: tuple[float, float, tuple[int, ...], int, int, Labels] | None = None
    for columns, group in _groups(cells, rng):
        size = int(group.max()) + 1
        for label in np.unique(side.y):
            own = expected[kept, label]
            seen = np.bincount(group[kept], weights=side.y[kept] == label, minlength=size)
            mean = np.bincount(group[kept], weights=own, minlength=size)
            variance = np.bincount(group[kept], weights=own * (1 - own), minlength=size)
            z = (seen - mean) / np.sqrt(variance + 1)
            share = (seen - mean) / np.maximum(seen, 1)
            z[(share < params.share) | (seen < params.fewest)] = 0
            cell = int(z.argmax())
            if z[cell] >= params.z and (best is None or z[cell] > best[0]):
                best = float(z[cell]), float(share[cell]), columns, int(label), cell, group
    if best is None:
        return None
    z_best, share_best, columns, label, cell, group = best
    inside = (group == cell) & kept
    rows = np.flatnonzero(inside & (side.y == label))
    return Excess(columns, label, rows, z_best, share_best, int(inside.sum()))


def _groups(cells: list[Labels], rng: np.random.Generator) -> Iterator[tuple[tuple[int, ...], Labels]]:
    """Yield one or two column numbers, and (n,) the rows' group numbers by these columns."""
    for index, codes in enumerate(cells):
        yield (index,), codes
    pairs = list(combinations(range(len(cells)), 2))
    if len(pairs) > _PAIRS:
        pairs = [pairs[index] for index in np.sort(rng.permutation(len(pairs))[:_PAIRS])]
    for first, second in pairs:
        yield (first, second), cells[first] * (int(cells[second].max()) + 1) + cells[second]


def _codes(side: Dataset, index: int, parts: int) -> Labels:
    """Return (n,) codes of a column: its categories, or `parts` quantile bins of a number column."""
    values = side.x[:, index]
    if side.columns[index].kind is ColumnKind.CATEGORY:
        return np.unique(values, return_inverse=True)[1].reshape(-1).astype(np.int64)
    edges = np.unique(np.quantile(values, np.arange(1, parts) / parts))
    places = np.searchsorted(edges, values, side="right")
    return np.unique(places, return_inverse=True)[1].reshape(-1).astype(np.int64)


def _indicators(side: Dataset) -> npt.NDArray[np.float32]:
    """Return (n, f) float32 indicators of each column's bins or most frequent values."""
    parts = []
    for index in range(len(side.columns)):
        codes = _codes(side, index, _BINS)
        often = np.argsort(-np.bincount(codes), kind="stable")[:_VALUES]
        parts.append((codes[:, None] == often).astype(np.float32))
    return np.concatenate(parts, axis=1)


def _additive(side: Dataset, inputs: npt.NDArray[np.float32], kept: Mask, *, seed: int) -> Doubles:
    """Return (n, k) out-of-fold probabilities of a logistic regression fitted to the kept rows."""
    regression = need("sklearn.linear_model").LogisticRegression
    probabilities = np.zeros((len(side), len(side.classes)))
    for fit, held_out in folds(side, seed):
        train = fit[kept[fit]]
        with warnings.catch_warnings():
            # An unconverged fit is accurate enough for expected counts.
            warnings.simplefilter("ignore")
            model = regression(C=0.3, max_iter=60).fit(inputs[train], side.y[train])
        probabilities[np.ix_(held_out, model.classes_)] = model.predict_proba(inputs[held_out])
    return probabilities


def _described(side: Dataset, excess: Excess) -> str:
    parts = []
    for index in excess.columns:
        column, values = side.columns[index], side.x[excess.rows, index]
        if column.kind is ColumnKind.CATEGORY:
            parts.append(f"{column.name} = {column.categories[int(values[0])]}")
        elif values.min() == values.max():
            parts.append(f"{column.name} = {values.min():g}")
        else:
            parts.append(f"{column.name} from {values.min():g} to {values.max():g}")
    return " and ".join(parts)
