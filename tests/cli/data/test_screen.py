"""`hauberk data screen`: verdict, exit code, rows named as the file names them, and what is written."""

from __future__ import annotations

import csv
import json

import numpy as np
import polars as pl
import pytest

from hauberk.cli.main import run


def frame(rows: int = 400) -> pl.DataFrame:
    rng = np.random.default_rng(0)
    wage = rng.normal(size=rows)
    return pl.DataFrame(
        {
            "wage": wage,
            "age": rng.integers(20, 70, rows),
            "trade": rng.choice(["baker", "miller", "smith"], rows),
            "sender": rng.choice(["north", "south"], rows),
            "good": np.where(wage + 0.1 * rng.normal(size=rows) > 0, "yes", "no"),
        }
    )


@pytest.fixture
def flooded(tmp_path):
    clean = frame()
    copies = pl.concat([clean[7:8].with_columns(sender=pl.lit("south"))] * 40)
    pl.concat([clean, copies]).write_csv(tmp_path / "x.csv")
    return tmp_path / "x.csv"


def test_a_flood_is_found_named_by_row_and_laid_at_its_senders_door(flooded, tmp_path, capsys):
    arguments = ["data", "screen", str(flooded), "--target", "good", "--source", "sender"]
    assert run([*arguments, "--json", "--out", str(tmp_path / "s.csv")]) == 1
    document = json.loads(capsys.readouterr().out)
    assert document["type"] == "hauberk.screening"
    assert document["found"] is True
    rows = {entry["row"] for entry in document["suspects"] if entry["detector"] == "floods"}
    assert rows == {7, *range(400, 440)}
    assert document["sources"][0]["source"] == "south"
    assert document["sources"][0]["guilty"] is True
    with (tmp_path / "s.csv").open() as file:
        written = list(csv.DictReader(file))
    assert [int(row["row"]) for row in written] == [entry["row"] for entry in document["suspects"]]


def test_the_screen_shows_reasons_senders_and_a_verdict(flooded, capsys):
    assert run(["data", "screen", str(flooded), "--target", "good", "--source", "sender", "--most", "3"]) == 1
    shown = " ".join(capsys.readouterr().out.split())
    assert "occurs 41 times" in shown
    assert "Who sent the suspects" in shown
    assert "poison found" in shown
    assert "--out suspects.csv writes all of them" in shown


def test_honest_rows_pass_with_exit_code_zero(tmp_path, capsys):
    frame().write_parquet(tmp_path / "x.parquet")
    assert run(["data", "screen", str(tmp_path / "x.parquet"), "--target", "good", "--drop", "sender"]) == 0
    assert "no poison found" in capsys.readouterr().out


def test_text_from_the_data_can_neither_paint_the_terminal_nor_run_in_a_spreadsheet(tmp_path, capsys):
    evil = "=cmd()\x1b[2J[red]"
    clean = frame().with_columns(good=pl.when(pl.col("good") == "yes").then(pl.lit(evil)).otherwise(pl.col("good")))
    row = clean.with_row_index().filter(pl.col("good") == evil).drop("index")[:1]
    pl.concat([clean, *[row] * 40]).write_parquet(tmp_path / "x.parquet")
    out = tmp_path / "s.csv"
    arguments = ["data", "screen", str(tmp_path / "x.parquet"), "--target", "good", "--detector", "floods"]
    assert run([*arguments, "--out", str(out)]) == 1
    shown = capsys.readouterr().out
    assert "\x1b" not in shown
    assert "[red]" in " ".join(shown.split())
    assert "'=cmd()" in out.read_text()


def test_bad_requests_say_what_is_expected(flooded, tmp_path, capsys):
    base = ["data", "screen", str(flooded), "--target", "good"]
    assert run([*base, "--out", str(tmp_path / "s.txt")]) == 2
    assert ".csv or .json" in capsys.readouterr().err
    assert run([*base, "--detector", "nothing"]) == 2
    assert "floods" in capsys.readouterr().err
    assert run([*base, "--source", "nobody"]) == 2
    assert "'nobody'" in capsys.readouterr().err
