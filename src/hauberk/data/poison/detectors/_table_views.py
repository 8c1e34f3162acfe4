"""Random forests over a table that each see half of the columns, so that for any two columns one forest sees neither.

The columns are split at random into four blocks, and each of six forests sees two blocks. Any two columns lie in at most
two blocks, so the forest over the other blocks sees neither. Predictions are out of bag (Breiman, "Random Forests", 2001):
each row is predicted by the trees that did not train on it, so no folds are needed.
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
_TREES = 40  # a forest
_LEAF = 5  # rows in a leaf, at least


@dataclass(frozen=True, slots=True, eq=False)
class Views:
    """Out-of-bag predictions of the forests. probabilities: (6, n, k). seen: (6, d) the columns that each forest saw."""

    probabilities: Doubles
    seen: npt.NDArray[np.bool_]

    def blind_to(self, columns: tuple[int, ...]) -> Doubles:
        """Return (n, k), the mean prediction of the forests that saw fewest of the columns (of one or two: none)."""
        known = self.seen[:, columns].sum(axis=1)
        mean: Doubles = self.probabilities[known == known.min()].mean(axis=0)
        return mean


def views(side: Dataset, *, seed: int, task: Task) -> Views:
    """Return the out-of-bag predictions of six forests that each see half of the columns."""
    rng = np.random.default_rng(seed)
    count = side.x.shape[1]
    block = rng.permutation(np.arange(count) % _BLOCKS)
    pairs = [pair for pair in combinations(range(_BLOCKS), 2) if np.isin(block, pair).any()]
    seen = np.stack([np.isin(block, pair) for pair in pairs])
    probabilities = np.zeros((len(pairs), len(side), len(side.classes)))
    inputs = ordered(side)
    for number, columns in enumerate(seen):
        probabilities[number] = _out_of_bag(inputs[:, columns], side.y, len(side.classes), seed=seed + number)
        task.update((number + 1) / len(pairs))
    return Views(probabilities, seen)


def _out_of_bag(x: npt.NDArray[np.float32], y: Labels, classes: int, *, seed: int) -> Doubles:
    """Return (n, k) probabilities, each row's from the trees that did not train on it."""
    forest = need("sklearn.ensemble").RandomForestClassifier(
        _TREES, min_samples_leaf=_LEAF, oob_score=True, bootstrap=True, random_state=seed, n_jobs=1
    )
    with warnings.catch_warnings():
        # scikit-learn warns about rows that every tree trained on; they get the class frequencies below.
        warnings.simplefilter("ignore")
        forest.fit(x, y)
    probabilities = np.zeros((len(y), classes))
    probabilities[:, forest.classes_] = np.nan_to_num(forest.oob_decision_function_)
    empty = probabilities.sum(axis=1) == 0
    probabilities[empty] = np.bincount(y, minlength=classes) / len(y)
    return probabilities


def ordered(side: Dataset) -> npt.NDArray[np.float32]:
    """Return the table's (n, d) values with category codes ranked by frequency, an order that trees split well."""
    values = side.x.copy()
    for index, column in enumerate(side.columns):
        if column.kind is ColumnKind.CATEGORY:
            codes = side.x[:, index].astype(np.int64)
            rank = np.argsort(np.argsort(-np.bincount(codes, minlength=len(column.categories)), kind="stable"))
            values[:, index] = rank[codes]
    return values
