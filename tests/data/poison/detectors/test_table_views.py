"""Forests over half of the columns: for any two columns one forest is blind to both, and predictions are out of bag."""

from itertools import combinations

import numpy as np

from hauberk.core.columns import Column, ColumnKind
from hauberk.core.progress import Quiet
from hauberk.data.poison.detectors._table_views import ordered, views
from hauberk.data.reading.dataset import Dataset


def table(x, y, columns=None):
    x = np.asarray(x, np.float32)
    columns = columns or tuple(Column(f"c{i}", ColumnKind.NUMBER, -9, 9) for i in range(x.shape[1]))
    return Dataset("table", x, np.asarray(y, np.int64), ("a", "b"), columns, np.arange(len(x)))


def test_what_one_column_alone_tells_is_unknown_to_forests_that_are_blind_to_it():
    rng = np.random.default_rng(0)
    x = rng.normal(size=(400, 8))
    y = (x[:, 3] > 0).astype(int)
    half = views(table(x, y), seed=0, task=Quiet())
    for columns in combinations(range(8), 2):
        assert half.seen[:, columns].sum(axis=1).min() == 0
    own = np.arange(400), y
    assert half.blind_to((3,))[own].mean() < 0.56
    assert half.probabilities[half.seen[:, 3]].mean(axis=0)[own].mean() > 0.75


def test_random_labels_are_not_remembered():
    rng = np.random.default_rng(1)
    y = rng.integers(0, 2, 300)
    half = views(table(rng.normal(size=(300, 8)), y), seed=0, task=Quiet())
    right = half.probabilities[:, np.arange(300), y].mean()
    assert abs(right - 0.5) < 0.05


def test_categories_are_ranked_by_how_often_they_occur():
    columns = (Column("c", ColumnKind.CATEGORY, 0, 2, ("x", "y", "z")),)
    ranked = ordered(table([[2], [2], [2], [0], [1], [1]], [0, 1, 0, 1, 0, 1], columns))
    np.testing.assert_array_equal(ranked[:, 0], [0, 0, 0, 2, 1, 1])
