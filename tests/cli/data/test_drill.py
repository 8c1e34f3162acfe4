from __future__ import annotations

import json

import numpy as np
import polars as pl
import pytest

from hauberk.cli.main import run


@pytest.fixture
def flooded(tmp_path):
    rng = np.random.default_rng(0)
    y = rng.integers(0, 2, 1500)
    x = rng.normal(size=(1500, 4)) + y[:, None]
    x[100:140], y[100:140] = x[100], 1
    path = tmp_path / "rows.csv"
    frame = pl.DataFrame({f"n{i}": x[:, i] for i in range(4)} | {"label": y})
    frame.write_csv(path)
    return path


def test_a_drill_says_what_would_be_caught_and_writes_nothing(flooded, capsys):
    before = flooded.read_bytes()
    arguments = ["--target", "label", "--attack", "flood", "--share", "0.06", "--detector", "floods"]
    assert run(["data", "drill", str(flooded), *arguments, "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert (found["type"], found["rows"]) == ("hauberk.drill", 1500)
    nothing, flood = found["results"]
    assert nothing["attack"] == "nothing"
    assert nothing["found"]  # these rows do hold a flood
    assert flood["caught"] > 0.95
    assert run(["data", "drill", str(flooded), *arguments]) == 0
    assert "flood" in capsys.readouterr().out
    assert flooded.read_bytes() == before
    assert [path.name for path in flooded.parent.iterdir()] == [flooded.name]


def test_an_unknown_poison_is_bad_input(flooded, capsys):
    assert run(["data", "drill", str(flooded), "--target", "label", "--attack", "patch", "--json"]) == 2
    assert "flood" in json.loads(capsys.readouterr().out)["error"]["message"]


def test_repair_writes_two_files_that_add_up(flooded, tmp_path, capsys):
    clean, aside = tmp_path / "clean.csv", tmp_path / "aside.csv"
    arguments = ["--target", "label", "--detector", "floods", "--out", str(clean), "--quarantine", str(aside)]
    assert run(["data", "repair", str(flooded), *arguments, "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["found"]
    assert found["clean"] + found["quarantined"] == found["rows"] == 1500
    assert pl.read_csv(aside)["hauberk_row"].to_list() == list(range(100, 140))
    assert pl.read_csv(clean).height == 1460
    assert run(["data", "repair", str(flooded), *arguments, "--json"]) == 2
    assert "exists" in json.loads(capsys.readouterr().out)["error"]["message"]
    clean.unlink()
    aside.unlink()
    assert run(["data", "repair", str(flooded), *arguments]) == 0
    assert "1,460 kept + 40 quarantined" in capsys.readouterr().out
