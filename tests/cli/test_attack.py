"""`hauberk attack`: what it prints, what it logs, and how it ends."""

from __future__ import annotations

import base64
import importlib.util
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from sklearn.datasets import load_digits

import hauberk
from hauberk.cli.main import run
from hauberk.custody.artifacts import Artifacts
from hauberk.custody.ledger import Ledger
from hauberk.records.reader import read_publics

_spec = importlib.util.spec_from_file_location(
    "oip_server_for_cli", Path(__file__).parents[1] / "lifecycle" / "attacking" / "oip_server.py"
)
oip = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(oip)

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
    from hauberk.lifecycle.controls import attack

    def interrupted(*_arguments):
        raise KeyboardInterrupt

    monkeypatch.setattr(attack, "_curve", interrupted)
    found = document(capsys, "model:build", "--attack", "coordinate-search:restarts=1,passes=1", code=130)
    assert found["partial"] == "interrupted"
    assert found["metrics"]["rows"] > 0


# --- the result is never lost because something after it failed

LOGGED = ["--attack", "coordinate-search:restarts=1,passes=1", "--rows", "40", "--no-curve", "--project", "."]


def wrong_passphrase(_project, patch):
    patch.setenv("HAUBERK_PASSPHRASE", "another horse")


def changed_ledger(project, _patch):
    note = project / ".hauberk" / "ledger" / "checkpoint"
    note.write_text(note.read_text().replace("\n1\n", "\n2\n"))


def full_store(project, _patch):
    """A file where the store's folder should be."""
    shutil.rmtree(project / ".hauberk" / "store")
    (project / ".hauberk" / "store").write_text("")


def interrupted(_project, patch):
    from hauberk.lifecycle.attacking import command

    def stop(*_arguments):
        raise KeyboardInterrupt

    patch.setattr(command, "attest", stop)


def fault(_project, patch):
    from hauberk.lifecycle.attacking import command

    def fail(*_arguments):
        raise RuntimeError("correct horse")

    patch.setattr(command, "attest", fail)


@pytest.mark.parametrize(
    ("damage", "code", "reason"),
    [
        (wrong_passphrase, 2, "passphrase"),
        (changed_ledger, 1, "not a checkpoint of this key"),
        (full_store, 4, "store"),
        (interrupted, 130, "interrupted while the evidence was being logged"),
        (fault, 70, "RuntimeError while writing"),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)
def test_a_result_that_cannot_be_logged_is_shown_with_the_reason(  # noqa: PLR0917 - fixtures and cases
    project, capsys, monkeypatch, damage, code, reason
):
    first = document(capsys, "model:build", *LOGGED)
    assert (first["ok"], first["not_logged"], first["ledger_entry"]) == (True, "", 0)
    damage(project, monkeypatch)
    assert run(["attack", "model:build", *LOGGED, "--report", "page.html", "--json"]) == code
    said = capsys.readouterr()
    found = json.loads(said.out)
    assert (found["ok"], found["ledger_entry"]) == (False, None)
    assert reason in found["not_logged"]
    assert reason in said.err
    assert "correct horse" not in said.out + said.err
    assert found["metrics"] | {"seconds": 0} == first["metrics"] | {"seconds": 0}
    assert "still under attack" in (project / "page.html").read_text()
    assert run(["attack", "model:build", *LOGGED]) == code
    assert "still under attack" in capsys.readouterr().out, "a person sees the result too"


@pytest.mark.usefixtures("project")
def test_a_page_that_cannot_be_written_costs_nothing_else(capsys):
    found = document(capsys, "model:build", *LOGGED, "--report", "hauberk.toml/page.html", code=4)
    assert (found["ok"], found["report"], found["ledger_entry"]) == (False, None, 0)
    assert "page.html" in found["not_written"]
    assert found["metrics"]["rows"] == 40


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["nothing.onnx"], "cannot read"),
        (["model.pkl"], "opened nowhere"),
        (["model:build", "--threat", "linf:0.1"], "columns an attacker can change"),
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


# --- models and data that are not as they should be

