"""`hauberk attack`: what it prints, what it logs, and how it ends."""

from __future__ import annotations

import json

import pytest

from hauberk.cli.main import run

DECLARED = """
[[threats]]
name = "measuring"
kind = "evasion"
cost = 12.0
columns = [
  { column = "mean texture", by = 4.0, cost = 1.0 },
  { column = "worst area", by = 150.0, cost = 0.05 },
]

[gate]
clean_accuracy = ">= 0.8"
"""


@pytest.fixture
def project(tmp_path, monkeypatch, cells_project):
    cells_project(tmp_path, DECLARED)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HAUBERK_STATE", str(tmp_path / "state.json"))
    monkeypatch.setenv("HAUBERK_PASSPHRASE", "correct horse")
    return tmp_path


def document(capsys, *arguments, code=0):
    assert run(["attack", *arguments, "--json"]) == code
    return json.loads(capsys.readouterr().out)


def test_in_a_projects_folder_the_model_is_all_there_is_to_say(project, capsys):
    found = document(capsys, "model:build", "--attack", "coordinate-search:restarts=1")
    metrics = found["metrics"]
    assert metrics["robust_accuracy_low"] < metrics["robust_accuracy"] < metrics["robust_accuracy_high"]
    assert metrics["robust_accuracy"] < metrics["clean_accuracy"]
    assert found["parameters"]["threat"]["label"] == "measuring"
    assert found["ledger_entry"] is None, "there is no ledger yet"
    assert len(found["series"]["accuracy_by_radius"]) == 7
    assert project.joinpath(".hauberk").exists() is False


def test_evidence_goes_to_the_ledger_of_a_project_that_is_named(project, capsys):
    quick = ["--attack", "coordinate-search:restarts=1,passes=1", "--rows", "40", "--no-curve"]
    found = document(capsys, "model:build", "--project", str(project), *quick)
    assert found["ledger_entry"] == 0
    assert run(["ledger", "show", "--json"]) == 0
    entries = json.loads(capsys.readouterr().out)
    assert "attack" in json.dumps(entries)
    again = document(capsys, "model:build", "--no-log", *quick)
    assert again["ledger_entry"] is None
    assert again["metrics"]["robust_accuracy"] == found["metrics"]["robust_accuracy"], (
        "the same seed, the same answer"
    )


def test_precision_stops_early_and_a_page_is_written(project, capsys):
    quick = ["--attack", "coordinate-search:restarts=1,passes=1", "--no-curve"]
    found = document(capsys, "model:build", "--precision", "0.2", "--report", "page.html", *quick)
    assert found["metrics"]["rows"] < 114
    half = (found["metrics"]["robust_accuracy_high"] - found["metrics"]["robust_accuracy_low"]) / 2
    assert half <= 0.2
    text = (project / "page.html").read_text()
    assert "Queries against success" in text
    assert "worst area" in text


@pytest.mark.usefixtures("project")
def test_a_person_reads_a_table_and_the_rows_with_their_changes(capsys):
    quick = ["--attack", "coordinate-search:restarts=1", "--rows", "60", "--no-curve"]
    assert run(["attack", "model:build", *quick]) == 0
    text = capsys.readouterr().out
    assert "still under attack (95% interval" in text
    assert run(["attack", "model:build", *quick, "--class", "malignant", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert 30 < found["metrics"]["rows"] < 60, "of 114 test rows these are malignant"
    assert "worst area:" in text


@pytest.mark.usefixtures("project")
def test_ctrl_c_gives_the_result_so_far(capsys, monkeypatch):
    from hauberk.lifecycle.attacking import measuring

    def interrupted(*_arguments):
        raise KeyboardInterrupt

    monkeypatch.setattr(measuring, "_curve", interrupted)
    found = document(capsys, "model:build", "--attack", "coordinate-search:restarts=1,passes=1", code=130)
    assert found["partial"] == "interrupted"
    assert found["metrics"]["rows"] > 0


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["nothing.onnx"], "cannot read"),
        (["model.pkl"], "opened nowhere"),
        (["model:build", "--threat", "linf:0.1"], "for others"),
        (["model:missing"], "there is no 'missing'"),
        (["model:build", "--class", "mild"], "benign, malignant"),
        (["model:build", "--attack", "pgd"], "black-box"),
        (["https://127.0.0.1/v2/models/m", "--header-env", "A=NOT_SET_ANYWHERE"], "header-env"),
    ],
)
@pytest.mark.usefixtures("project")
def test_what_cannot_be_attacked_is_told_with_exit_2(capsys, arguments, message):
    found = document(capsys, *arguments, code=2)
    assert message in found["error"]["message"]
