"""The main job from end to end, on real data: small enough to be run in a test, whole enough to prove something."""

from __future__ import annotations

import json
import shutil
import threading
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

import hauberk
from hauberk.cli.main import run
from hauberk.core.errors import InvalidInput, NotProven, Unavailable
from hauberk.core.evidence import Subject
from hauberk.core.progress import Progress
from hauberk.custody import dsse
from hauberk.custody.artifacts import Artifacts
from hauberk.custody.keys import open_keys
from hauberk.custody.ledger import Ledger
from hauberk.custody.seen import Seen
from hauberk.records.jobs import only_job
from hauberk.records.reader import read_publics
from hauberk.records.workshop import Workshop
from hauberk.training import methods

DECLARED = """
[[threats]]
name = "measuring"
kind = "evasion"
cost = 12.0
columns = [
  {{ column = "mean texture", by = 4.0, cost = 1.0 }},
  {{ column = "mean smoothness", by = 0.02, cost = 100.0 }},
  {{ column = "worst area", by = 150.0, cost = 0.05 }},
]

[evaluation]
rows = 60

[gate]
clean_accuracy = ">= {clean}"
robust_accuracy = ">= 0.2"
leaked_rows = "<= 5"

[release]
seal = {seal}
"""


POISONING = """
[[threats]]
name = "labels"
kind = "poisoning"
share = 0.05

"""


@pytest.fixture(scope="module")
def declared(cells_project, cheap_keys):
    def make(folder, clean=0.8, seal="true") -> Path:
        cells_project(folder, DECLARED.format(clean=clean, seal=seal), seed=3)
        cheap_keys(folder / ".hauberk" / "keyring")
        return folder

    return make


@pytest.fixture
def project(tmp_path, declared):
    def make(name="project", **values) -> Path:
        return declared(tmp_path / name, **values)

    return make


@pytest.fixture
def seen(tmp_path):
    return Seen(tmp_path / "seen.json")


@pytest.fixture(scope="module")
def once(tmp_path_factory, declared):
    """A run that finished, and the folder where it did; only to be read."""
    base = tmp_path_factory.mktemp("once")
    return protect(declared(base / "project"), Seen(base / "seen.json")), base


@pytest.fixture
def finished(once, project, seen):
    """The project of `once` and what this machine has seen of it, copied to be worked on."""
    _, base = once
    shutil.copytree(base / "seen.json", seen.place)
    return shutil.copytree(base / "project", project(), dirs_exist_ok=True)


def protect(folder, seen, **options):
    options = {"passphrase": lambda: b"correct horse", "progress": Progress(visible=False), "seen": seen} | options
    return hauberk.protect(folder, **options)


def audit(folder: Path) -> int:
    (key,) = read_publics(folder / ".hauberk" / "ledger.pub")
    with Ledger.open(folder / ".hauberk" / "ledger", publics=[key]) as ledger:
        return ledger.audit(key).size


def test_from_a_project_to_a_release_that_verifies(once):
    result, base = once
    folder = base / "project"
    assert result.allowed
    assert result.release == folder / "release"
    verification = hauberk.verify(result.release, key=result.key_id, seen=Seen(base / "seen.json"))
    assert verification.ok
    report = result.report.read_text()
    assert "measuring" in report
    assert audit(folder) == result.size
    document = result.to_json()
    assert {"verdict", "release", "rules", "ledger"} <= set(document)
    json.dumps(document)


