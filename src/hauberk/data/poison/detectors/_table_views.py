"""Forests over a table that each see half of the columns, so that some forest is blind to any two of them.

The columns are dealt into four blocks; each of six forests sees two blocks. Any two columns lie in at most two blocks, so
there is a forest that sees neither. Each row is asked of trees that never saw it (out of bag; Breiman, "Random
Forests", 2001), so no folds are needed. One more forest sees all columns.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from itertools import combinations

import numpy as np
import numpy.typing as npt

from hauberk.core.columns import ColumnKind
from hauberk.core.extras import need
from hauberk.core.progress import Task
from hauberk.data.reading.dataset import Dataset, Doubles, Labels

_BLOCKS = 4
_TREES = 40
_LEAF = 5


@dataclass(frozen=True, slots=True, eq=False)
class Views:
    """probabilities: (6, n, k) by forest. seen: (6, d) which columns each forest saw."""

    probabilities: Doubles
    seen: npt.NDArray[np.bool_]

    def blind_to(self, columns: tuple[int, ...]) -> Doubles:
        """Return (n, k) probabilities of the forests that saw none of the columns, or of those that saw fewest."""
        known = self.seen[:, columns].sum(axis=1)
        found: Doubles = self.probabilities[known == known.min()].mean(axis=0)
        return found


def views(side: Dataset, *, seed: int, task: Task) -> Views:
    """Return what six half-blind forests think of rows that they never saw."""
    rng = np.random.default_rng(seed)
    count = side.x.shape[1]
    block = rng.permutation(np.arange(count) % _BLOCKS)
    pairs = [pair for pair in combinations(range(_BLOCKS), 2) if np.isin(block, pair).any()]
    seen = np.stack([np.isin(block, pair) for pair in pairs])
    found = np.zeros((len(pairs), len(side), len(side.classes)))
    inputs = ordered(side)
    for number, columns in enumerate(seen):
        found[number] = out_of_bag(inputs[:, columns], side.y, len(side.classes), seed=seed + number)
        task.update((number + 1) / len(pairs))
    return Views(found, seen)


def out_of_bag(x: npt.NDArray[np.float32], y: Labels, classes: int, *, seed: int, trees: int = _TREES) -> Doubles:
    """Return (n, k) probabilities of a forest's trees that did not learn from the row."""
    forest = need("sklearn.ensemble").RandomForestClassifier(
        trees, min_samples_leaf=_LEAF, oob_score=True, bootstrap=True, random_state=seed, n_jobs=1
    )
    with warnings.catch_warnings():
        # A row that was in every bag has no answer; it gets the classes' shares below.
        warnings.simplefilter("ignore")
        forest.fit(x, y)
    found = np.zeros((len(y), classes))
    found[:, forest.classes_] = np.nan_to_num(forest.oob_decision_function_)
    empty = found.sum(axis=1) == 0
    found[empty] = np.bincount(y, minlength=classes) / len(y)
    return found


def ordered(side: Dataset) -> npt.NDArray[np.float32]:
    """Return the table with categories ordered by how often they occur, which trees split better than by name."""
    found = side.x.copy()
    for index, column in enumerate(side.columns):
        if column.kind is ColumnKind.CATEGORY:
            codes = side.x[:, index].astype(np.int64)
            rank = np.argsort(np.argsort(-np.bincount(codes, minlength=len(column.categories)), kind="stable"))
            found[:, index] = rank[codes]
    return found