ODD = """
import numpy as np
import torch
from pathlib import Path
from sklearn.base import BaseEstimator, ClassifierMixin
from torch import nn
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

class Odd(ClassifierMixin, BaseEstimator):
    def fit(self, x, y):
        self.inner_ = make_pipeline(StandardScaler(), LogisticRegression(max_iter=200)).fit(x, y)
        self.classes_ = self.inner_.classes_
        return self

    def predict(self, x):
        return self.inner_.predict(x)

class Nan(Odd):
    def predict_proba(self, x):
        said = self.inner_.predict_proba(x)
        said[::7] = np.nan
        return said

class Dice(Odd):
    def predict_proba(self, x):
        said = self.inner_.predict_proba(x) + np.random.rand(len(x), 2) / 2
        return said / said.sum(axis=1, keepdims=True)

class Narrow(Odd):
    def predict_proba(self, x):
        return self.inner_.predict_proba(x)[:, :1]

class Broken(Odd):
    def predict_proba(self, x):
        raise RuntimeError("the GPU is gone")

class Slow(Odd):
    "Quick until it was asked often, then so slow that somebody loses patience."
    asked = 0

    def predict_proba(self, x):
        import time
        Slow.asked += 1
        if Slow.asked > 60:
            Path("slow").touch()
            time.sleep(0.5)
        return self.inner_.predict_proba(x)

def dropout(spec):
    return nn.Sequential(nn.Flatten(), nn.Linear(64, 32), nn.BatchNorm1d(32), nn.ReLU(), nn.Dropout(0.5), nn.Linear(32, 10))

class Detached(nn.Module):
    def __init__(self):
        super().__init__()
        self.last = nn.Linear(64, 10)

    def forward(self, x):
        return self.last(x.flatten(1).detach())

def detached(spec):
    return Detached()

def two(spec):
    return nn.Sequential(nn.Flatten(), nn.Linear(64, 2))
"""
QUICK = ["--attack", "coordinate-search:restarts=1,passes=1", "--rows", "40", "--no-curve"]
DIGITS = ["--data", "sklearn:digits", "--kind", "image", "--rows", "40", "--no-curve", "--no-log"]


@pytest.fixture
def odd(project):
    (project / "odd.py").write_text(ODD)
    return project


def weights(project, name):
    """Write the weights of an untrained module of odd.py; return how the command is told of them."""
    import torch
    from safetensors.torch import save_file

    spec = importlib.util.spec_from_file_location("odd_here", project / "odd.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    torch.manual_seed(0)
    save_file(getattr(module, name)(None).state_dict(), project / f"{name}.safetensors")
    return [f"{name}.safetensors", "--build", f"odd:{name}"]


@pytest.mark.parametrize(
    ("model", "message"),
    [
        ("Narrow", "expected (456, 2): one score for each class"),
        ("Broken", "the GPU is gone"),
        ("Nan", "returned NaN for 66 of 456 rows"),
    ],
)
@pytest.mark.usefixtures("odd")
def test_an_estimator_that_answers_wrongly_is_told_with_exit_2(capsys, model, message):
    assert message in document(capsys, f"odd:{model}", *QUICK, code=2)["error"]["message"]


@pytest.mark.usefixtures("odd")
def test_a_model_that_answers_at_random_is_told_in_the_notes(capsys):
    found = document(capsys, "odd:Dice", *QUICK)
    assert any("other scores for the same input" in note for note in found["notes"])
    assert not any("asked again" in note for note in document(capsys, "model:build", *QUICK)["notes"])


def test_dropout_and_batch_norm_are_asked_as_they_serve(odd, capsys):
    arguments = [*weights(odd, "dropout"), *DIGITS, "--threat", "linf:0.1", "--attack", "pgd:steps=3"]
    one, two = (document(capsys, *arguments) for _ in range(2))
    one["metrics"].pop("seconds"), two["metrics"].pop("seconds")
    assert one == two
    assert not any("asked again" in note for note in one["notes"])


@pytest.mark.parametrize(
    ("name", "message"),
    [("detached", "detaches it"), ("two", "expected (2, 10): one score for each class")],
)
def test_a_module_without_gradients_or_with_fewer_classes_than_the_data_is_told(odd, capsys, name, message):
    arguments = [*weights(odd, name), *DIGITS, "--threat", "linf:0.1", "--attack", "pgd:steps=3"]
    assert message in document(capsys, *arguments, code=2)["error"]["message"]


@pytest.mark.parametrize(
    ("threat", "message"),
    [
        ("linf:0", "above 0"),
        ("l2:-1", "above 0"),
        ("patch:0", "of the picture"),
        ("corruptions:0", "1 to 5"),
        ("spatial:0,0", "nothing may change"),
        ("zero.toml", "allows no change"),
    ],
)
def test_a_budget_of_nothing_is_refused(odd, capsys, threat, message):
    (odd / "zero.toml").write_text((odd / "hauberk.toml").read_text().replace("by = 4.0", "by = 0"))
    where = DIGITS if threat != "zero.toml" else []
    model = weights(odd, "dropout") if where else ["model:build"]
    assert message in document(capsys, *model, *where, "--threat", threat, code=2)["error"]["message"]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda x, y: (x * np.float32(15), y), "Divide by 255"),
        (lambda x, y: (np.where(x == 3, np.nan, x / 16), y), "from nan"),
        (lambda x, y: (x / 16, y * 0), "one class only"),
    ],
)
def test_pictures_out_of_range_and_one_class_are_refused(odd, capsys, change, message):
    raw = load_digits()
    x, y = change(raw.images.astype(np.float32)[:200, None], raw.target[:200])
    np.savez(odd / "own.npz", x=x, y=y)
    arguments = [*weights(odd, "dropout"), "--data", "own.npz", "--threat", "linf:0.1"]
    assert message in document(capsys, *arguments, code=2)["error"]["message"]


