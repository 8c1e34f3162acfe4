"""Profile: numbers are those of the table, and planted oddities are named while honest columns stay quiet."""

from __future__ import annotations

import json
import os
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from hauberk.core.errors import InvalidInput
from hauberk.data.verification.opening import opened
from hauberk.data.verification.profiling import profile
from hauberk.data.verification.relations import association


def honest(rng, n=2000):
    y = rng.integers(0, 2, n)
    return pl.DataFrame(
        {
            "x": rng.normal(size=n) + y,
            "c": rng.choice(["u", "v", "w"], n),
            "n": rng.integers(0, 30, n),
            "y": y,
        }
    )


def profiled(path, **options):
    with opened(str(path)) as table:
        return profile(table, **options)


def test_honest_columns_are_quiet_and_figures_are_right(tmp_path):
    frame = honest(np.random.default_rng(0))
    frame.write_parquet(tmp_path / "x.parquet")
    found = profiled(tmp_path / "x.parquet", target="y")
    assert found.findings == ()
    columns = {one.summary.name: one for one in found.columns}
    x = columns["x"]
    assert x.summary.mean == pytest.approx(frame["x"].mean())
    assert sum(x.shape.counts) == 2000
    assert 0.05 < x.association < 0.5
    assert columns["c"].association < 0.01
    assert dict(columns["c"].shape.top) == dict(frame["c"].value_counts().iter_rows())
    assert columns["y"].association is None


def test_planted_oddities_are_named(tmp_path):
    rng = np.random.default_rng(1)
    frame = honest(rng)
    odd = frame.with_columns(
        leak=pl.col.y * 3.5 + 1,
        id=pl.Series(rng.permutation(2000)),
        key=pl.Series([f"k{n}" for n in range(2000)]),
        same=7,
        copy=pl.col.x * 2 + 1,
        c2=pl.col.c.replace({"u": "one", "v": "two", "w": "three"}),
        spelt=pl.when(pl.int_range(pl.len()) % 7 == 0).then(pl.lit(" U ")).otherwise("c"),
        marked=pl.lit("abc\u202e"),
        empty=pl.when(pl.int_range(pl.len()) % 9 == 0).then(pl.col.n),
        nan=pl.when(pl.int_range(pl.len()) == 5).then(float("nan")).otherwise("x"),
    )
    odd.write_parquet(tmp_path / "x.parquet")
    found = profiled(tmp_path / "x.parquet", target="y")
    text = {(str(finding.where), str(finding.severity)): finding.what for finding in found.findings}
    assert "explains 100% of the target" in text["column leak", "high"]
    assert ("column id", "medium") in text
    assert ("column key", "medium") in text
    assert "one value" in text["column same", "low"]
    assert "'x' and 'copy' hold the same" in text["column copy", "low"]
    assert ("column c2", "low") in text
    assert "' U ' and 'u'" in text["column spelt", "medium"] or "'u' and ' U '" in text["column spelt", "medium"]
    assert ("column marked", "high") in text
    assert "89% of 'empty' is missing" in text["column empty", "low"]
    assert "1 NaN and 0 infinities" in text["column nan", "medium"]
    quiet = {str(finding.where) for finding in found.findings}
    assert {"column x", "column n", "column y", "column c"} & quiet == set()


def test_association_is_unbiased_for_columns_that_say_nothing():
    rng = np.random.default_rng(2)
    y = pl.Series(rng.integers(0, 3, 3000))
    assert association(pl.Series(rng.normal(size=3000)), y) < 0.01
    assert association(pl.Series([str(n) for n in rng.integers(0, 300, 3000)]), y) < 0.05
    assert association(y.cast(pl.String), y) > 0.99
    assert association(pl.Series(rng.normal(size=3000)) ** 2 * 0 + (y - 1) ** 2, y) > 0.4
    assert association(y, pl.Series([1] * 3000)) is None


def test_names_of_rows_explain_nothing_and_few_rows_still_do():
    rng = np.random.default_rng(2)
    target = pl.Series(rng.integers(0, 2, 8000))
    assert association(pl.Series([f"C{row}" for row in range(8000)]), target) < 0.001
    assert association(pl.Series([f"C{row // 2}" for row in range(8000)]), target) < 0.001
    few = target[:60]
    assert association(few.cast(pl.Float64) + pl.Series(rng.random(60)) / 10, few) > 0.5


def test_zero_rows_nulls_nested_and_an_unknown_target(tmp_path):
    frame = pl.DataFrame({"a": [None, None], "l": [[1], [2]], "f": [float("nan"), float("inf")]})
    for one in (frame, frame.clear()):
        one.write_parquet(tmp_path / "x.parquet")
        assert profiled(tmp_path / "x.parquet", target="a").rows == one.height
    with pytest.raises(InvalidInput, match="has no column 'z'; it has a, l, f"):
        profiled(tmp_path / "x.parquet", target="z")


@pytest.mark.skipif("HAUBERK_DATA" not in os.environ, reason="HAUBERK_DATA is not set")
def test_on_real_data_no_honest_column_is_called_a_leak():
    folder = Path(os.environ["HAUBERK_DATA"])
    for name, target in (("adult", "income"), ("german-credit", "risk"), ("vehicle-claim-fraud", "FraudFound_P")):
        found = profiled(folder / f"{name}.parquet", target=target)
        assert not [finding for finding in found.findings if "explains" in finding.what]
        json.dumps(found.to_json(), default=str)
    found = profiled(folder / "vehicle-claim-fraud.parquet", target="BasePolicy")
    assert "'PolicyType' explains 100%" in found.findings[0].what
