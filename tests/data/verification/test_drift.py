"""Drift: quiet on halves of one table, loud on what moved, and right about known formulas."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest
from scipy import stats

from hauberk.data.verification.drift import benjamini_hochberg, drift, ks, psi
from hauberk.data.verification.opening import opened
from hauberk.data.verification.schema import parse_schema


def table(rng, n=4000):
    return pl.DataFrame(
        {
            "x": rng.normal(size=n),
            "i": rng.integers(0, 5, n),
            "c": rng.choice(["a", "b", "c"], n, p=[0.6, 0.3, 0.1]),
            "b": rng.random(n) < 0.3,
            "d": pl.Series(rng.integers(0, 400, n).astype(np.int32)).cast(pl.Date),
            "id": [f"r{at}" for at in rng.permutation(10 * n)[:n]],
        }
    )


def moved(tmp_path, now, before, *, end=".parquet", text=""):
    for frame, name in ((now, "now"), (before, "before")):
        (frame.write_parquet if end == ".parquet" else frame.write_csv)(tmp_path / f"{name}{end}")
    with opened(str(tmp_path / f"now{end}")) as one, opened(str(tmp_path / f"before{end}")) as other:
        found = drift(one, other, parse_schema("version = 1\n" + text))
    return {(measure.column, measure.name) for measure in found.measures if measure.drifted}, found


@pytest.mark.parametrize("end", [".parquet", ".csv"])
def test_quiet_on_the_same_distribution_and_loud_on_what_moved(tmp_path, end):
    rng = np.random.default_rng(0)
    before, now = table(rng), table(rng)
    quiet, found = moved(tmp_path, now, before, end=end)
    assert quiet == set()
    assert [column for column, _ in found.skipped] == ["id"]
    odd = now.with_columns(
        x=pl.col.x + 0.5,
        c=pl.when(pl.col.c == "a").then(pl.lit("d")).otherwise("c"),
        b=pl.when(pl.int_range(pl.len()) % 10 == 0).then(None).otherwise("b"),
    )
    loud, _ = moved(tmp_path, odd, before, end=end)
    assert loud == {
        ("x", "ks"), ("x", "psi"), ("x", "wasserstein"), ("c", "cramers v"), ("c", "psi"), ("c", "new categories"),
        ("b", "missing"),
    }  # fmt: skip


def test_no_false_alarm_over_many_small_tables(tmp_path):
    alarms = 0
    for seed in range(30):
        rng = np.random.default_rng(seed)
        alarms += bool(moved(tmp_path, table(rng, 120), table(rng, 120))[0])
    assert alarms <= 1


def test_columns_that_come_go_or_change_type_and_limits_of_the_schema(tmp_path):
    rng = np.random.default_rng(0)
    before = table(rng)
    now = before.drop("x").with_columns(new=1, i=pl.col.i.cast(pl.String), d=pl.col.d + pl.duration(days=100))
    loud, _ = moved(tmp_path, now, before)
    assert {("x", "present"), ("new", "present"), ("i", "type"), ("d", "ks")} <= loud
    text = '[drift]\nignore = ["x", "new", "i"]\nks = 0.9\npsi = 90\nwasserstein = 9\n'
    assert moved(tmp_path, now, before, text=text)[0] == set()


def test_nan_is_not_null_and_constants_do_not_divide_by_zero(tmp_path):
    before = pl.DataFrame({"f": [1.0] * 500, "g": [2.0] * 500})
    now = pl.DataFrame({"f": [float("nan")] * 100 + [1.0] * 400, "g": [2.0] * 500})
    loud, found = moved(tmp_path, now, before)
    assert loud == {("f", "nan")}
    assert all(np.isfinite(measure.effect) for measure in found.measures)


def test_formulas_agree_with_their_references():
    rng = np.random.default_rng(0)
    x, r = np.sort(rng.normal(size=300).round(1)), np.sort(rng.normal(0.2, size=200).round(1))
    assert ks(x, r) == pytest.approx(stats.ks_2samp(x, r).statistic)
    p = rng.random(50) ** 3
    assert benjamini_hochberg(p) == pytest.approx(stats.false_discovery_control(p))
    assert benjamini_hochberg(np.array([])).size == 0
    assert psi(np.array([5000, 5000]), np.array([5000, 5000])) == 0
    assert psi(np.array([40000, 60000]), np.array([50000, 50000])) == pytest.approx(
        -0.1 * np.log(0.8) + 0.1 * np.log(1.2), rel=1e-3
    )