def test_the_store_of_a_sealed_release_holds_no_model_in_the_clear(once, tmp_path):
    result, base = once
    home = base / "project" / ".hauberk"
    keys = open_keys(f"keyring:{home}/keyring", passphrase=lambda: b"correct horse")
    store = Artifacts(home / "store", keys=keys)
    outputs = {d for done in result.steps if done.name.startswith("train/") for d in done.outputs.values()}
    models = [store.get(digest) for digest in outputs]
    assert len(models) >= 2

    def found(folder):
        files = [path.read_bytes() for path in folder.rglob("*") if path.is_file()]
        return [
            at
            for model in models
            for at in range(0, len(model) - 48, 48)
            if any(model[at : at + 48] in f for f in files)
        ]

    assert not found(home)
    Artifacts(tmp_path).put(models[0])  # the search does find what is there
    assert len(found(tmp_path)) >= len(models[0]) // 48
    assert all(store.has(digest) and Artifacts(home / "store").has(digest) for digest in outputs)


def test_a_server_writes_while_the_main_job_runs_and_neither_loses_anything(project, seen):
    folder = project()
    hauberk_home = folder / ".hauberk"
    keys_uri, logged, stop = f"keyring:{hauberk_home}/keyring", [], threading.Event()

    def serve():
        opening = {"name": "cells", "keys_uri": keys_uri, "passphrase": lambda: b"correct horse"}
        with Workshop.open(hauberk_home, seen=Seen(seen.place.with_name("server")), **opening) as workshop:
            while not stop.wait(0.02):
                event = workshop.event("served", (Subject("request", "ab" * 32),), n=len(logged))
                logged.append(workshop.attest(event).index)

    server = threading.Thread(target=serve)
    server.start()
    steps = []
    result = protect(folder, seen, listener=lambda done, _title: steps.append((done.name, len(logged))))
    stop.set()
    server.join()
    assert result.allowed
    assert hauberk.verify(result.release, key=result.key_id, seen=seen).ok
    (key,) = read_publics(hauberk_home / "ledger.pub")
    with Ledger.open(hauberk_home / "ledger", publics=[key]) as ledger:
        assert ledger.audit(key).size == ledger.size
        kinds = [json.loads(entry)["kind"] for entry in ledger.entries()]
    assert [index for index, kind in enumerate(kinds) if kind == "served"] == logged
    theirs = sum(len(done.logged) for done in result.steps)
    assert len(kinds) >= len(logged) + theirs
    assert len({count for _, count in steps}) > 3, "the server wrote between the steps"


def test_two_main_jobs_at_once_are_one_too_many_and_the_first_is_named(finished, seen):
    with (
        only_job(finished / ".hauberk", "update"),
        pytest.raises(Unavailable, match=r"another job \(update, process \d+\)"),
    ):
        protect(finished, seen)
    assert protect(finished, seen).allowed


def test_a_second_run_does_nothing_again_and_says_so(once, finished, seen):
    first, _ = once
    manifest = (finished / "release" / "manifest.json").read_bytes()
    second = protect(finished, seen)
    assert all(step.cached for step in second.steps)
    assert second.size == first.size
    assert (finished / "release" / "manifest.json").read_bytes() == manifest


def test_a_changed_rule_repeats_the_decision_alone(finished, declared, seen):
    again = protect(declared(finished, clean=0.7), seen)
    assert {step.name for step in again.steps if not step.cached} == {"gate", "release"}


def test_a_changed_model_file_repeats_what_depends_on_it(finished, seen):
    model = finished / "model.py"
    model.write_text(model.read_text().replace("200", "201"))
    done = {step.name: step.cached for step in protect(finished, seen).steps}
    assert done["load"]
    assert done["seal"]
    assert not done["train/plain"]


def test_the_same_seed_gives_the_same_model_in_another_folder(once, project, seen):
    digests = [
        {step.name: dict(step.outputs) for step in result.steps if step.name.startswith("train")}
        for result in (once[0], protect(project(), seen))
    ]
    assert digests[0] == digests[1]


