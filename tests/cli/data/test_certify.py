from __future__ import annotations

import json

import polars
import pytest
from sklearn.datasets import load_breast_cancer

from hauberk.cli.main import run


@pytest.fixture
def cancer(tmp_path):
    raw = load_breast_cancer()
    frame = polars.DataFrame(raw.data, schema=[str(name) for name in raw.feature_names])
    path = tmp_path / "cancer.parquet"
    frame.with_columns(polars.Series("target", raw.target)).write_parquet(path)
    return str(path)


def test_the_certified_curve_starts_at_the_accuracy_and_falls_to_zero(cancer, capsys):
    assert (
        run(["data", "certify", cancer, "--target", "target", "--partitions", "15", "--workers", "1", "--json"])
        == 0
    )
    found = json.loads(capsys.readouterr().out)
    heights = [point["y"] for point in found["curve"]]
    assert found["accuracy"] == heights[0] > 0.85
    assert heights == sorted(heights, reverse=True)
    assert heights[3] > 0.7
    assert heights[-1] == 0
    assert found["accuracy_of_one_model"] > 0.9
    assert len(heights) <= 15 // 2 + 2


def test_a_person_sees_the_price_and_the_bars(cancer, capsys):
    arguments = ["--target", "target", "--partitions", "5", "--spread", "2", "--learner", "trees", "--workers", "1"]
    assert run(["data", "certify", cancer, *arguments]) == 0
    shown = capsys.readouterr().out
    assert "10 models" in shown
    assert "one model on all rows" in shown
    assert "█" in shown


def test_an_unknown_learner_names_those_that_there_are(cancer, capsys):
    assert run(["data", "certify", cancer, "--target", "target", "--learner", "oracle", "--json"]) == 2
    assert "logistic" in json.loads(capsys.readouterr().out)["error"]["message"]
