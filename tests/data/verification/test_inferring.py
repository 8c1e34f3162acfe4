"""Infer: the proposed file accepts the table it came from, and catches what is not like it."""

from __future__ import annotations

import os
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path

import polars as pl
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from hauberk.data.verification.inferring import infer
from hauberk.data.verification.opening import opened
from hauberk.data.verification.schema import parse_schema
from hauberk.data.verification.verifying import Status, verify

FRAME = pl.DataFrame(
    {
        "id": range(40),
        "f": [0.5, float("nan"), float("inf"), None] * 10,
        "c": ["x", "y"] * 20,
        'odd "name"\n\u202e': ["a\0b"] * 40,
        "d": [date(2026, 1, 1)] * 40,
        "t": [datetime(2026, 1, 1, 12, 0, 0, 123456)] * 40,  # noqa: DTZ001 - a naive column
        "z": [datetime(2026, 1, 1, tzinfo=UTC)] * 40,
        "b": [True, None] * 20,
        "m": [Decimal("1.10")] * 40,
        "s": [{"a": 1}] * 40,
        "len": range(40),
    },
    schema_overrides={"f": pl.Float32},
)


def wrong(path, text):
    with opened(str(path)) as table:
        result = verify(table, parse_schema(text))
        return {one.rule for one in result.results if one.status is not Status.PASS}


def inferred(path):
    with opened(str(path)) as table:
        return infer(table)


def test_the_file_accepts_its_own_table_and_says_what_was_seen(tmp_path):
    FRAME.write_parquet(tmp_path / "x.parquet")
    text = inferred(tmp_path / "x.parquet")
    assert wrong(tmp_path / "x.parquet", text) == set()
    schema = parse_schema(text)
    assert schema.columns["id"].unique
    assert schema.columns["len"].unique
    assert schema.columns["c"].allowed == ("x", "y")
    assert (schema.columns["f"].nan, schema.columns["f"].infinity, schema.columns["f"].nullable) == (
        True,
        True,
        True,
    )
    assert "\u202e" not in text


def test_what_is_not_like_it_is_caught(tmp_path):
    FRAME.write_parquet(tmp_path / "x.parquet")
    text = inferred(tmp_path / "x.parquet")
    other = FRAME.with_columns(id=pl.lit(999), c=pl.lit("z"), d=pl.lit(None, dtype=pl.Date))
    other.write_parquet(tmp_path / "y.parquet")
    assert wrong(tmp_path / "y.parquet", text) == {"id: range", "id: unique", "c: allowed", "d: null"}


def test_text_files_get_the_types_of_nearly_all_values(tmp_path):
    rows = [f"{n},{n / 2},2026-01-01,true,{n}" for n in range(1000)]
    rows[600] = "bad,0.5,2026-01-01,true,1.5"
    (tmp_path / "x.csv").write_text("i,f,d,b,late\n" + "\n".join(rows) + "\n")
    text = inferred(tmp_path / "x.csv")
    types = {name: column.type for name, column in parse_schema(text).columns.items()}
    assert types == {"i": "integer", "f": "float", "d": "date", "b": "boolean", "late": "float"}
    assert "1 values are not of type integer" in text
    assert wrong(tmp_path / "x.csv", text) == {"i: type"}


CELLS = st.text(st.characters(exclude_characters="\0", exclude_categories=("Cs",)), max_size=4)


@given(
    rows=st.lists(
        st.tuples(CELLS, st.none() | st.floats(), st.none() | st.integers(-(2**63), 2**63 - 1)), max_size=30
    )
)
@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_table_is_accepted_by_its_own_schema(rows, tmp_path):
    frame = pl.DataFrame(rows, schema={"t": pl.String, "f": pl.Float64, "i": pl.Int64}, orient="row")
    frame.write_parquet(tmp_path / "x.parquet")
    assert wrong(tmp_path / "x.parquet", inferred(tmp_path / "x.parquet")) == set()


@pytest.mark.skipif("HAUBERK_DATA" not in os.environ, reason="HAUBERK_DATA is not set")
@pytest.mark.parametrize("name", ["adult", "german-credit", "heart-disease", "vehicle-claim-fraud"])
def test_real_tables_are_accepted_by_their_own_schema(name):
    path = Path(os.environ["HAUBERK_DATA"]) / f"{name}.parquet"
    assert wrong(path, inferred(path)) == set()
