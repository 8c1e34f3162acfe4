"""Targeted flips: groups of rows that carry a label far more often than everything known of them explains.

Flips that are spread over all rows contradict a good model one by one. Flips that are packed into one group teach the
model that the group is so, and it stops contradicting them. So a model is asked that cannot learn a group: an additive
one, in which each column has its say and no two speak together. Every pair of columns is then cut into groups, and in each
group each label is counted and held against what the additive model expects. The clearest excess is taken out, the model
fitted again without it, and the question asked again, so that a group is not blamed for its neighbour.

Answers: flips of labels in a group that one or two columns describe. Does not answer: groups that lie across many columns,
or flips towards the label that the group has anyway. Where two columns act together by nature, their group is taken
for an excess when it is both sudden and large. Cost: a few logistic regressions and a count for each pair of columns.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from dataclasses import dataclass
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

_BINS = 8  # of a number column, for the model
_CUTS = 4  # of a number column, for groups
_VALUES = 40  # of a category that the model tells apart, the most frequent
_PAIRS = 500
_ROUNDS = 4
_MOST_CLASSES = 20


@dataclass(frozen=True, slots=True)
class Params:
    """z: excess of a label in a group, in standard deviations. share: of the group's rows of that label it is at least.

    fewest: rows of the label in the group.
    """

    z: float = 8.0
    share: float = 0.3
    fewest: int = 30

    def __post_init__(self) -> None:
        if self.z <= 0 or not 0 < self.share < 1 or self.fewest < 5:
            raise InvalidInput(
                f"expected z > 0, share in (0, 1) and fewest >= 5, found {self.z}, {self.share}, {self.fewest}."
            )


@dataclass(frozen=True, slots=True, eq=False)
class Excess:
    """rows: (m,) of the group and the label. z: standard deviations. share: of the rows that are too many. size: the group's."""

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
    """Return a score for each row of a group's excess label; the suggested label is the additive model's."""
    side = rows.side
    score, reasons = np.zeros(len(side)), dict[int, str]()
    suggested = np.full(len(side), -1, np.int64)
    if len(np.unique(side.y)) > _MOST_CLASSES:
        return Suspicion(score, notes=(f"more than {_MOST_CLASSES} classes: groups were not counted.",))
    inputs, cells = _indicators(side), [_codes(side, index, _CUTS) for index in range(len(side.columns))]
    kept = np.ones(len(side), bool)
    notes: list[str] = []
    for turn in range(_ROUNDS):
        expected = _additive(side, inputs, kept, seed=rows.seed)
        found = clearest(side, cells, expected, kept, params=params, rng=rng)
        task.update((turn + 1) / _ROUNDS)
        if found is None:
            break
        others = expected[found.rows].copy()
        others[:, found.label] = 0
        suggested[found.rows] = others.argmax(axis=1)
        # The clearer excess first, and within it the row that the model doubts more.
        score[found.rows] = 3.3 + min(found.z, 100) / 200 + 0.1 * (1 - expected[found.rows, found.label])
        text = (
            f"{len(found.rows)} of {found.size} rows with {_described(side, found)} are labelled "
            f"{side.classes[found.label]!r}; by their columns one by one, "
            f"{len(found.rows) * (1 - found.share):.0f} would be"
        )
        notes.append(f"{text}.")
        reasons |= dict.fromkeys(found.rows.tolist(), text)
        kept[found.rows] = False
    return Suspicion(score, reasons, suggested, tuple(notes))


def clearest(  # noqa: PLR0913 - what is counted, and how it is judged
    side: Dataset,
    cells: list[Labels],
    expected: Doubles,
    kept: Mask,
    *,
    params: Params,
    rng: np.random.Generator,
) -> Excess | None:
    """Return the group and label with the largest excess in standard deviations, None where none is clear.

    cells: for each column (n,) codes. expected: (n, k) probabilities. kept: (n,) rows that are counted.
    """
    best: tuple[float, float, tuple[int, ...], int, int, Labels] | None = None
    for columns, group in _groups(cells, rng):
        size = int(group.max()) + 1
        for label in np.unique(side.y):
            own = expected[kept, label]
            seen = np.bincount(group[kept], weights=side.y[kept] == label, minlength=size)
            thought = np.bincount(group[kept], weights=own, minlength=size)
            spread = np.bincount(group[kept], weights=own * (1 - own), minlength=size)
            z = (seen - thought) / np.sqrt(spread + 1)
            share = (seen - thought) / np.maximum(seen, 1)
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
    """Yield columns, one or two, and (n,) the group of each row by them."""
    for index, codes in enumerate(cells):
        yield (index,), codes
    pairs = list(combinations(range(len(cells)), 2))
    if len(pairs) > _PAIRS:
        pairs = [pairs[index] for index in np.sort(rng.permutation(len(pairs))[:_PAIRS])]
    for first, second in pairs:
        yield (first, second), cells[first] * (int(cells[second].max()) + 1) + cells[second]


def _codes(side: Dataset, index: int, parts: int) -> Labels:
    """Return (n,) codes of a column: its categories, or the parts of its range with equally many rows."""
    values = side.x[:, index]
    if side.columns[index].kind is ColumnKind.CATEGORY:
        return np.unique(values, return_inverse=True)[1].reshape(-1).astype(np.int64)
    edges = np.unique(np.quantile(values, np.arange(1, parts) / parts))
    places = np.searchsorted(edges, values, side="right")
    return np.unique(places, return_inverse=True)[1].reshape(-1).astype(np.int64)


def _indicators(side: Dataset) -> npt.NDArray[np.float32]:
    parts = []
    for index in range(len(side.columns)):
        codes = _codes(side, index, _BINS)
        often = np.argsort(-np.bincount(codes), kind="stable")[:_VALUES]
        parts.append((codes[:, None] == often).astype(np.float32))
    return np.concatenate(parts, axis=1)


def _additive(side: Dataset, inputs: npt.NDArray[np.float32], kept: Mask, *, seed: int) -> Doubles:
    """Return (n, k) out-of-fold probabilities of a logistic regression fitted to kept rows."""
    line = need("sklearn.linear_model").LogisticRegression
    found = np.zeros((len(side), len(side.classes)))
    for fit, ask in folds(side, seed):
        learned = fit[kept[fit]]
        with warnings.catch_warnings():
            # A regression that is nearly there is good enough to count with.
            warnings.simplefilter("ignore")
            model = line(C=0.3, max_iter=60).fit(inputs[learned], side.y[learned])
        found[np.ix_(ask, model.classes_)] = model.predict_proba(inputs[ask])
    return found


def _described(side: Dataset, found: Excess) -> str:
    parts = []
    for index in found.columns:
        column, values = side.columns[index], side.x[found.rows, index]
        if column.kind is ColumnKind.CATEGORY:
            parts.append(f"{column.name} = {column.categories[int(values[0])]}")
        elif values.min() == values.max():
            parts.append(f"{column.name} = {values.min():g}")
        else:
            parts.append(f"{column.name} from {values.min():g} to {values.max():g}")
    return " and ".join(parts)
