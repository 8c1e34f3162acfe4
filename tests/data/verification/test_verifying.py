"""Verifying: a plain loop over rows is the twin, and nothing that cannot be evaluated counts as a pass."""

from __future__ import annotations

import math
import re
from datetime import UTC, date, datetime, timedelta

import polars as pl
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from hauberk.core.errors import InvalidInput
from hauberk.data.verification.opening import opened
from hauberk.data.verification.schema import parse_schema
from hauberk.data.verification.verifying import Status, verify

NOW = datetime(2026, 1, 10, tzinfo=UTC)


def verified(path, text, **options):
    with opened(str(path)) as table:
        return verify(table, parse_schema("version = 1\n" + text), now=NOW, **options)


def broken(result):
    return {one.rule: one.violations for one in result.results if one.status is Status.VIOLATED}


def failed(result):
    return {one.rule for one in result.results if one.status is Status.ERROR}


RULES = """
[columns.i]
type = "integer"
min = -2
max = 2
unique = true
[columns.f]
type = "float"
min = 0
max = 1
[columns.g]
type = "float"
nullable = true
nan = true
infinity = true
max = 1
[columns.c]
type = "text"
allowed = ["x", "y"]
pattern = "^.$"
max_length = 2
marks = false
[[rules]]
name = "order"
expression = "i <= f"
[[rules]]
name = "lenient"
expression = "i <= g"
nulls = "pass"
when = "c = 'x'"
[[groups]]
name = "groups"
by = ["c"]
max_rows = 2
sum = {column = "i", min = -1}
"""

ROWS = st.lists(
    st.tuples(
        st.none() | st.integers(-4, 4),
        st.none() | st.sampled_from([0.0, 0.5, 1.0, 1.5, -0.1, math.nan, math.inf, -math.inf]),
        st.none() | st.sampled_from([0.0, 2.0, math.nan, math.inf]),
        st.none() | st.sampled_from(["x", "y", "zz", "zzz", "", "x\0", "x\u202e"]),
    ),
    min_size=1,
    max_size=12,
)


def twin(rows):
    """Count by the letter of the rules, one row at a time."""
    counts: dict[str, int] = {}

    def note(name, *, bad):
        counts[name] = counts.get(name, 0) + bool(bad)

    for i, f, g, c in rows:
        note("i: null", bad=i is None)
        note("i: range", bad=i is not None and not -2 <= i <= 2)
        note("i: unique", bad=i is not None and sum(row[0] == i for row in rows) > 1)
        note("f: null", bad=f is None)
        note("f: nan", bad=f is not None and math.isnan(f))
        note("f: infinity", bad=f is not None and math.isinf(f))
        note("f: range", bad=f is not None and math.isfinite(f) and not 0 <= f <= 1)
        note("g: range", bad=g is not None and math.isfinite(g) and g > 1)
        note("c: null", bad=c is None)
        note("c: allowed", bad=c is not None and c not in ("x", "y"))
        note("c: pattern", bad=c is not None and not re.search(r"^.\Z", c))
        note("c: length", bad=c is not None and len(c) > 2)
        note("c: marks", bad=c is not None and ("\0" in c or "\u202e" in c))
        # NaN is no answer, as null is none.
        note("order", bad=i is None or f is None or math.isnan(f) or not i <= f)
        note("lenient", bad=c == "x" and not (i is None or g is None or math.isnan(g) or i <= g))
        mine = [row[0] or 0 for row in rows if row[3] == c]
        note("groups", bad=len(mine) > 2 or sum(mine) < -1)
    return {name: count for name, count in counts.items() if count}


@given(rows=ROWS)
@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_counts_and_rows_are_those_of_a_plain_loop(rows, tmp_path):
    frame = pl.DataFrame(
        rows, schema={"i": pl.Int16, "f": pl.Float64, "g": pl.Float32, "c": pl.String}, orient="row"
    )
    frame.write_parquet(tmp_path / "x.parquet", row_group_size=3)
    result = verified(tmp_path / "x.parquet", RULES, samples=100)
    assert failed(result) == set()
    assert broken(result) == twin(rows)
    for one in result.results:
        if one.rule == "f: range":
            assert [sample.row for sample in one.samples] == [
                at
                for at, row in enumerate(rows)
                if row[1] is not None and math.isfinite(row[1]) and not 0 <= row[1] <= 1
            ]


def test_text_is_read_as_the_schema_says_and_what_cannot_be_is_shown(tmp_path):
    (tmp_path / "x.csv").write_text(
        "n,d,b,t\n1,2026-01-01,true,2026-01-01T10:00:00Z\nx,2026-13-01,yes,soon\n3,,FALSE,\n"
    )
    text = """
[columns.n]
type = "integer"
max = 2
[columns.d]
type = "date"
[columns.b]
type = "boolean"
[columns.t]
type = "datetime"
nullable = true
"""
    result = verified(tmp_path / "x.csv", text)
    assert broken(result) == {"n: type": 1, "n: range": 1, "d: type": 1, "d: null": 1, "b: type": 1, "t: type": 1}
    sample = next(one for one in result.results if one.rule == "n: type").samples[0]
    assert (sample.row, sample.values) == (1, {"n": "x"})


