"""The leakage check: equal and near copies of test rows, and groups on both sides, are found."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from hauberk.core.findings import Severity
from hauberk.core.progress import Quiet
from hauberk.data.checks import CHECKS
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


def joined(side, rows, x=None):
    """The side with copies of some rows at its end."""
    more = side.take(rows)
    x = more.x if x is None else x
    return dataclasses.replace(
        side,
        x=np.concatenate([side.x, x]),
        y=np.concatenate([side.y, more.y]),
        rows=np.concatenate([side.rows, 10_000 + more.rows]),
        groups=None if side.groups is None else np.concatenate([side.groups, 900 + np.arange(len(rows))]),
    )


@pytest.mark.parametrize("data", ["digits", "cancer"])
def test_test_rows_in_training_are_found_and_named(data, request):
    split = request.getfixturevalue(data)
    rows = np.arange(0, 50, 5)
    x = np.concatenate([split.train.x, split.test.x[rows]])
    train = dataclasses.replace(joined(split.train, rows), x=x)
    found = run("leakage", dataclasses.replace(split, train=train))
    assert found.metrics["equal_leaked_rows"] == found.metrics["leaked_rows"] == 10
    assert {str(finding.where) for finding in found.findings} == {
        f"test row {split.test.rows[row]}" for row in rows
    }
    assert found.findings[0].severity is Severity.HIGH


def test_test_pictures_with_noise_and_other_brightness_are_found_in_training(digits):
    rng = np.random.default_rng(0)
    rows = np.arange(100)
    changed = (
        digits.test.x[rows] * rng.uniform(0.85, 1, (100, 1, 1, 1)) + rng.normal(0, 0.01, (100, 1, 8, 8)) + 0.02
    )
    x = np.concatenate([digits.train.x, np.clip(changed, 0, 1).astype(np.float32)])
    train = dataclasses.replace(joined(digits.train, rows), x=x)
    assert run("leakage", dataclasses.replace(digits, train=train)).metrics["near_leaked_rows"] == 100


def test_test_rows_with_numbers_slightly_changed_are_found_in_training(cancer):
    rng = np.random.default_rng(0)
    spread = cancer.train.x.std(axis=0)
    changed = (cancer.test.x[:30] + 0.003 * spread * rng.normal(size=(30, 30))).astype(np.float32)
    train = dataclasses.replace(joined(cancer.train, np.arange(30)), x=np.concatenate([cancer.train.x, changed]))
    found = run("leakage", dataclasses.replace(cancer, train=train))
    assert found.metrics["near_leaked_rows"] == 30


def test_a_flood_of_copies_cannot_hide_itself_by_pulling_the_bound_down(digits):
    rows = np.resize(np.arange(100), 1000)
    rng = np.random.default_rng(0)
    x = np.clip(digits.test.x[rows] + rng.normal(0, 0.01, (1000, 1, 8, 8)), 0, 1).astype(np.float32)
    train = joined(digits.train, np.arange(1000))
    train = dataclasses.replace(train, x=np.concatenate([digits.train.x, x]))
    assert run("leakage", dataclasses.replace(digits, train=train)).metrics["near_leaked_rows"] >= 95


def test_groups_on_both_sides_are_high(digits):
    train = dataclasses.replace(digits.train, groups=np.arange(len(digits.train)))
    test = dataclasses.replace(digits.test, groups=np.arange(len(digits.test)) + len(digits.train) - 2)
    found = run("leakage", dataclasses.replace(digits, train=train, test=test))
    assert found.metrics["shared_groups"] == 2
    assert found.findings[0].severity is Severity.HIGH
