"""The schema check: ranges, units, constant and identifying columns, and drifted test sides are named."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from hauberk.core.columns import Column, ColumnKind
from hauberk.core.findings import Severity
from hauberk.core.progress import Quiet
from hauberk.data.checks import CHECKS
from hauberk.data.checks.schema import far_out, out_of_range
from hauberk.data.reading.dataset import Dataset, Split
from hauberk.data.reading.loading import DataSpec, load


@pytest.fixture(scope="module")
def digits():
    return load(DataSpec("image", ("sklearn:digits",)), seed=0)


@pytest.fixture(scope="module")
def cancer():
    return load(DataSpec("table", ("sklearn:breast_cancer",)), seed=0)


def run(name, split, **params):
    entry = CHECKS[name]
    return entry.run(split, entry.make(params), rng=np.random.default_rng(0), task=Quiet())


def replaced(split, side, **values):
    return dataclasses.replace(split, **{side: dataclasses.replace(getattr(split, side), **values)})


COLUMNS = (
    Column("age", ColumnKind.INTEGER, 0, 10),
    Column("town", ColumnKind.CATEGORY, 0, 2, ("a", "b", "c")),
)


def test_out_of_range_is_counted_by_hand_and_just_outside_is_not_far():
    train = np.array([[0, 0], [10, 1]], np.float32)
    test = np.array([[5, 0], [12, 1], [99, 1], [-1, 2]], np.float32)
    assert out_of_range(train, test, COLUMNS).tolist() == [
        [False, False],
        [True, False],
        [True, False],
        [True, True],
    ]
    assert far_out(train, test, COLUMNS).any(axis=1).tolist() == [False, False, True, True]


def test_a_column_in_other_units_is_high(cancer):
    x = cancer.test.x.copy()
    x[:, 3] *= 100
    found = run("schema", replaced(cancer, "test", x=x))
    assert found.findings[0].severity is Severity.HIGH
    assert "mean area" in found.findings[0].what
    assert found.metrics["far_out_of_range_share"] == 1.0


def test_a_test_side_that_is_distributed_otherwise_is_named(cancer):
    quiet = run("schema", cancer)
    assert quiet.metrics["drifted_columns"] == 0
    x = cancer.test.x.copy()
    # Within the range of training, so that only the distribution tells.
    x[:, 3] = np.quantile(cancer.train.x[:, 3], np.linspace(0.8, 1, len(x)))
    found = run("schema", replaced(cancer, "test", x=x))
    assert found.metrics["drifted_columns"] == 1
    name = cancer.train.columns[3].name
    assert [str(one.where) for one in found.findings if "the distribution of" in one.what] == [f"column {name}"]


def test_constant_columns_blank_pictures_and_nan_are_named(digits, cancer):
    x = cancer.train.x.copy()
    x[:, 2] = 7
    found = run("schema", replaced(cancer, "train", x=x))
    assert found.metrics["constant_columns"] == 1
    assert any('drop = ["mean perimeter"]' in finding.advice for finding in found.findings)
    x = digits.train.x.copy()
    x[4] = 0.5
    found = run("schema", replaced(digits, "train", x=x))
    assert found.metrics["blank_pictures"] == 1
    assert str(found.findings[0].where) == f"training row {digits.train.rows[4]}"
    x[9, 0, 0, 0] = np.nan
    found = run("schema", replaced(digits, "train", x=x))
    assert found.metrics["non_finite_rows"] == 1
    assert found.findings[0].severity is Severity.HIGH


def test_identifiers_and_integers_that_floats_round_are_named():
    rng = np.random.default_rng(0)
    x = np.stack([rng.integers(0, 2**30, 100), np.arange(100)], axis=1).astype(np.float32)
    columns = (
        Column("account", ColumnKind.INTEGER, 0, float(2**30)),
        Column("name", ColumnKind.CATEGORY, 0, 99, tuple(f"n{i:02d}" for i in range(100))),
    )
    side = Dataset("table", x, np.arange(100) % 2, ("a", "b"), columns, np.arange(100))
    places = {str(finding.where) for finding in run("schema", Split(side, side)).findings}
    assert {"column account", "column name"} <= places
