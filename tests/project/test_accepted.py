"""The project file: what it accepts, and what becomes of it."""

from __future__ import annotations

import dataclasses

import pytest

from hauberk.core.errors import InvalidInput
from hauberk.core.threats import ColumnBudget, Direction, Evasion, Extraction, Inference, Norm, Poisoning
from hauberk.project import Training

from .texts import IMAGES, TABLE, complaints, line_of, read


def test_an_image_project_is_read_with_its_defaults(folder):
    project = read(folder, IMAGES)
    assert (project.name, project.seed, project.folder) == ("digits", 0, folder)
    assert project.evasions == (Evasion(norm=Norm.LINF, eps=4 / 255),)
    assert project.model.way == "build"
    assert project.training == Training()
    assert [str(rule) for rule in project.gate] == ["robust_accuracy >= 0.6"]
    assert (project.keys.uri, project.keys.signing) == (f"keyring:{folder}/.hauberk/keyring", "ed25519")
    assert project.data.files == ("sklearn:digits",)


def test_a_table_project_keeps_budgets_in_the_columns_own_units(folder):
    project = read(folder, TABLE)
    (declared,) = project.threats
    assert declared.label == "applicant"
    assert declared.line == line_of(TABLE, "[[threats]]")
    assert declared.threat == Evasion(
        columns=(ColumnBudget("amount", 500.0, Direction.DOWN, 0.002), ColumnBudget("purpose", cost=1.0)), cost=3.0
    )
    assert project.data.files == (str(folder / "loans.csv"),)
    assert (project.data.target, project.data.group, tuple(project.data.drop)) == ("risk", "client", ("id",))


def test_columns_may_be_written_inline(folder):
    block = TABLE[TABLE.index("  [[threats.columns]]") : TABLE.index("[gate]")]
    inline = TABLE.replace(block, "").replace(
        "cost = 3\n",
        'cost = 3\ncolumns = [\n  {column = "amount", by = 1, cost = 1},\n  {column = "x", bye = 1},\n]\n',
    )
    assert complaints(folder, inline) == [
        (
            line_of(inline, "bye"),
            "[[threats.columns]] has no key 'bye'; did you mean 'by'? Known: by, choices, column, cost, direction, high, low.",
        )
    ]


def test_every_kind_of_threat_and_every_section_is_read(folder):
    text = IMAGES + (
        '[[threats]]\nkind = "poisoning"\nshare = 0.05\n[[threats]]\nkind = "extraction"\nqueries = 1000\n'
        '[[threats]]\nkind = "inference"\nadvantage = 0.1\n[[threats]]\nkind = "evasion"\nnorm = "l2"\neps = 0.5\n'
        '[training]\nmethod = "pgd"\nepochs = 3\nbatch = 64\nlearning_rate = 0.01\nweight_decay = 0\n'
        'optimizer = "adamw"\naugment = "shift"\nprecision = "bf16"\naverage = 0.995\ndevice = "cpu"\n'
        "awp = 0.005\npatience = 9\n[training.hardening]\nsteps = 7\n"
        '[evaluation]\nrows = 200\nattacks = [{name = "pgd", steps = 40, restarts = 1}, {name = "square"}]\n'
        'certify = "smoothing"\n'
        "[checks.leakage]\ntolerance = 0.01\n[release]\nseal = false\n"
        '[keys]\nuri = "keyring:elsewhere"\nsigning = "ecdsa-p256"\n'
    )
    project = read(folder, text)
    assert [declared.threat for declared in project.threats][1:4] == [
        Poisoning(0.05),
        Extraction(1000),
        Inference(0.1),
    ]
    assert [declared.label for declared in project.threats] == [
        "evasion", "poisoning", "extraction", "inference", "evasion-2",
    ]  # fmt: skip
    assert project.training == Training(
        method="pgd",
        epochs=3,
        batch=64,
        learning_rate=0.01,
        weight_decay=0.0,
        optimizer="adamw",
        augment="shift",
        precision="bf16",
        average=0.995,
        device="cpu",
        awp=0.005,
        patience=9,
        hardening={"steps": 7},
    )
    assert project.evaluation.certify == "smoothing"
    assert project.evaluation.rows == 200
    assert project.evaluation.attacks == (("pgd", {"steps": 40, "restarts": 1}), ("square", {}))
    assert project.checks == {"leakage": {"tolerance": 0.01}}
    assert project.release.seal is False
    assert project.keys.signing == "ecdsa-p256"


def test_gate_rules_with_a_role_need_no_quotes(folder):
    project = read(folder, IMAGES + 'plain.clean_accuracy = ">= 0.9"\n"data.near_duplicates" = "== 0"\n')
    assert [str(rule) for rule in project.gate][1:] == ["plain.clean_accuracy >= 0.9", "data.near_duplicates == 0"]


@pytest.mark.parametrize(
    ("model", "way"),
    [
        ('build = "model:build"\nweights = "model.safetensors"', "weights"),
        ('onnx = "model.onnx"', "onnx"),
        ('train = "model:train"', "train"),
        ('train = "model:train"\nbuild = "model:build"', "train"),
    ],
)
def test_a_model_comes_in_one_of_three_ways(folder, model, way):
    (folder / "model.safetensors").write_bytes(b"x")
    (folder / "model.onnx").write_bytes(b"x")
    assert read(folder, IMAGES.replace('build = "model:build"', model)).model.way == way


def test_files_may_stand_in_a_folder_that_the_environment_names(folder, monkeypatch):
    text = TABLE.replace("loans.csv", "$SOME_DATA/loans.csv")
    monkeypatch.delenv("SOME_DATA", raising=False)
    ((line, message),) = complaints(folder, text)
    assert line == line_of(text, "SOME_DATA")
    assert "SOME_DATA, which is not set" in message
    monkeypatch.setenv("SOME_DATA", str(folder))
    assert read(folder, text).data.files == (str(folder / "loans.csv"),)


def test_the_source_digest_follows_every_byte(folder):
    assert read(folder, IMAGES).source != read(folder, IMAGES + "# a comment\n").source


def test_a_project_is_a_value(folder):
    project = read(folder, IMAGES)
    with pytest.raises(dataclasses.FrozenInstanceError):
        project.name = "other"


def test_what_is_done_about_poison_is_declared_and_quarantine_is_the_default(folder):
    assert read(folder, IMAGES).poison == "quarantine"
    stop = IMAGES.replace('kind = "image"', 'kind = "image"\npoison = "stop"', 1)
    assert read(folder, stop).poison == "stop"
    with pytest.raises(InvalidInput, match='"ignore" is not known'):
        read(folder, stop.replace('"stop"', '"ignore"'))
