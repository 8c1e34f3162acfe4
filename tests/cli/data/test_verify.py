"""`hauberk data infer` and `verify`: verdict, exit code, and one JSON document."""

from __future__ import annotations

import json

import polars as pl
import pytest

from hauberk.cli.main import run

FRAME = pl.DataFrame({"a": range(100), "f": [1.0, float("nan")] * 50, "c": ["x", "y"] * 50})


@pytest.fixture
def place(tmp_path):
    FRAME.write_parquet(tmp_path / "x.parquet")
    return tmp_path / "x.parquet"


def test_infer_then_verify_then_catch(place, tmp_path, capsys):
    schema = str(tmp_path / "s.toml")
    assert run(["data", "infer", str(place), "-o", schema]) == 0
    assert run(["data", "infer", str(place), "-o", schema]) == 2
    assert "--force" in capsys.readouterr().err
    assert run(["data", "verify", str(place), "--schema", schema]) == 0
    assert "fine" in capsys.readouterr().out
    other = tmp_path / "y.parquet"
    FRAME.with_columns(c=pl.when(pl.col.a == 7).then(pl.lit("[red]\u202e")).otherwise("c")).write_parquet(other)
    halves = ["--quarantine", str(tmp_path / "q.parquet"), "--clean", str(tmp_path / "c.parquet")]
    assert run(["data", "verify", str(other), "--schema", schema, *halves, "--json"]) == 1
    document = json.loads(capsys.readouterr().out)
    assert document["ok"] is False
    assert document["split"] == {"quarantined": 1, "clean": 99}
    wrong = {rule["rule"]: rule for rule in document["rules"] if rule["status"] != "pass"}
    assert set(wrong) == {"c: allowed", "c: marks"}
    assert wrong["c: allowed"]["samples"] == [{"row": 7, "values": {"c": "[red]\u202e"}}]
    assert run(["data", "verify", str(other), "--schema", schema]) == 1
    shown = capsys.readouterr().out
    assert "c: allowed" in shown
    assert "[red]\\u202e" in shown
    assert "\u202e" not in shown
    assert run(["data", "verify", str(other), "--schema", schema, "--samples", "0"]) == 1
    assert "1.00%" in capsys.readouterr().out
    assert run(["data", "verify", str(tmp_path / "c.parquet"), "--schema", schema]) == 0


def test_drift_alone_and_a_schema_that_cannot_be_used(place, tmp_path, capsys):
    assert run(["data", "verify", str(place), "--against", str(place), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["drift"]["ok"] is True
    FRAME.with_columns(pl.col.a + 100).write_parquet(tmp_path / "y.parquet")
    assert run(["data", "verify", str(tmp_path / "y.parquet"), "--against", str(place)]) == 1
    assert "wasserstein" in capsys.readouterr().out
    assert run(["data", "verify", str(place), "--against", str(place), "--clean", str(tmp_path / "c.parquet")]) == 2
    assert "drift does not concern single rows" in " ".join(capsys.readouterr().err.split())
    assert run(["data", "verify", str(place)]) == 1
    shown = capsys.readouterr().out
    assert "No schema is given" in shown
    assert "f: nan" in shown
    (tmp_path / "s.toml").write_text("version = 1\n[columns.a]\nnulable = true\n")
    assert run(["data", "verify", str(place), "--schema", str(tmp_path / "s.toml")]) == 2
    assert "line 3: columns.a.nulable: is not a known key" in " ".join(capsys.readouterr().err.split())


def test_infer_prints_a_schema_or_a_document(place, capsys):
    assert run(["data", "infer", str(place)]) == 0
    text = capsys.readouterr().out
    assert text.startswith("# What")
    assert run(["data", "infer", str(place), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["schema"] == text


def test_freshness_by_a_given_clock(tmp_path, capsys):
    (tmp_path / "x.csv").write_text("t\n2026-01-01\n")
    (tmp_path / "s.toml").write_text(
        'version = 1\n[columns.t]\ntype = "date"\n[freshness]\ncolumn = "t"\nmax_age = "2d"\n'
    )
    arguments = ["data", "verify", str(tmp_path / "x.csv"), "--schema", str(tmp_path / "s.toml"), "--now"]
    assert run([*arguments, "2026-01-03"]) == 0
    assert run([*arguments, "2026-01-09"]) == 1
    assert "the newest row is 7.0 days old" in " ".join(capsys.readouterr().out.split())
