"""Out-of-fold probabilities: what a model that never saw a row, nor its group, says about it.

Small, quick models on purpose: they need to know the classes better than chance, not to win. Pictures: edge
directions and coarse colour, principal components, logistic regression. Tables: gradient-boosted trees on many rows, logistic
regression on few.
"""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import numpy.typing as npt

from hauberk.core.columns import ColumnKind
from hauberk.core.extras import need
from hauberk.core.progress import Task
from hauberk.data.poison.shapes import shapes
from hauberk.data.reading.dataset import Dataset, Doubles, Labels, Mask

_FOLDS = 5
_COMPONENTS = 120
_MANY = 2_000  # rows from which trees are better than a line, and still quick
_TREE_CATEGORIES = 255


def out_of_fold(side: Dataset, *, seed: int, task: Task) -> Doubles:
    """Return (n, k) probabilities, each row's from a model fitted without the row and without its group.

    k: len(side.classes); a class that is absent has probability 0. Every class with rows needs two or more, in two or
    more groups where there are groups (else groups are left aside).
    """
    inputs = _inputs(side, seed)
    probabilities = np.zeros((len(side), len(side.classes)))
    parts = folds(side, seed)
    for number, (fit, ask) in enumerate(parts):
        model = _model(side, seed).fit(inputs[fit], side.y[fit])
        probabilities[np.ix_(ask, model.classes_)] = model.predict_proba(inputs[ask])
        task.update(0.1 + 0.8 * (number + 1) / len(parts), text=f"fold {number + 1} of {len(parts)}")
    return probabilities


def folds(side: Dataset, seed: int) -> list[tuple[Labels, Labels]]:
    """Return (fit, ask) rows of each fold, classes spread evenly and groups kept together where that leaves no class out."""
    selection = need("sklearn.model_selection")
    counts = np.bincount(side.y)
    if side.groups is not None:
        pairs = np.unique(np.stack([side.y, side.groups]), axis=1)[0]
        groups = int(np.bincount(pairs)[np.unique(pairs)].min())
        if groups >= 2:
            split = selection.StratifiedGroupKFold(min(_FOLDS, groups), shuffle=True, random_state=seed)
            parts = list(split.split(side.y, side.y, side.groups))
            if all(len(np.unique(side.y[fit])) == len(np.unique(side.y)) for fit, _ in parts):
                return parts
    split = selection.StratifiedKFold(max(2, min(_FOLDS, int(counts.max()))), shuffle=True, random_state=seed)
    with warnings.catch_warnings():
        # A class with fewer rows than folds is in some folds only, and must not take folds from all others.
        warnings.simplefilter("ignore", UserWarning)
        return list(split.split(side.y, side.y))


def _model(side: Dataset, seed: int) -> Any:  # noqa: ANN401 - a scikit-learn estimator
    linear = need("sklearn.linear_model")
    if side.kind == "table" and len(side) >= _MANY:
        categories = [
            column.kind is ColumnKind.CATEGORY and len(column.categories) <= _TREE_CATEGORIES
            for column in side.columns
        ]
        trees = need("sklearn.ensemble").HistGradientBoostingClassifier
        rounds = max(10, 80 // max(1, len(side.classes) - 1))
        return trees(max_iter=rounds, categorical_features=categories, early_stopping=False, random_state=seed)
    line = linear.LogisticRegression(C=0.03, max_iter=200)
    scale = need("sklearn.preprocessing").StandardScaler()
    return need("sklearn.pipeline").make_pipeline(scale, line)


def _inputs(side: Dataset, seed: int, base: Labels | None = None) -> npt.NDArray[np.floating[Any]]:
    """Return (n, f) what the models are told of each row; base: the rows that components are fitted on, all by default."""
    if side.kind == "image":
        flat = shapes(side.x)
        own = flat if base is None else flat[base]
        size = min(_COMPONENTS, *own.shape)
        components = need("sklearn.decomposition").PCA(
            size, svd_solver="randomized", whiten=True, random_state=seed
        )
        # The components are of inputs alone: no label crosses from one fold to another.
        found: npt.NDArray[np.floating[Any]] = (
            components.fit_transform(flat) if base is None else components.fit(own).transform(flat)
        )
        return found
    return side.x if (len(side) if base is None else len(base)) >= _MANY else one_hot(side)


def one_hot(side: Dataset) -> npt.NDArray[np.floating[Any]]:
    """Return (n, f): numbers as they are, a category as one column for each of its values."""
    parts: list[npt.NDArray[np.floating[Any]]] = []
    for index, column in enumerate(side.columns):
        values = side.x[:, index]
        if column.kind is ColumnKind.CATEGORY and len(column.categories) <= _TREE_CATEGORIES:
            parts.append((values[:, None] == np.arange(len(column.categories))).astype(np.float32))
        else:
            parts.append(values[:, None])
    return np.concatenate(parts, axis=1)


def by_trusted(side: Dataset, trusted: Mask, *, seed: int, task: Task) -> Doubles:
    """Return (n, k) probabilities as `out_of_fold` does, from models that learned from `trusted` rows alone.

    trusted: (n,). Every other row is asked of one of the folds' models, dealt at random, as if it were one of the rows that
    this fold left out: so rows of both kinds are judged alike, and differ only where the rows themselves do. What is said
    of a row does not depend on the rows behind it.
    """
    base = np.flatnonzero(trusted)
    inputs, known = _inputs(side, seed, base), side.take(base)
    parts = folds(known, seed)
    dealt = np.floor(np.random.default_rng(seed).random(len(side)) * len(parts))
    probabilities = np.zeros((len(side), len(side.classes)))
    for number, (fit, ask) in enumerate(parts):
        model = _model(known, seed).fit(inputs[base[fit]], known.y[fit])
        asked = np.concatenate([base[ask], np.flatnonzero(~trusted & (dealt == number))])
        if len(asked):
            probabilities[np.ix_(asked, model.classes_)] = model.predict_proba(inputs[asked])
        task.update((number + 1) / len(parts), text=f"fold {number + 1} of {len(parts)}")
    return probabilities
