"""What every data check has to hold, whichever it is and whoever wrote it."""

from __future__ import annotations

import dataclasses
import json

import numpy as np
import pytest

from hauberk.core.findings import Severity
from hauberk.data.checks import CHECKS
from hauberk.data.checks._common import SHOWN
from hauberk.data.reading.dataset import Split

KNOWN = {
    "schema": {"rows", "classes", "class_imbalance", "out_of_range_rows", "out_of_range_share"},
    "poisoning": {"poison_checked_rows"},
    "leakage": {"leaked_rows", "leaked_share"},
}
EVERY = [(entry.name, kind) for entry in CHECKS for kind in entry.kinds]
each = pytest.mark.parametrize(("name", "kind"), EVERY)


def test_the_family_is_complete_and_each_serves_practice_1a():
    assert set(KNOWN) <= {entry.name for entry in CHECKS}
    assert all(entry.practice == "1a" and entry.summary for entry in CHECKS)


@each
def test_metrics_are_finite_and_hold_what_gates_read(name, kind, clean, run):
    metrics = run(name, clean(kind, 120, 40)).metrics
    assert all(np.isfinite(value) for value in metrics.values())
    assert KNOWN.get(name, set()) <= set(metrics)


@each
def test_clean_data_have_no_findings(name, kind, clean, run):
    for seed in range(1 if name == "poisoning" else 5):  # it fits models, and its detectors have tests of their own
        found = run(name, clean(kind, 300, 60, seed), seed=seed)
        loud = [finding for finding in found.findings if finding.severity is not Severity.INFO]
        assert loud == []


@each
def test_the_same_seed_gives_the_same_measurement(name, kind, clean, run):
    split = clean(kind, 120, 40)
    assert run(name, split, seed=3) == run(name, split, seed=3)


@each
def test_data_are_left_as_they_are(name, kind, clean, run):
    split = clean(kind, 60, 20)
    for side in (split.train, split.test):
        side.x.setflags(write=False)
        side.y.setflags(write=False)
    before = split.train.digest(), split.test.digest()
    run(name, split)
    assert (split.train.digest(), split.test.digest()) == before


@each
@pytest.mark.parametrize("rows", [4, 10])
def test_tiny_sets_are_measured(name, kind, rows, clean, run):
    metrics = run(name, clean(kind, rows, rows)).metrics
    assert all(np.isfinite(value) for value in metrics.values())


@each
def test_equal_rows_everywhere_are_measured(name, kind, clean, run, change):
    split = clean(kind, 12, 12)
    same = [change(side, x=np.repeat(side.x[:1], 12, axis=0)) for side in (split.train, split.test)]
    metrics = run(name, Split(*same)).metrics
    assert all(np.isfinite(value) for value in metrics.values())


@each
def test_a_row_that_is_not_finite_is_survived(name, kind, clean, run, change):
    split = clean(kind, 60, 20)
    spoilt = [split.train.x.copy(), split.test.x.copy()]
    spoilt[0][7], spoilt[1][5] = np.nan, np.inf
    metrics = run(name, Split(change(split.train, x=spoilt[0]), change(split.test, x=spoilt[1]))).metrics
    assert all(np.isfinite(value) for value in metrics.values())


@pytest.mark.parametrize(("name", "kind"), [case for case in EVERY if case[0] != "poisoning"])
def test_the_order_of_rows_does_not_matter(name, kind, clean, run, joined):
    split = clean(kind, 80, 30)
    split = Split(
        joined(joined(split.train, split.test.take(np.arange(4))), split.train.take(np.arange(3))), split.test
    )
    rng = np.random.default_rng(9)
    mixed = Split(split.train.take(rng.permutation(len(split.train))), split.test.take(rng.permutation(30)))
    assert run(name, mixed).metrics == pytest.approx(run(name, split).metrics)


@each
def test_findings_are_few_say_where_and_what_to_do(name, kind, clean, run, joined, change):  # noqa: PLR0917 - fixtures
    split = clean(kind, 120, 60)
    train = joined(joined(split.train, split.test), split.train.take(np.arange(30)))
    rng = np.random.default_rng(4)
    flipped = np.where(rng.random(len(train)) < 0.2, 1 - train.y, train.y)
    test = change(split.test, x=np.concatenate([split.test.x[:30], _far(split.test.x[30:])]))
    found = run(name, Split(change(train, y=flipped), test))
    assert 0 < len(found.findings) <= SHOWN
    for finding in found.findings:
        assert finding.what
        assert str(finding.where)
        assert len(finding.advice) > 10
        assert finding.value is None or np.isfinite(finding.value)
        json.dumps(finding.to_json(), allow_nan=False)


def _far(x):
    """Return numbers far from any that training has; codes of categories stay as they are."""
    moved = x * 50
    if x.ndim == 2:
        moved[:, 4] = x[:, 4]
    return moved


@each
def test_rows_are_named_by_their_place_in_the_file(name, kind, clean, run, joined, change):  # noqa: PLR0917 - fixtures
    split = clean(kind, 240, 30)
    train = joined(joined(split.train, split.test), split.train.take(np.arange(9)))
    named = Split(
        change(
            train, rows=train.rows + 777_000, y=np.where((np.arange(len(train)) % 12) == 8, 1 - train.y, train.y)
        ),
        change(split.test, rows=split.test.rows + 777_000, x=_far(split.test.x)),
    )
    if name == "leakage":
        named = dataclasses.replace(named, test=change(split.test, rows=split.test.rows + 777_000))
    wheres = [str(finding.where) for finding in run(name, named).findings if "row " in str(finding.where)]
    assert wheres
    assert all("row 777" in where or "row 787" in where for where in wheres)