def test_what_cannot_be_evaluated_is_an_error_and_never_a_pass(tmp_path):
    pl.DataFrame({"a": [1, 2], "s": ["1", "x"]}).write_parquet(tmp_path / "x.parquet")
    text = (
        """
[table]
other_columns = "allow"
unique = [["a", "none"]]
[columns.a]
type = "integer"
pattern = "x"
""".replace('pattern = "x"\n', 'allowed = ["x"]\n')
        + """
[columns.s]
type = "text"
pattern = "("
[[rules]]
name = "absent"
expression = "b > 1"
[[rules]]
name = "number"
expression = "a + 1"
[[rules]]
name = "syntax"
expression = "a >"
[[rules]]
name = "at run time"
expression = "CAST(s AS INT) > 0"
[[groups]]
name = "sum of text"
by = ["a"]
sum = {column = "s", max = 3}
[freshness]
column = "s"
max_age = "1d"
"""
    )
    result = verified(tmp_path / "x.parquet", text)
    assert failed(result) == {
        "a, none: unique", "a: allowed", "s: pattern", "absent", "number", "syntax", "at run time", "sum of text", "freshness"
    }  # fmt: skip
    assert not result.ok
    assert any("was not evaluated" in finding.what for finding in result.findings())


def test_columns_that_are_missing_unknown_or_of_another_type(tmp_path):
    pl.DataFrame({"a": ["1"], "z": [1]}).write_parquet(tmp_path / "x.parquet")
    result = verified(tmp_path / "x.parquet", '[columns.a]\ntype = "integer"\nmax = 3\n[columns.b]\n')
    assert broken(result) == {"a: type": 1, "b: present": 1, "z: known": 1}
    assert failed(result) == {"a: max"}


def test_groups_that_fall_and_groups_that_are_small(tmp_path):
    frame = pl.DataFrame({"k": ["a", "a", "b", "b", "b", None], "t": [1, 2, 5, 4, 6, 0]})
    frame.write_parquet(tmp_path / "x.parquet")
    base = '[table]\nother_columns = "allow"\n[[groups]]\nname = "g"\nby = ["k"]\n'
    assert broken(verified(tmp_path / "x.parquet", base + 'monotone = {column = "t"}')) == {"g": 3}
    assert broken(verified(tmp_path / "x.parquet", base + 'monotone = {column = "t", order = "falling"}')) == {
        "g": 5
    }
    result = verified(tmp_path / "x.parquet", base + "min_rows = 2")
    assert [sample.row for sample in result.results[-1].samples] == [5]


def test_freshness_by_the_clock_that_is_passed_in(tmp_path):
    def age(values, rule='max_age = "36h"'):
        pl.DataFrame({"t": values}).write_parquet(tmp_path / "x.parquet")
        return verified(
            tmp_path / "x.parquet", f'[table]\nother_columns = "allow"\n[freshness]\ncolumn = "t"\n{rule}\n'
        )

    assert age([NOW - timedelta(hours=35)]).ok
    assert age([(NOW - timedelta(hours=35)).replace(tzinfo=None)]).ok
    assert broken(age([NOW - timedelta(hours=37)])) == {"freshness": 1}
    assert broken(age([NOW + timedelta(hours=1), NOW])) == {"freshness: future": 1}
    assert age([NOW + timedelta(hours=1)], 'max_age = "1d"\nahead = "2h"').ok
    assert age([date(2026, 1, 9)]).ok
    assert broken(age([date(2026, 1, 7)])) == {"freshness": 1}
    assert failed(age(pl.Series([None], dtype=pl.Datetime))) == {"freshness"}


def test_row_counts_and_zero_rows(tmp_path):
    pl.DataFrame({"a": pl.Series([], dtype=pl.Int64)}).write_parquet(tmp_path / "x.parquet")
    assert broken(verified(tmp_path / "x.parquet", '[columns.a]\ntype = "integer"\nmin = 1\n')) == {
        "table: rows": 1
    }
    assert verified(tmp_path / "x.parquet", "[table]\nmin_rows = 0\n[columns.a]\n").ok
    assert broken(verified(tmp_path / "x.parquet", "[table]\nmin_rows = 0\nmax_rows = 0\n[columns.a]\n")) == {}


def test_a_short_line_is_not_a_null(tmp_path):
    (tmp_path / "x.csv").write_text("a,b\n1,2\n3\n")
    with pytest.raises(InvalidInput, match="line 3 has 1 values"):
        verified(tmp_path / "x.csv", "[columns.a]\n[columns.b]\nnullable = true\n")
    (tmp_path / "x.csv").write_text("a,b\n1,2\n3,\n")
    assert verified(tmp_path / "x.csv", "[columns.a]\n[columns.b]\nnullable = true\n").ok
