"""Out-of-fold probabilities of a table's rows: what models that never saw a row think of its label.

Many rows: gradient-boosted trees, large and small, each with folds of its own; of many classes, boosted trees and a
random forest. Few rows: a random forest and a line. All are held back (large leaves, a slow rate, a strong penalty),
because labels may be wrong and a model that can learn single rows would believe them. Two are joined by the mean of
their logarithms, so that a row is doubted only where neither believes the label.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

from hauberk.core.columns import ColumnKind
from hauberk.core.extras import need
from hauberk.core.progress import Task
from hauberk.data.poison.detectors._folds import folds, one_hot
from hauberk.data.poison.detectors._table_views import ordered
from hauberk.data.reading.dataset import Dataset, Doubles

_MANY = 2_000  # rows from which boosted trees beat a forest and a line
_MOST_CATEGORIES = 255  # that boosted trees can tell apart
_TREES = 200
_ROUNDS = 120
_LEAST_ROUNDS = 25
_SEVERAL = 4  # classes, above which the second member is a forest, whose cost does not grow with them
_LEAST = 1e-4
_LEAST_ROWS = 5  # of a class, under which it cannot be learned

Model = Callable[[], Any]


def table_probabilities(side: Dataset, *, seed: int, task: Task) -> Doubles:
    """Return (n, k) float64, each row adding up to 1, from models fitted without the row and without its group.

    k: len(side.classes); a class that is absent has probability 0; rows of a class with fewer than five rows get their
    own label.
    seed: the same gives the same numbers. Cost: some seconds for 30,000 rows of 14 columns on one core; it grows with rows
    and, beyond five classes, with classes. Raises MissingExtra without scikit-learn.
    """
    members = _many(side, seed) if len(side) >= _MANY else _few(side, seed)
    logs = np.zeros((len(side), len(side.classes)))
    for number, (inputs, model) in enumerate(members):
        found = np.zeros_like(logs)
        parts = folds(side, seed + number)
        for turn, (fit, ask) in enumerate(parts):
            fitted = model().fit(inputs[fit], side.y[fit])
            found[np.ix_(ask, fitted.classes_)] = fitted.predict_proba(inputs[ask])
            task.update((number + (turn + 1) / len(parts)) / len(members))
        logs += np.log(found + _LEAST)
    joined = np.exp(logs / len(members))
    sizes = np.bincount(side.y, minlength=len(side.classes))
    joined[:, sizes == 0] = 0
    # Nobody can say what a class of a few rows looks like: its rows are taken at their word.
    few = np.flatnonzero(sizes[side.y] < _LEAST_ROWS)
    joined[few] = np.eye(len(side.classes))[side.y[few]]
    probabilities: Doubles = joined / joined.sum(axis=1, keepdims=True)
    return probabilities


def _many(side: Dataset, seed: int) -> list[tuple[npt.NDArray[Any], Model]]:
    trees = need("sklearn.ensemble").HistGradientBoostingClassifier
    told = [
        column.kind is ColumnKind.CATEGORY and len(column.categories) <= _MOST_CATEGORIES for column in side.columns
    ]
    # Each round grows a tree for every class of more than two.
    rounds = max(_LEAST_ROUNDS, _ROUNDS // max(1, len(side.classes) - 1))
    # Never faster: with rare classes a fast rate runs away, and then every label is doubted.
    rate = min(0.1, 0.05 * _ROUNDS / rounds)
    common = {"categorical_features": told, "early_stopping": False, "random_state": seed, "l2_regularization": 1.0}

    def large() -> Any:  # noqa: ANN401 - a scikit-learn estimator
        return trees(max_iter=rounds, learning_rate=rate, max_leaf_nodes=15, min_samples_leaf=40, **common)

    def small() -> Any:  # noqa: ANN401 - a scikit-learn estimator
        return trees(max_iter=rounds, learning_rate=1.5 * rate, max_leaf_nodes=6, min_samples_leaf=20, **common)

    if len(side.classes) > _SEVERAL:
        return [(np.where(told, side.x, ordered(side)), large), (ordered(side), _forest(seed, trees=80, leaf=5))]
    inputs = np.where(told, side.x, ordered(side))
    return [(inputs, large), (inputs, small)]


def _few(side: Dataset, seed: int) -> list[tuple[npt.NDArray[Any], Model]]:
    def line() -> Any:  # noqa: ANN401 - a scikit-learn estimator
        scale = need("sklearn.preprocessing").StandardScaler()
        return need("sklearn.pipeline").make_pipeline(
            scale, need("sklearn.linear_model").LogisticRegression(C=0.03, max_iter=200)
        )

    return [(ordered(side), _forest(seed, trees=_TREES, leaf=3)), (one_hot(side), line)]


def _forest(seed: int, *, trees: int, leaf: int) -> Model:
    def forest() -> Any:  # noqa: ANN401 - a scikit-learn estimator
        return need("sklearn.ensemble").RandomForestClassifier(
            trees, min_samples_leaf=leaf, random_state=seed, n_jobs=1
        )

    return forest
