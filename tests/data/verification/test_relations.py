"""Theil's U: 1 for a column that determines the target, 0 for one that does not, however many values it has."""

import numpy as np
import polars as pl
import pytest

from hauberk.data.verification.relations import association, codes


@pytest.fixture
def target():
    return pl.Series(np.random.default_rng(0).integers(0, 3, 3000).astype(str))


def test_a_copy_and_a_renaming_determine_the_target(target):
    assert association(target, target) == pytest.approx(1, abs=0.01)
    assert association(target.replace({"0": "a", "1": "b", "2": "c"}), target) == pytest.approx(1, abs=0.01)


def test_an_identifier_and_noise_explain_nothing(target):
    rng = np.random.default_rng(1)
    for column in (
        pl.Series(range(3000)),
        pl.Series([f"customer {i}" for i in range(3000)]),
        pl.Series(rng.normal(size=3000)),
        pl.Series(rng.integers(0, 400, 3000).astype(str)),
    ):
        assert association(column, target) < 0.05


def test_a_relation_that_is_not_monotone_is_seen():
    x = np.random.default_rng(2).uniform(-1, 1, 4000)
    assert association(pl.Series(x), pl.Series(np.abs(x) > 0.5)) > 0.8


def test_a_value_that_is_missing_for_one_class_is_a_leak(target):
    noise = np.random.default_rng(3).normal(size=3000)
    column = pl.Series(noise).to_frame("x").select(pl.when(target != "0").then(pl.col("x")))["x"]
    assert association(column, target) > 0.5
    nan = pl.Series(np.where(target.to_numpy() == "0", np.nan, noise))
    assert association(nan, target) > 0.5


def test_no_answer_for_a_constant_target_nested_columns_and_no_rows(target):
    assert association(target, pl.Series(["x"] * 3000)) is None
    assert association(pl.Series([[1]] * 3000), target) is None
    assert association(pl.Series([], dtype=pl.Int64), pl.Series([], dtype=pl.String)) is None


def test_numbers_fall_into_twenty_bins_of_like_size_and_not_finite_ones_apart():
    values = np.append(np.random.default_rng(4).normal(size=2000), [np.nan, np.inf])
    counts = np.bincount(codes(pl.Series(values)))
    assert len(counts) == 21
    assert counts[-1] == 2
    assert counts[:-1].min() >= 95