def test_whole_numbers_are_pixels_of_255(odd, capsys):
    """The same pictures as bytes and as floats: the same answer."""
    raw = load_digits().images[:200, None] * 15
    y, found = load_digits().target[:200], []
    for name, x in (("bytes", raw.astype(np.uint8)), ("floats", (raw.astype(np.uint8) / 255).astype(np.float32))):
        np.savez(odd / f"{name}.npz", x=x, y=y)
        arguments = [*weights(odd, "dropout"), "--data", f"{name}.npz", "--threat", "linf:0.05", "--rows", "200"]
        found.append(document(capsys, *arguments, "--attack", "pgd:steps=3", "--no-curve", "--no-log")["metrics"])
    assert found[0] | {"seconds": 0} == found[1] | {"seconds": 0}


# --- services


def endpoint(project, **options):
    from sklearn.datasets import load_breast_cancer
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    assert project
    raw = load_breast_cancer()
    model = make_pipeline(StandardScaler(), LogisticRegression(max_iter=300)).fit(raw.data, raw.target)
    return oip.Service(model.predict_proba, (30,), classes=2, **options)


def test_a_service_that_limits_the_rate_half_way_is_waited_for(project, capsys):
    free, limited = endpoint(project), endpoint(project, limit=3, retry_after="0.05")
    found = []
    for service in (free, limited):
        with oip.serving(service) as url:
            found.append(document(capsys, url, *QUICK, "--batch", "8")["metrics"] | {"seconds": 0})
    assert limited.limited > 3
    assert found[0] == found[1]


def test_a_service_that_asks_for_more_patience_than_there_is_leaves_a_partial_result(project, capsys):
    arguments = ["--attack", "coordinate-search:restarts=1", "--no-curve", "--batch", "16"]
    free = endpoint(project)
    with oip.serving(free) as url:
        assert document(capsys, url, *arguments)["partial"] == ""
    arguments += ["--project", str(project)]
    with oip.serving(endpoint(project, limit=free.requests * 2 // 3, retry_after="3600")) as url:
        found = document(capsys, url, *arguments, code=4)
    assert "429" in found["partial"]
    assert 0 < found["metrics"]["rows"] < 114
    assert found["notes"][0].startswith("partial: ")
    assert found["ledger_entry"] == 0, "what was measured is on record, as partial"


@pytest.mark.slow
def test_ctrl_c_half_way_leaves_a_partial_result_and_its_evidence(odd):
    """The real signal, to the real command; what is signed says that it is partial."""
    arguments = [
        "odd:Slow",
        "--attack",
        "evolutionary:generations=30,trim=false",
        "--no-curve",
        "--project",
        str(odd),
        "--json",
    ]
    code = "from hauberk.cli.main import main; main()"
    environment = {**os.environ, "PYTHONPATH": str(Path(hauberk.__file__).parents[1])}
    process = subprocess.Popen(
        [sys.executable, "-c", code, "attack", *arguments],
        cwd=odd, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip
    for _ in range(600):
        if (odd / "slow").exists() or process.poll() is not None:
            break
        time.sleep(0.05)
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=60)
    assert process.returncode == 130, err
    found = json.loads(out)
    assert found["partial"] == "interrupted"
    assert 0 < found["metrics"]["rows"] < 114
    assert b"Traceback" not in err
    (key,) = read_publics(odd / ".hauberk" / "ledger.pub")
    with Ledger.open(odd / ".hauberk" / "ledger", publics=[key]) as ledger:
        ledger.audit(key)
        entry = json.loads(ledger.entry(found["ledger_entry"]))
    envelope = json.loads(Artifacts(odd / ".hauberk" / "store").get(entry["envelope"]))
    told = json.loads(base64.b64decode(envelope["payload"]))["predicate"]
    assert told["details"]["partial"] == "interrupted"
    assert told["metrics"]["rows"] == found["metrics"]["rows"]