def test_a_refusal_is_a_verdict_with_reasons_and_no_release(project, seen, monkeypatch, capsys):
    folder = project(clean=1.1)
    monkeypatch.setenv("HAUBERK_PASSPHRASE", "correct horse")
    monkeypatch.setenv("HAUBERK_STATE", str(seen.place))
    assert run(["protect", str(folder), "--json"]) == 3
    document = json.loads(capsys.readouterr().out)
    assert (document["verdict"], document["release"]) == ("refuse", None)
    failed = [rule for rule in document["rules"] if not rule["holds"]]
    assert [rule["metric"] for rule in failed] == ["clean_accuracy"]
    assert failed[0]["evidence"]
    assert not (folder / "release").exists()
    assert (
        "FAILED" in (folder / "report.html").read_text() or "refus" in (folder / "report.html").read_text().lower()
    )


def test_a_rule_without_evidence_refuses(finished, seen):
    toml = finished / "hauberk.toml"
    toml.write_text(toml.read_text().replace("[release]", 'membership_advantage = "<= 0.1"\n[release]'))
    result = protect(finished, seen)
    assert not result.allowed
    assert [r.reason for r in result.verdict.rulings if not r.holds] == ["no evidence"]


def test_the_command_line_says_in_json_what_was_proven(project, seen, monkeypatch, capsys):
    folder = project(seal="false")
    monkeypatch.setenv("HAUBERK_PASSPHRASE", "correct horse")
    monkeypatch.setenv("HAUBERK_STATE", str(seen.place))
    assert run(["protect", str(folder), "--json"]) == 0
    released = json.loads(capsys.readouterr().out)
    assert run(["verify", released["release"], "--json", "--key", released["key"]]) == 0
    proven = json.loads(capsys.readouterr().out)
    assert proven["ok"]
    assert [step["number"] for step in proven["steps"]] == list(range(1, 10))
    (folder / "release" / "model.onnx").write_bytes(b"another model")
    assert run(["verify", released["release"], "--json"]) == 1
    assert json.loads(capsys.readouterr().out)["failed"] == "files"
    assert run(["report", str(folder), "--json"]) == 0


def test_a_tampered_release_is_written_again(finished, seen):
    (finished / "release" / "card.md").write_text("a better card")
    again = protect(finished, seen)
    assert {step.name for step in again.steps if not step.cached} == {"release"}
    assert hauberk.verify(finished / "release", seen=seen).ok


def test_a_tampered_ledger_stops_the_run(finished, seen):
    for path in (finished / ".hauberk" / "ledger" / "tile" / "0").rglob("*"):
        if path.is_file():
            path.write_bytes(bytes(len(path.read_bytes())))
    with pytest.raises(NotProven):
        protect(finished, seen)


def test_a_clock_moved_back_stops_the_run_before_anything_is_written(once, finished, seen):
    with pytest.raises(InvalidInput, match="clock"):
        protect(finished, seen, clock=lambda: datetime.now(UTC) - timedelta(days=1))
    assert audit(finished) == once[0].size


def test_a_wrong_passphrase_is_bad_input(project, seen):
    with pytest.raises(InvalidInput, match="passphrase"):
        protect(project(), seen, passphrase=lambda: b"another horse")


@pytest.mark.parametrize("after", [0, 11, 33, 74, 137, 390])
def test_a_full_disk_at_any_point_keeps_what_was_finished(project, seen, full_disk, after):
    folder = project()
    with pytest.raises(Unavailable, match="no space left"):
        protect(folder, seen, disk=full_disk(after))
    if (folder / ".hauberk" / "ledger" / "checkpoint").exists():
        audit(folder)
    result = protect(folder, seen)
    assert result.allowed
    assert hauberk.verify(result.release, seen=seen).ok
    assert audit(folder) == result.size


def test_ctrl_c_keeps_what_was_finished_and_the_next_run_goes_on(project, seen):
    folder = project()

    def interrupt(done, _title):
        if done.name == "train/plain":
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        protect(folder, seen, listener=interrupt)
    audit(folder)
    result = protect(folder, seen)
    assert {step.name: step.cached for step in result.steps}["train/plain"]
    assert result.allowed


