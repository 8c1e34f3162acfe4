"""Samples: the first rows that break each rule, whichever way they are fetched."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest

from hauberk.data.verification import samples as fetching
from hauberk.data.verification.api import verify
from hauberk.data.verification.schema import parse_schema

SCHEMA = parse_schema(
    'version = 1\n[columns.often]\ntype = "integer"\nmax = 0\n[columns.seldom]\ntype = "float"\nmax = 0.5\n'
    '[columns.late]\ntype = "text"\nallowed = ["a"]\n[[rules]]\nname = "whole"\nexpression = "seldom <= AVG(seldom) + 0.9"\n'
)


def table(rows):
    rng = np.random.default_rng(0)
    seldom = np.zeros(rows)
    seldom[rng.choice(rows, 7, replace=False)] = 1.0
    late = np.full(rows, "a")
    late[-3:] = ["b", "c", "d"]
    return pl.DataFrame({"often": rng.integers(0, 3, rows), "seldom": seldom, "late": late})


def plain(frame, samples):
    """Return the same by a plain loop over rows."""
    bounds = {"often: range": frame["often"] > 0, "seldom: range": frame["seldom"] > 0.5}
    bounds |= {"late: allowed": frame["late"] != "a", "whole": frame["seldom"] > frame["seldom"].mean() + 0.9}
    found = {}
    for rule, bad in bounds.items():
        column = rule.partition(":")[0] if ":" in rule else "seldom"
        rows = [row for row in range(frame.height) if bad[row]][:samples]
        found[rule] = [(row, {column: frame[column][row]}) for row in rows]
    return found


@pytest.mark.parametrize("near", [0, 5, 1 << 16])
@pytest.mark.parametrize("footers", [0, 30, 100_000])
@pytest.mark.parametrize("end", ["parquet", "parts", "jsonl"])
def test_samples_are_those_of_a_plain_loop(tmp_path, monkeypatch, end, near, footers):
    monkeypatch.setattr(fetching, "_NEAR", near)
    monkeypatch.setattr(fetching, "_FOOTERS", footers)
    frame = table(5000)
    if end == "jsonl":
        frame.write_ndjson(tmp_path / "x.jsonl")
    elif end == "parquet":
        frame.write_parquet(tmp_path / "x.parquet", row_group_size=300)
    else:
        frame[:1700].write_parquet(tmp_path / "a.parquet", row_group_size=300)
        frame[1700:].write_parquet(tmp_path / "b.parquet", row_group_size=400)
    done = verify(tmp_path, SCHEMA, samples=6).rules
    found = {
        one.rule: [(sample.row, sample.values) for sample in one.samples] for one in done.results if one.violations
    }
    assert found == plain(frame, 6)
    assert not any(one.samples for one in verify(tmp_path, SCHEMA, samples=0).rules.results)


def test_runs_hold_every_row_once():
    assert fetching._runs([]) == []
    assert fetching._runs([3, 4, 10, 1_000_000]) == [(3, 8), (1_000_000, 1)]
