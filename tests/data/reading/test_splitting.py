"""Splitting: shares, classes and groups are kept, and impossible splits are refused by class."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hauberk.core.errors import InvalidInput
from hauberk.data.reading.splitting import sample_rows, split_rows


@settings(max_examples=80, deadline=None)
@given(st.integers(0, 10_000), st.integers(2, 5), st.floats(0.1, 0.5))
def test_a_split_keeps_groups_together_and_every_class_on_both_sides(seed, classes, share):
    rng = np.random.default_rng(seed)
    y = rng.integers(0, classes, 300)
    groups = rng.integers(0, 60, 300)
    train, test = split_rows(y, groups, share=share, classes=list("abcde")[:classes], rng=rng)
    assert sorted([*train, *test]) == list(range(300))
    assert not set(groups[train]) & set(groups[test])
    assert set(y[train]) == set(y[test]) == set(range(classes))
    assert abs(len(test) / 300 - share) < 0.1


def test_a_split_by_class_meets_the_share_in_each_class():
    y = np.repeat([0, 1, 2], [100, 50, 3])
    train, test = split_rows(y, None, share=0.2, classes=["a", "b", "c"], rng=np.random.default_rng(0))
    assert np.bincount(y[test]).tolist() == [20, 10, 1]
    assert len(train) == 122


def test_classes_that_cannot_be_on_both_sides_are_named():
    with pytest.raises(InvalidInput, match=r"class 'rare' has 1 row"):
        split_rows(np.array([0, 0, 0, 1]), None, share=0.5, classes=["a", "rare"], rng=np.random.default_rng(0))
    with pytest.raises(InvalidInput, match=r"class 'b' is in one group only"):
        split_rows(
            np.array([0, 0, 1, 1]),
            np.array([0, 1, 2, 2]),
            share=0.5,
            classes=["a", "b"],
            rng=np.random.default_rng(0),
        )


@settings(max_examples=50, deadline=None)
@given(st.integers(0, 1000), st.integers(4, 200))
def test_a_sample_has_its_size_and_every_class(seed, count):
    rng = np.random.default_rng(seed)
    y = np.concatenate([np.arange(4), rng.integers(0, 4, 96)])
    rows = sample_rows(y, count, rng=rng)
    assert len(rows) == len(set(rows.tolist())) == min(count, 100)
    assert set(y[rows]) == {0, 1, 2, 3}