@pytest.mark.parametrize(
    ("code", "words"),
    [
        ("raise RuntimeError('boom')", "boom"),
        ("def build(:", "SyntaxError"),
        ("def build():\n    return 7", "int"),
        ("def make():\n    pass", "no 'build'"),
        ("import a_library_that_is_not_there", "a_library_that_is_not_there"),
    ],
)
def test_a_model_file_that_fails_is_named_with_its_line(project, seen, code, words):
    folder = project()
    (folder / "model.py").write_text(code)
    with pytest.raises(InvalidInput, match=words) as caught:
        protect(folder, seen)
    assert "model.py" in str(caught.value)
    audit(folder)


NAN = """
import numpy as np
from sklearn.base import BaseEstimator, ClassifierMixin

class Broken(ClassifierMixin, BaseEstimator):
    def fit(self, x, y):
        self.classes_ = np.unique(y)
        return self

    def predict_proba(self, x):
        return np.full((len(x), len(self.classes_)), np.nan)

    def predict(self, x):
        return np.zeros(len(x), dtype=int)

def build():
    return Broken()
"""


def test_a_model_that_returns_nan_is_refused(project, seen):
    folder = project()
    (folder / "model.py").write_text(NAN)
    with pytest.raises(InvalidInput, match="NaN"):
        protect(folder, seen)


def test_an_unwritable_folder_is_explained(tmp_path, seen, cells_project):
    folder = cells_project(tmp_path / "project", DECLARED.format(clean=0.8, seal="true"))
    (folder / ".hauberk").write_bytes(b"a file where a folder has to be")
    with pytest.raises((InvalidInput, Unavailable), match=r"\.hauberk"):
        protect(folder, seen)


def test_a_release_can_be_moved_and_still_proves_itself(finished, seen, tmp_path):
    shutil.move(finished / "release", tmp_path / "elsewhere")
    assert hauberk.verify(tmp_path / "elsewhere", seen=seen).ok


def test_without_an_evasion_threat_there_is_nothing_to_harden(project, seen):
    folder = project()
    toml = (folder / "hauberk.toml").read_text()
    start, end = toml.index("[[threats]]"), toml.index("[evaluation]")
    toml = toml[:start] + POISONING + toml[end:]
    (folder / "hauberk.toml").write_text(toml.replace('robust_accuracy = ">= 0.2"\n', ""))
    result = protect(folder, seen)
    assert result.allowed
    assert not any("hardened" in step.name for step in result.steps)


NET = """
from torch import nn

def build(spec):
    return nn.Sequential(nn.Linear(spec.features, 16), nn.ReLU(), nn.Linear(16, spec.classes))
"""


def test_minutes_choose_the_method_and_a_certificate_stands_beside_the_attack(project, seen):
    """A run that goes on, or is repeated, keeps the plan, though the machine would measure other times now."""
    folder = project()
    (folder / "model.py").write_text(NET)
    file = folder / "hauberk.toml"
    extra = '[training]\nminutes = 0.02\npatience = 2\n\n[evaluation]\ncertify = "bounds"\n'
    file.write_text(file.read_text().replace("[evaluation]\n", extra))
    result = protect(folder, seen)
    record = dsse.decode((folder / ".hauberk" / "steps" / "plan.json").read_bytes(), what="record")
    plan = json.loads(record.payload)["values"]
    assert plan["method"] in [name for name, _ in methods.ladder()]
    assert "Planned for 0.02 minutes" in plan["notes"][0]
    assert plan["patience"] == 2  # as it was declared
    page = (folder / "report.html").read_text()
    assert "Planned for 0.02 minutes" in page
    assert "best_epoch" in page
    assert "Certified: measuring" in page
    assert 'class="line hardened certified"' in page
    assert not list((folder / ".hauberk" / "unfinished").glob("*"))
    again = protect(folder, seen)
    assert again.release == result.release
    assert all(step.cached for step in again.steps if step.name in ("plan", "train/hardened"))
