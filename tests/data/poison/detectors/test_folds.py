"""Folds: predictions come from models that saw neither the row nor its group, and trusted models see trusted rows only."""

import numpy as np
import pytest

from hauberk.core.columns import Column, ColumnKind
from hauberk.core.progress import Quiet
from hauberk.data.poison.detectors._folds import by_trusted, folds, one_hot, out_of_fold
from hauberk.data.reading.dataset import Dataset


def table(x, y, groups=None, columns=None):
    x = np.asarray(x, np.float32)
    columns = columns or tuple(Column(f"c{i}", ColumnKind.NUMBER, -9, 9) for i in range(x.shape[1]))
    return Dataset("table", x, np.asarray(y, np.int64), ("a", "b"), columns, np.arange(len(x)), groups)


@pytest.fixture
def pairs():
    """Pairs of equal rows with one random label a pair: only a model that saw the twin can know the label."""
    rng = np.random.default_rng(0)
    x = np.repeat(rng.normal(size=(150, 300)), 2, axis=0)
    return x, np.repeat(rng.integers(0, 2, 150), 2), np.repeat(np.arange(150), 2)


def accuracy(probabilities, y):
    return float((probabilities.argmax(axis=1) == y).mean())


def test_a_label_that_only_the_rows_group_tells_is_not_predicted(pairs):
    x, y, groups = pairs
    without = accuracy(out_of_fold(table(x, y), seed=0, task=Quiet()), y)
    kept = accuracy(out_of_fold(table(x, y, groups), seed=0, task=Quiet()), y)
    assert without > 0.8  # the twin in the training rows gives the label away
    assert kept < 0.62


def test_every_row_is_held_out_once_and_never_fitted_in_the_same_fold(pairs):
    x, y, groups = pairs
    parts = folds(table(x, y, groups), 0)
    assert sorted(np.concatenate([held_out for _, held_out in parts]).tolist()) == list(range(len(y)))
    for fit, held_out in parts:
        assert not set(groups[fit]) & set(groups[held_out])
        assert set(y[fit]) == {0, 1}


def test_groups_that_hold_a_whole_class_are_ignored_rather_than_losing_the_class():
    y = np.repeat([0, 1], 20)
    parts = folds(table(np.zeros((40, 2)), y, y.copy()), 0)
    assert all(set(y[fit]) == {0, 1} for fit, _ in parts)


def test_rows_that_are_not_trusted_do_not_teach_and_do_not_change_others():
    rng = np.random.default_rng(1)
    x = rng.normal(size=(260, 3))
    y = (x[:, 0] > 0).astype(int)
    y[200:] = 1 - y[200:]  # the rows that are not trusted lie
    trusted = np.arange(260) < 200
    found = by_trusted(table(x, y), trusted, seed=0, task=Quiet())
    assert accuracy(found, (x[:, 0] > 0).astype(int)) > 0.9
    fewer = by_trusted(table(x[:230], y[:230]), trusted[:230], seed=0, task=Quiet())
    np.testing.assert_allclose(found[:230], fewer, atol=1e-6)


def test_one_hot_gives_each_category_a_column_and_keeps_numbers():
    columns = (Column("n", ColumnKind.NUMBER, 0, 9), Column("c", ColumnKind.CATEGORY, 0, 2, ("x", "y", "z")))
    encoded = one_hot(table([[5, 2], [7, 0]], [0, 1], columns=columns))
    np.testing.assert_array_equal(encoded, [[5, 0, 0, 1], [7, 1, 0, 0]])
