"""Each check finds what was planted, leaves clean data alone, and agrees with a slow twin."""

from __future__ import annotations

import dataclasses
import functools
import json
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hauberk.core.columns import Column, ColumnKind
from hauberk.core.errors import InvalidInput
from hauberk.core.findings import Severity
from hauberk.core.progress import Quiet
from hauberk.data.checks import CHECKS
from hauberk.data.checks.schema import far_out, out_of_range
from hauberk.data.poison import neighbours
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


# -- laws of the family


@pytest.fixture(scope="module")
def measured(digits, cancer):
    """What a check says of the data as they are, asked once: measured(name, data)."""
    splits = {"digits": digits, "cancer": cancer}
    return functools.cache(lambda name, data: run(name, splits[data]))


@pytest.mark.parametrize("entry", list(CHECKS), ids=lambda entry: entry.name)
@pytest.mark.parametrize("data", ["digits", "cancer"])
def test_every_check_measures_finite_numbers_repeatably_and_leaves_the_data_alone(entry, data, measured, request):
    split = request.getfixturevalue(data)
    before = split.train.digest(), split.test.digest()
    first, again = measured(entry.name, data), run(entry.name, split)
    assert first == again
    assert (split.train.digest(), split.test.digest()) == before
    assert first.metrics
    assert all(math.isfinite(value) for value in first.metrics.values())
    assert len(first.findings) <= 40
    assert all(str(finding.where) and finding.advice for finding in first.findings)
    assert entry.practice == "1a"


@pytest.mark.parametrize("entry", list(CHECKS), ids=lambda entry: entry.name)
@pytest.mark.parametrize("data", ["digits", "cancer"])
def test_clean_data_raise_no_alarm(entry, data, measured):
    found = measured(entry.name, data)
    assert all(finding.severity.rank < Severity.MEDIUM.rank for finding in found.findings)


def test_metric_names_are_of_one_check_each(measured):
    names = [name for entry in CHECKS for name in measured(entry.name, "digits").metrics]
    assert len(names) == len(set(names))


@pytest.mark.parametrize(
    ("check", "params"),
    [("leakage", {"limit": 2}), ("poisoning", {"false_alarms": math.nan})],
)
def test_impossible_parameters_are_refused(check, params):
    with pytest.raises(InvalidInput, match=next(iter(params))):
        CHECKS[check].make(params)


# -- poisoning


def flipped(split, share, seed=1):
    rng = np.random.default_rng(seed)
    train = split.train
    rows = rng.permutation(len(train))[: int(share * len(train))]
    y = train.y.copy()
    y[rows] = (y[rows] + rng.integers(1, len(train.classes), len(rows))) % len(train.classes)
    return replaced(split, "train", y=y), set(train.rows[rows].tolist())


@pytest.mark.parametrize("data", ["digits", "cancer"])
def test_flipped_labels_are_ranked_first_and_named_by_their_place_in_the_file(data, request):
    split, wrong = flipped(request.getfixturevalue(data), 0.1)
    found = run("poisoning", split)
    assert found.metrics["poison_found"] == 1
    listed = json.loads(found.outputs["suspects.json"])["suspects"]
    rows = [entry["row"] for entry in listed]
    assert np.isin(rows, list(wrong)).mean() > 0.8
    assert found.metrics["poison_suspect_rows"] == len(listed)
    assert str(found.findings[0].where) == f"training row {rows[0]}"
    assert found.findings[0].severity is Severity.HIGH


def test_the_worst_rows_are_shown_and_the_guilty_source_is_named(cancer):
    split, wrong = flipped(cancer, 0.12)
    bad = np.isin(split.train.rows, list(wrong))
    rng = np.random.default_rng(0)
    sources = np.where(bad | (rng.random(len(bad)) < 0.1), "east", rng.choice(["north", "west"], len(bad)))
    found = run("poisoning", replaced(split, "train", sources=sources))
    document = json.loads(found.outputs["suspects.json"])
    assert [source["source"] for source in document["sources"] if source["guilty"]] == ["east"]
    assert found.metrics["poison_guilty_sources"] == 1
    assert str(found.findings[0].where) == "source east"
    assert document["suspects"][0]["values"]["mean radius"]


def test_too_few_rows_are_said_and_not_judged(cancer):
    found = run("poisoning", Split(cancer.train.take(np.arange(20)), cancer.test))
    assert found.metrics == {"poison_checked_rows": 0.0}
    assert "too few" in found.notes[0]


def test_row_codes_ignore_the_sign_of_zero_and_reach_across_sides():
    one, two = neighbours.row_codes(
        np.array([[0.0, 1.0], [2.0, 3.0]], np.float32), np.array([[-0.0, 1.0]], np.float32)
    )
    assert two[0] == one[0] != one[1]


# -- leakage


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


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 10_000))
def test_nearest_neighbours_are_those_of_the_slow_twin(seed):
    rng = np.random.default_rng(seed)
    q = neighbours.Features(rng.normal(size=(9, 4)).astype(np.float32), rng.integers(0, 3, 9))
    b = neighbours.Features(rng.normal(size=(15, 4)).astype(np.float32), rng.integers(0, 3, 15))
    qk, bk = rng.integers(0, 4, 9), rng.integers(0, 4, 15)
    found = neighbours.nearest(q, b, query_keys=qk, base_keys=bk)
    for i in range(9):
        allowed = [j for j in range(15) if q.blocks[i] == b.blocks[j] and qk[i] != bk[j]]
        best = min((float(np.linalg.norm(q.values[i] - b.values[j])) for j in allowed), default=math.inf)
        assert found.distance[i] == pytest.approx(best, abs=1e-5)


# -- schema

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
    assert [str(one.where) for one in found.findings if "distributed otherwise" in one.what] == [f"column {name}"]


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
