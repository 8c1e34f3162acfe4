"""`hauberk data`: verdict, exit code, and one JSON document."""

from __future__ import annotations

import json

import numpy as np
import polars as pl
import pytest

from hauberk.cli.main import run
from hauberk.data.reading.inspection import inspect


@pytest.fixture
def table(tmp_path):
    rng = np.random.default_rng(0)
    y = np.arange(200) % 2
    frame = pl.DataFrame(
        {"a": rng.normal(size=200) + 3 * y, "b": rng.integers(0, 9, 200), "Outcome": y, "c": ["u", "v"] * 100}
    )
    frame.write_csv(tmp_path / "x.csv")
    return tmp_path / "x.csv"


def test_clean_data_pass_and_the_target_is_guessed_by_name(table, capsys):
    assert run(["data", "check", str(table), "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert document["ok"] is True
    assert document["data"]["target"] == "Outcome"
    assert [check["name"] for check in document["checks"]] == ["leakage", "poisoning", "schema"]
    assert "chosen by its name" in document["data"]["notes"][0]


def test_test_rows_from_training_fail_with_exit_code_one(table, tmp_path, capsys):
    pl.read_csv(table)[:50].write_csv(tmp_path / "t.csv")
    arguments = ["data", "check", str(table), "--test", str(tmp_path / "t.csv"), "--check", "leakage"]
    assert run([*arguments, "--json"]) == 1
    document = json.loads(capsys.readouterr().out)
    assert document["ok"] is False
    assert document["checks"][0]["metrics"]["leaked_rows"] == 50
    assert run(arguments) == 1
    assert "equals training row 0" in " ".join(capsys.readouterr().out.split())


def test_bad_input_is_exit_code_two_and_unknown_checks_list_the_known(table, tmp_path, capsys):
    (tmp_path / "empty.csv").touch()
    assert run(["data", "check", str(tmp_path / "empty.csv")]) == 2
    assert "is empty: 0 bytes" in capsys.readouterr().err
    assert run(["data", "check", str(table), "--check", "nothing"]) == 2
    assert "known: leakage, poisoning, schema" in capsys.readouterr().err


def test_the_screen_shows_every_check_and_names_with_brackets_as_they_are(tmp_path, capsys):
    frame = pl.DataFrame({"[red]a": [1.0] * 40, "b": list(range(40)), "y": ["p", "q"] * 20})
    frame.write_parquet(tmp_path / "x.parquet")
    assert run(["data", "check", str(tmp_path / "x.parquet"), "--target", "y"]) == 0
    shown = capsys.readouterr().out
    assert all(name in shown for name in ("schema", "poisoning", "leakage", "[red]a"))


def test_inspect_counts_ranges_and_missing_values_and_proposes(tmp_path, capsys):
    frame = pl.DataFrame(
        {"n": [1.0, None, float("nan"), 4.0], "patient": ["a", "a", "b", "c"], "label": ["x", "y", "x", "x"]}
    )
    frame.write_parquet(tmp_path / "x.parquet")
    guess = inspect([str(tmp_path / "x.parquet")])
    assert (guess.kind, guess.target, guess.drop, guess.rows) == ("table", "label", ("n",), 4)
    assert guess.classes == (("x", 3), ("y", 1))
    seen = guess.columns[0]
    assert (seen.low, seen.high, seen.missing) == (1.0, 4.0, 2)
    assert any("'patient' looks like a group" in note for note in guess.notes)
    assert run(["data", "inspect", str(tmp_path / "x.parquet"), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["target"] == "label"
    assert run(["data", "inspect", "sklearn:digits"]) == 0
    assert "1,797 rows of shape (8, 8)" in capsys.readouterr().out
