"""Out-of-fold class probabilities: each row is predicted by a model fitted without the row and without its group.

The models are small and fast on purpose; they only have to separate the classes better than chance. Pictures: histograms
of edge directions and coarse colour, reduced by PCA, then logistic regression. Tables: gradient-boosted trees from 2,000
rows on, logistic regression below.
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
_MANY = 2_000  # rows; from here on boosted trees beat logistic regression and are still fast
_TREE_CATEGORIES = 255  # the most categories a column may have in scikit-learn's HistGradientBoosting


def out_of_fold(side: Dataset, *, seed: int, task: Task) -> Doubles:
    """Return (n, k) probabilities; each row is predicted by a model fitted without the row and without its group.

    k: len(side.classes); an absent class has probability 0. Every class that occurs needs at least two rows. Groups are
    ignored unless every class occurs in at least two of them.
    """
    inputs = _inputs(side, seed)
    probabilities = np.zeros((len(side), len(side.classes)))
    parts = folds(side, seed)
    for number, (fit, held_out) in enumerate(parts):
        model = _model(side, seed).fit(inputs[fit], side.y[fit])
        probabilities[np.ix_(held_out, model.classes_)] = model.predict_proba(inputs[held_out])
        task.update(0.1 + 0.8 * (number + 1) / len(parts), text=f"fold {number + 1} of {len(parts)}")
    return probabilities


def folds(side: Dataset, seed: int) -> list[tuple[Labels, Labels]]:
    """Return (fit, held-out) row numbers of each stratified fold.

    Groups are kept together if every fold's training rows then still contain every class; otherwise they are ignored.
    """
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
        # A class with fewer rows than folds is missing from some folds; the other classes still get all folds.
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
    regression = linear.LogisticRegression(C=0.03, max_iter=200)
    scale = need("sklearn.preprocessing").StandardScaler()
    return need("sklearn.pipeline").make_pipeline(scale, regression)


def _inputs(side: Dataset, seed: int, base: Labels | None = None) -> npt.NDArray[np.floating[Any]]:
    """Return the models' (n, f) input features. base: rows that the PCA is fitted on; None: all rows."""
    if side.kind == "image":
        flat = shapes(side.x)
        own = flat if base is None else flat[base]
        size = min(_COMPONENTS, *own.shape)
        components = need("sklearn.decomposition").PCA(
            size, svd_solver="randomized", whiten=True, random_state=seed
        )
        # The PCA sees inputs only, so no label leaks from one fold to another.
        reduced: npt.NDArray[np.floating[Any]] = (
            components.fit_transform(flat) if base is None else components.fit(own).transform(flat)
        )
        return reduced
    return side.x if (len(side) if base is None else len(base)) >= _MANY else one_hot(side)


def one_hot(side: Dataset) -> npt.NDArray[np.floating[Any]]:
    """Return (n, f) features: number columns unchanged, category columns one-hot encoded."""
    parts: list[npt.NDArray[np.floating[Any]]] = []
    for index, column in enumerate(side.columns):
        values = side.x[:, index]
        if column.kind is ColumnKind.CATEGORY and len(column.categories) <= _TREE_CATEGORIES:
            parts.append((values[:, None] == np.arange(len(column.categories))).astype(np.float32))
        else:
            parts.append(values[:, None])
    return np.concatenate(parts, axis=1)


def by_trusted(side: Dataset, trusted: Mask, *, seed: int, task: Task) -> Doubles:
    """Return (n, k) cross-fitted probabilities from models trained on `trusted` rows only.

    trusted: (n,) mask. A trusted row is predicted by the model of the fold that held it out; every other row by the model
    of a fold drawn at random. Both kinds of rows are therefore predicted by models trained on the same number of rows, and
    their predictions differ only if the rows differ. A row's prediction does not depend on the rows after it.
    """
    base = np.flatnonzero(trusted)
    inputs, known = _inputs(side, seed, base), side.take(base)
    parts = folds(known, seed)
    assigned = np.floor(np.random.default_rng(seed).random(len(side)) * len(parts))
    probabilities = np.zeros((len(side), len(side.classes)))
    for number, (fit, held_out) in enumerate(parts):
        model = _model(known, seed).fit(inputs[base[fit]], known.y[fit])
        queries = np.concatenate([base[held_out], np.flatnonzero(~trusted & (assigned == number))])
        if len(queries):
            probabilities[np.ix_(queries, model.classes_)] = model.predict_proba(inputs[queries])
        task.update((number + 1) / len(parts), text=f"fold {number + 1} of {len(parts)}")
    return probabilities
