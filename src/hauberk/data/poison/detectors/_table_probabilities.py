"""Out-of-fold class probabilities for the rows of a table.

From 2,000 rows on: two gradient-boosted models, a larger and a smaller one, each with its own folds; with more than four
classes, one boosted model and a random forest. Below: a random forest and a logistic regression. All are strongly
regularised (large leaves, low learning rate, strong penalty), because labels may be wrong and a model that memorises single
rows would confirm them. The two models' log probabilities are averaged (a geometric mean, renormalised).
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

_MANY = 2_000  # rows; from here on boosted trees beat a forest with a logistic regression
_MOST_CATEGORIES = 255  # the most categories a column may have in scikit-learn's HistGradientBoosting
_TREES = 200  # trees of the forest for few rows
_ROUNDS = 120  # boosting rounds for two classes; divided among more classes
_LEAST_ROUNDS = 25
_SEVERAL = 4  # above this many classes the second model is a forest, whose cost does not grow with the classes
_LEAST = 1e-4  # added to probabilities before the logarithm
_LEAST_ROWS = 5  # a class with fewer rows cannot be learned

Model = Callable[[], Any]


def table_probabilities(side: Dataset, *, seed: int, task: Task) -> Doubles:
    """Return (n, k) float64 probabilities, rows sum to 1, from models fitted without the row and without its group.

    k: len(side.classes); an absent class has probability 0; a row of a class with fewer than five rows gets probability 1
    for its own label. seed: the same seed gives the same numbers. Cost: some seconds for 30,000 rows of 14 columns on one
    core; grows with rows and, beyond five classes, with classes. Raises MissingExtra without scikit-learn.
    """
    members = _many(side, seed) if len(side) >= _MANY else _few(side, seed)
    logs = np.zeros((len(side), len(side.classes)))
    for number, (inputs, model) in enumerate(members):
        own = np.zeros_like(logs)
        parts = folds(side, seed + number)
        for turn, (fit, held_out) in enumerate(parts):
            fitted = model().fit(inputs[fit], side.y[fit])
            own[np.ix_(held_out, fitted.classes_)] = fitted.predict_proba(inputs[held_out])
            task.update((number + (turn + 1) / len(parts)) / len(members))
        logs += np.log(own + _LEAST)
    joined = np.exp(logs / len(members))
    sizes = np.bincount(side.y, minlength=len(side.classes))
    joined[:, sizes == 0] = 0
    # A class of a few rows cannot be learned, so its labels are not contradicted.
    few = np.flatnonzero(sizes[side.y] < _LEAST_ROWS)
    joined[few] = np.eye(len(side.classes))[side.y[few]]
    probabilities: Doubles = joined / joined.sum(axis=1, keepdims=True)
    return probabilities


def _many(side: Dataset, seed: int) -> list[tuple[npt.NDArray[Any], Model]]:
    trees = need("sklearn.ensemble").HistGradientBoostingClassifier
    categorical = [
        column.kind is ColumnKind.CATEGORY and len(column.categories) <= _MOST_CATEGORIES for column in side.columns
    ]
    # With more than two classes, each round grows one tree a class.
    rounds = max(_LEAST_ROUNDS, _ROUNDS // max(1, len(side.classes) - 1))
    # Capped: with rare classes a higher rate diverges, and then every label looks doubtful.
    rate = min(0.1, 0.05 * _ROUNDS / rounds)
    common = {
        "categorical_features": categorical,
        "early_stopping": False,
        "random_state": seed,
        "l2_regularization": 1.0,
    }

    def large() -> Any:  # noqa: ANN401 - a scikit-learn estimator
        return trees(max_iter=rounds, learning_rate=rate, max_leaf_nodes=15, min_samples_leaf=40, **common)

    def small() -> Any:  # noqa: ANN401 - a scikit-learn estimator
        return trees(max_iter=rounds, learning_rate=1.5 * rate, max_leaf_nodes=6, min_samples_leaf=20, **common)

    if len(side.classes) > _SEVERAL:
        mixed = np.where(categorical, side.x, ordered(side))
        return [(mixed, large), (ordered(side), _forest(seed, trees=80, leaf=5))]
    inputs = np.where(categorical, side.x, ordered(side))
    return [(inputs, large), (inputs, small)]


def _few(side: Dataset, seed: int) -> list[tuple[npt.NDArray[Any], Model]]:
    def regression() -> Any:  # noqa: ANN401 - a scikit-learn estimator
        scale = need("sklearn.preprocessing").StandardScaler()
        return need("sklearn.pipeline").make_pipeline(
            scale, need("sklearn.linear_model").LogisticRegression(C=0.03, max_iter=200)
        )

    return [(ordered(side), _forest(seed, trees=_TREES, leaf=3)), (one_hot(side), regression)]


def _forest(seed: int, *, trees: int, leaf: int) -> Model:
    def forest() -> Any:  # noqa: ANN401 - a scikit-learn estimator
        return need("sklearn.ensemble").RandomForestClassifier(
            trees, min_samples_leaf=leaf, random_state=seed, n_jobs=1
        )

    return forest
