"""From Python: files and frames alike, a LazyFrame is really run, and without a schema what any table should hold."""

from __future__ import annotations

import polars as pl
import pytest

import hauberk.data
from hauberk.core.errors import InvalidInput
from hauberk.data.verification.api import infer, profile, verify
from hauberk.data.verification.schema import parse_schema
from hauberk.data.verification.verifying import Status

SCHEMA = parse_schema('version = 1\n[columns.a]\ntype = "integer"\nmin = 0\n[columns.t]\ntype = "text"\n')
GOOD = pl.DataFrame({"a": list(range(100)), "t": ["x", "y"] * 50})


def broken(result):
    return {one.rule: [sample.row for sample in one.samples] for one in result.rules.results if one.violations}


def test_the_package_offers_the_three_verbs():
    assert hauberk.data.verify is verify
    assert hauberk.data.infer is infer
    assert hauberk.data.profile is profile


def test_a_bad_row_of_a_lazy_frame_is_found_and_set_aside(tmp_path):
    lazy = GOOD.lazy().with_columns(pl.when(pl.col("a") == 70).then(-1).otherwise("a").alias("a"))
    assert verify(GOOD, SCHEMA).ok
    result = verify(lazy, SCHEMA, quarantine=tmp_path / "bad.parquet", clean=tmp_path / "good.csv")
    assert not result.ok
    assert broken(result) == {"a: range": [70]}
    assert pl.read_parquet(tmp_path / "bad.parquet").rows() == [(70, -1, "x")]
    assert pl.read_csv(tmp_path / "good.csv").equals(GOOD.filter(pl.col("a") != 70))
    assert (result.split.quarantined, result.split.clean) == (1, 99)


def test_a_lazy_frame_that_cannot_be_run_is_an_error():
    late = GOOD.lazy().with_columns(pl.col("t").str.to_integer().alias("a"))
    result = verify(late, SCHEMA)
    assert not result.ok
    assert {one.rule for one in result.rules.results if one.status is Status.ERROR} == {"a: null", "a: range"}
    with pytest.raises(InvalidInput, match="not evaluated"):
        verify(late, SCHEMA, clean="never.parquet")
    with pytest.raises(InvalidInput, match="cannot be evaluated"):
        verify(GOOD.lazy().select("missing"), SCHEMA)
    with pytest.raises(InvalidInput, match="not a supported table"):
        verify({"a": [1]}, SCHEMA)


def test_infer_and_profile_take_frames_and_files(tmp_path):
    GOOD.write_parquet(tmp_path / "t.parquet")
    (tmp_path / "s.toml").write_text(infer(GOOD))
    assert verify(tmp_path / "t.parquet", tmp_path / "s.toml").ok
    assert not verify(GOOD.with_columns(pl.col("a") + 1000), str(tmp_path / "s.toml")).ok
    assert profile(GOOD, target="t").rows == profile(tmp_path / "t.parquet").rows == 100


def test_drift_is_part_of_the_verdict_and_of_the_findings():
    many = pl.DataFrame({"a": [n % 97 for n in range(4000)], "t": ["x", "y"] * 2000})
    assert verify(many, SCHEMA, against=many.reverse()).ok
    moved = verify(many.with_columns(pl.col("a") + 60), SCHEMA, against=many)
    assert moved.rules.ok
    assert not moved.ok
    assert {str(one.where) for one in moved.findings()} == {"column a"}


def test_without_a_schema_sanity_says_what_no_table_should_hold(tmp_path):
    assert verify(GOOD.with_columns(a=pl.when(pl.col("a") > 3).then("a"))).ok
    bad = GOOD.with_columns(
        f=pl.when(pl.col("a") == 5).then(float("nan")).when(pl.col("a") == 6).then(float("inf")).otherwise(1.0),
        n=pl.lit(None, dtype=pl.Int64),
        t=pl.when(pl.col("a") == 9).then(pl.lit("pay\u202e\x00")).otherwise("t"),
    )
    assert broken(verify(bad)) == {"f: nan": [5], "f: infinity": [6], "t: marks": [9], "n: some value": []}
    bad.clear().write_parquet(tmp_path / "none.parquet")
    assert [one.rule for one in verify(tmp_path / "none.parquet").rules.results if one.violations] == [
        "table: rows"
    ]
    lines = ["a,b", *(f"{n},{n}" for n in range(400)), "oops,7"]
    (tmp_path / "mixed.csv").write_text("\n".join(lines) + "\n")
    assert broken(verify(tmp_path / "mixed.csv")) == {"a: type": [400]}
