"""Every check on real data: finite, repeatable, silent on clean sets, and strict about parameters."""

from __future__ import annotations

import functools
import math

import numpy as np
import pytest

from hauberk.core.errors import InvalidInput
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
