"""Rules at their edges: what types, time zones, NaN and SQL do to a comparison must not let a wrong row pass."""

from __future__ import annotations

from datetime import UTC, datetime

import polars as pl
import pytest

from hauberk.data.verification.api import verify
from hauberk.data.verification.schema import parse_schema
from hauberk.data.verification.verifying import Status


def outcome(values, rules, dtype=None):
    """Return {rule: rows} of what is violated, and {rule} of what was not evaluated, for one column `a`."""
    frame = values if isinstance(values, pl.DataFrame) else pl.DataFrame({"a": pl.Series(values, dtype=dtype)})
    done = verify(frame, parse_schema("version = 1\n" + rules), now=datetime(2026, 1, 1, tzinfo=UTC)).rules
    assert all(one.violations == len(one.samples) for one in done.results if one.samples)
    wrong = {
        one.rule: [sample.row for sample in one.samples] for one in done.results if one.status is Status.VIOLATED
    }
    return wrong, {one.rule for one in done.results if one.status is Status.ERROR}


def column(text):
    return "[columns.a]\n" + text


def expression(text, more=""):
    return f'[table]\nother_columns = "allow"\n[[rules]]\nname = "r"\nexpression = "{text}"\n{more}'


@pytest.mark.parametrize("bound", ["9007199254740992", "9007199254740992.0", "9007199254740992.5"])
def test_integers_beyond_the_exact_floats_are_not_rounded_into_range(bound):
    rules = column(f'type = "integer"\nmax = {bound}')
    assert outcome([2**53 + 1, 2**53], rules) == ({"a: range": [0]}, set())


def test_bounds_outside_of_a_type_are_no_error():
    assert outcome([0, 255], column('type = "integer"\nmin = -1\nmax = 300'), pl.UInt8) == ({}, set())
    assert outcome([0, 44], column('type = "integer"\nallowed = [0, 300]'), pl.UInt8) == (
        {"a: allowed": [1]},
        set(),
    )


def test_values_allowed_for_narrow_floats_are_rounded_as_they_are():
    rules = column('type = "float"\nallowed = [0.1, 0.2]')
    assert outcome([0.1, 0.2, 0.3], rules, pl.Float32) == ({"a: allowed": [2]}, set())


def test_times_in_any_zone_are_compared_with_times_in_any_other():
    berlin = pl.DataFrame({"a": [datetime(2025, 12, 31, 23), datetime(2026, 1, 1, 0, 30)]}).select(  # noqa: DTZ001
        pl.col("a").dt.replace_time_zone("Europe/Berlin")
    )
    rules = column('type = "datetime"\nmin = 2025-12-31T23:00:00Z\n[freshness]\ncolumn = "a"\nmax_age = "1h"')
    assert outcome(berlin, rules) == ({"a: range": [0]}, set())


def test_nan_is_no_answer_to_a_comparison():
    values = [1.0, float("nan"), None, -1.0]
    assert outcome(values, expression("a > 0")) == ({"r": [1, 2, 3]}, set())
    assert outcome(values, expression("a > 0", 'nulls = "pass"')) == ({"r": [3]}, set())


@pytest.mark.parametrize("text", ["SUM(a) > 100", "1 > 2", "COUNT(*) > 100"])
def test_one_answer_for_the_table_is_counted_for_each_row(text):
    assert outcome([1, 2, 3], expression(text)) == ({"r": [0, 1, 2]}, set())


@pytest.mark.parametrize(
    "text",
    ["COLUMNS('a|b') > 0", "* > 0", "a + 1", "zz > 0", "read_csv('x') > 0", "a in (select b from x)", "a >"],
)
def test_expressions_that_are_no_rule_are_errors(text):
    frame = pl.DataFrame({"a": [1], "b": [2]})
    assert outcome(frame, expression(text)) == ({}, {"r"})


def test_when_with_several_answers_is_an_error_too():
    frame = pl.DataFrame({"a": [1], "b": [2]})
    assert outcome(frame, expression("a > 0", "when = \"COLUMNS('a|b') > 0\"")) == ({}, {"r"})
