"""Updates from end to end on real data: promoted, refused with the reason, poisoned, killed, repeated, gone back from."""

from __future__ import annotations

import json
import shutil
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest
from sklearn.datasets import load_breast_cancer

import hauberk
from hauberk import project as projects
from hauberk.cli.main import run
from hauberk.core.errors import HauberkError, InvalidInput, NotProven, Refused, Unavailable
from hauberk.core.progress import Progress
from hauberk.custody.artifacts import Artifacts
from hauberk.custody.keys import open_keys
from hauberk.custody.ledger import Ledger
from hauberk.custody.seen import Seen
from hauberk.lifecycle.releasing.rollback import rollback
from hauberk.lifecycle.updating.triggers import due, watch
from hauberk.lifecycle.updating.update import PROMOTED, REFUSED, trust, update
from hauberk.records import lineage
from hauberk.records.reader import read_publics

MODEL = """
from torch import nn

def build(spec):
    return nn.Sequential(nn.Linear(spec.features, 16), nn.ReLU(), nn.Linear(16, spec.classes))
"""

PROJECT = """
[project]
name = "cells"
seed = 3

[data]
kind = "table"
files = ["base.csv"]
target = "diagnosis"
test_share = 0.3
poison = "{policy}"

[model]
build = "model:build"

[[threats]]
name = "measuring"
kind = "evasion"
cost = 4.0
columns = [{{ column = "c1", by = 3.0, cost = 1.0 }}, {{ column = "c4", by = 0.02, cost = 100.0 }}]

[training]
epochs = 20
batch = 32
learning_rate = 0.01

[evaluation]
rows = 40
attacks = [{{ name = "coordinate-search" }}]

[gate]
clean_accuracy = ">= 0.8"

[update]
groups = ["ward"]
favourable = "good"
data = ["incoming/*.csv"]
{triggers}
"""
BASE = 300


def lines(x, y):
    head = ",".join([*(f"c{i}" for i in range(x.shape[1])), "ward", "diagnosis"])
    rows = [
        ",".join([*(f"{v:.6g}" for v in row), "ab"[int(row[0] * 100) % 2], t]) for row, t in zip(x, y, strict=True)
    ]
    return "\n".join([head, *rows]) + "\n"


@pytest.fixture(scope="module")
def cells():
    data = load_breast_cancer()
    order = np.random.default_rng(0).permutation(len(data.target))
    return data.data[order][:, :6], np.array(["bad", "good"])[data.target[order]]


@pytest.fixture(scope="module")
def released(tmp_path_factory, cells, cheap_keys):
    """A project with its first release, made once and copied for each test."""
    x, y = cells
    folder = tmp_path_factory.mktemp("made") / "project"
    (folder / "incoming").mkdir(parents=True)
    cheap_keys(folder / ".hauberk" / "keyring")
    (folder / "hauberk.toml").write_text(PROJECT.format(policy="quarantine", triggers=""))
    (folder / "model.py").write_text(MODEL)
    (folder / "base.csv").write_text(lines(x[:BASE], y[:BASE]))
    for number in range(3):
        start = BASE + 85 * number
        (folder / f"new{number + 1}.csv").write_text(lines(x[start : start + 85], y[start : start + 85]))
    assert hauberk.protect(folder, **options(folder)).allowed
    return folder.parent


@pytest.fixture
def project(released, tmp_path) -> Path:
    shutil.copytree(released, tmp_path / "world")
    return tmp_path / "world" / "project"


def options(folder, **more):
    seen = Seen(folder.parent / "seen")
    return {"passphrase": lambda: b"correct horse", "seen": seen, "progress": Progress(visible=False)} | more


def updated(folder, *names, **more):
    return update(folder, data=[str(folder / name) for name in names], **options(folder, **more))


def declare(folder, *, policy="quarantine", triggers=""):
    (folder / "hauberk.toml").write_text(PROJECT.format(policy=policy, triggers=triggers))


def events(folder, *names):
    (key,) = read_publics(folder / ".hauberk" / "ledger.pub")
    with Ledger.open(folder / ".hauberk" / "ledger", publics=[key]) as ledger:
        ledger.audit(key)
        kinds = [json.loads(entry)["kind"] for entry in ledger.entries()]
    return [kind for kind in kinds if kind in names]


def test_a_challenger_that_is_nowhere_worse_is_promoted_and_everything_is_on_record(project):
    done = updated(project, "new1.csv", source="the laboratory, June")
    assert done.promoted, [str(one) for one in done.compared if one.regressed]
    assert (done.champion.number, done.made.number, done.start, done.batch) == (1, 2, "warm", 1)
    assert {one.rows for one in done.compared} == {"held out", "current"}
    assert {one.metric for one in done.compared} >= {
        "accuracy",
        "robust accuracy: measuring",
        "selection gap: ward",
    }
    proven = hauberk.verify(done.release, key=done.key_id, seen=Seen(project.parent / "verifier"))
    assert proven.ok
    # The rule that nothing regressed is in the release's verdict, and a verifier held it again.
    said = proven.steps[6].detail
    assert said == f"{len(done.verdict.rulings)} rules hold"
    assert any(ruling.rule.metric == "regressions" and ruling.evidence for ruling in done.verdict.rulings)
    assert events(project, PROMOTED, "release.made") == ["release.made", PROMOTED, "release.made"]
    page = done.report.read_text()
    assert "The challenger against the champion" in page
    assert "Nothing regressed" in page
    known = {one.event: one for one in lineage.read(project / ".hauberk")}
    assert known[lineage.OFFERED].source == "the laboratory, June"
    assert known[lineage.EXTENDED].details["train"] > 300 * 0.8
    # A second batch goes on from there; the same rows again are no update; and back again in one step.
    with pytest.raises(InvalidInput, match="on record already"):
        updated(project, "new1.csv")
    second = updated(project, "new2.csv", cold=True)
    assert second.champion.number == 2
    assert second.start == "cold"
    assert any(one.rows.endswith("against the trusted release") for one in second.compared)
    back = rollback(project, to=1, reason="test", **{k: v for k, v in options(project).items() if k != "progress"})
    assert back.made.model == done.champion.model
    # After the return the champion is the first model, which never learned from the first batch.
    third = updated(project, "new1.csv")
    assert third.champion.number == back.made.number
    assert third.batch == 1


def test_a_challenger_that_got_worse_is_refused_with_the_metric_named(project, cells, monkeypatch, capsys):
    x, y = cells
    wrong = np.where(y[300:540] == "bad", "good", "bad")
    moved = np.concatenate([x[300:540] + 1e-4, x[300:540] + 2e-4])
    (project / "new4.csv").write_text(lines(moved, np.tile(wrong, 2)))
    declare(project, policy="report")
    monkeypatch.setenv("HAUBERK_PASSPHRASE", "correct horse")
    monkeypatch.setenv("HAUBERK_STATE", str(project.parent / "seen"))
    before = (project / "release" / "manifest.json").read_bytes()
    assert run(["update", str(project), "--data", str(project / "new4.csv"), "--cold", "--json"]) == 3
    document = json.loads(capsys.readouterr().out)
    assert not document["promoted"]
    assert any(text.startswith("accuracy on held out") for text in document["regressed"])
    assert any(rule["metric"] == "regressions" and not rule["holds"] for rule in document["rules"])
    assert document["alarms"]
    assert (project / "release" / "manifest.json").read_bytes() == before
    assert events(project, PROMOTED, REFUSED) == [REFUSED]


def flipped(folder, cells, name, share, seed=0):
    x, y = cells
    rng, labels = np.random.default_rng(seed), y[300:500].copy()
    wrong = rng.random(200) < share
    labels[wrong] = np.where(labels[wrong] == "bad", "good", "bad")
    (folder / name).write_text(lines(x[300:500], labels))
    return np.flatnonzero(wrong)


@pytest.mark.slow
def test_poison_is_set_aside_and_the_rest_is_learned_from(project, cells):
    wrong = flipped(project, cells, "bad.csv", 0.25)
    done = updated(project, "bad.csv")
    assert done.alarms
    (step,) = [step for step in done.steps if step.name == "quarantine"]
    event = step.logged[0].statement.predicate
    assert event["details"]["removed"] == done.aside
    keys = open_keys(f"keyring:{project}/.hauberk/keyring", passphrase=lambda: b"correct horse")
    store = Artifacts(project / ".hauberk" / "store", keys=keys)
    rows = json.loads(store.get(step.outputs["quarantine.json"]))["rows"]
    places = [int(row["row"]) & 0xFFFFFFFF for row in rows]
    assert all(int(row["row"]) >> 32 == 1 for row in rows)
    assert np.isin(places, wrong).mean() > 0.8
    assert rows[0]["where"].startswith("batch 1 row ")


def test_poison_stops_the_update_where_the_policy_says_so(project, cells):
    flipped(project, cells, "bad.csv", 0.25)
    declare(project, policy="stop")
    before = (project / "release" / "manifest.json").read_bytes()
    with pytest.raises(Refused, match="firmly contradict") as caught:
        updated(project, "bad.csv")
    assert "hauberk update --trust" in str(caught.value)
    assert (project / "release" / "manifest.json").read_bytes() == before
    assert events(project, REFUSED, lineage.OFFERED) == [lineage.OFFERED, REFUSED]


@pytest.mark.slow
def test_only_a_person_moves_the_trusted_state(project):
    with pytest.raises(InvalidInput, match="trusted already"):
        trust(project, **{k: v for k, v in options(project).items() if k != "progress"})
    assert updated(project, "new1.csv").promoted
    entry = trust(project, reason="looked at", **{k: v for k, v in options(project).items() if k != "progress"})
    assert [one.index for one in lineage.read(project / ".hauberk") if one.event == lineage.TRUSTED] == [entry]
    second = updated(project, "new2.csv")
    # The release of the vouched rows is the champion itself, so nothing older is compared with.
    assert {one.rows for one in second.compared} == {"held out", "current"}
    drip = next(step for step in second.steps if step.name == "drip")
    assert drip.logged[0].statement.predicate["metrics"]["drip_batches"] == 1


@pytest.mark.slow
@pytest.mark.parametrize("after", [2, 47, 186, 286])
def test_a_full_disk_anywhere_keeps_the_champion_and_the_same_command_goes_on(project, full_disk, after):
    before = hauberk.verify(project / "release", seen=Seen(project.parent / "v")).manifest
    with pytest.raises(Unavailable, match="no space left"):
        updated(project, "new1.csv", disk=full_disk(after))
    assert hauberk.verify(project / "release", seen=Seen(project.parent / "v")).manifest == before
    done = updated(project, "new1.csv")
    assert done.promoted
    assert done.batch == 1
    assert hauberk.verify(done.release, key=done.key_id, seen=Seen(project.parent / "v")).ok
    assert events(project, lineage.OFFERED) == [lineage.OFFERED]


@pytest.mark.slow
def test_ctrl_c_loses_no_finished_step(project):
    def interrupt(done, _title):
        if done.name == "train/hardened":
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        updated(project, "new1.csv", listener=interrupt)
    done = updated(project, "new1.csv")
    assert {step.name: step.cached for step in done.steps}["train/hardened"]
    assert done.promoted


def spoil(folder, what):
    x = "c0,c1,c2,c3,c4,c5,ward,diagnosis\n"
    rows = "1,2,3,4,5,6,a,bad\n2,3,4,5,6,7,b,good\n"
    texts = {
        "columns": x.replace("c3", "d3") + rows,
        "one class": x + "1,2,3,4,5,6,a,bad\n" * 60,
        "empty": x,
        "words": x + rows.replace("3,4", "three,4"),
        "unknown": x + rows.replace(",a,", ",z,").replace(",b,", ",z,"),
        "few": x + rows,
    }
    (folder / "odd.csv").write_text(texts[what])


@pytest.mark.parametrize(
    ("what", "words"),
    [
        ("columns", "without 'c3'; with 'd3' beside"),
        ("one class", "one class only"),
        ("empty", "odd.csv"),
        ("words", "'c1' holds a category"),
        ("unknown", "ward 'z' is new"),
    ],
)
def test_rows_that_cannot_be_used_are_bad_input_and_leave_no_trace(project, what, words):
    spoil(project, what)
    with pytest.raises(InvalidInput, match=words):
        updated(project, "odd.csv")
    assert events(project, lineage.OFFERED, REFUSED) == []


def test_what_an_update_cannot_begin_from_is_said(project):
    with pytest.raises(InvalidInput, match="nothing new"):
        updated(project)
    (project / "base.csv").write_text((project / "base.csv").read_text() + "1,2,3,4,5,6,a,bad\n")
    with pytest.raises(InvalidInput, match="differ from the data that the served release"):
        updated(project, "new1.csv")
    shutil.rmtree(project / "release")
    with pytest.raises(InvalidInput, match="no release"):
        updated(project, "new1.csv")


def test_a_tampered_release_or_store_is_refused(project):
    (project / "release" / "card.md").write_text("a better card")
    with pytest.raises(NotProven, match="does not verify"):
        updated(project, "new1.csv")


@pytest.mark.slow
def test_weights_that_are_gone_are_named_and_a_cold_start_needs_none(project):
    known = hauberk.verify(project / "release", seen=Seen(project.parent / "v")).manifest
    weights = next(model.sha256 for model in known.models if model.name == "weights.safetensors")
    # Not in the store: they are unsealed from the release.
    (project / ".hauberk" / "store" / "sealed" / weights[:2] / weights[2:]).unlink()
    assert updated(project, "new1.csv").start == "warm"


def test_a_tampered_ledger_stops_the_update(project):
    for path in (project / ".hauberk" / "ledger" / "tile" / "0").rglob("*"):
        if path.is_file():
            path.write_bytes(bytes(len(path.read_bytes())))
    with pytest.raises(NotProven):
        updated(project, "new1.csv")


# --- triggers

NOW = datetime.now(UTC) + timedelta(days=2)


def waiting(folder, now=NOW):
    return due(projects.load(folder), now=now)


def test_nothing_is_due_by_itself(project):
    shutil.copy(project / "new1.csv", project / "incoming" / "one.csv")
    assert waiting(project).reasons == ()
    assert waiting(project).files == (str(project / "incoming" / "one.csv"),)


def test_a_time_enough_rows_and_drift_make_an_update_due(project, cells):
    x, y = cells
    declare(project, triggers='schedule = "0 3 * * *"\nnew_rows = 100\ndrift = true')
    assert waiting(project).reasons == ()  # nothing waits
    shutil.copy(project / "new1.csv", project / "incoming" / "one.csv")
    assert waiting(project).reasons == ("schedule",)
    assert waiting(project, datetime.now(UTC)).reasons == ()
    (project / "incoming" / "two.csv").write_text(lines(x[400:480] + np.eye(6)[0] * 8, y[400:480]))
    assert waiting(project).reasons == ("schedule", "new rows: 165", "drift: c0")


def test_what_the_main_job_made_anew_is_what_a_challenger_is_held_against(project):
    """Another network by the main job on the same rows: nobody can build the first one again, and a person chose the second."""
    (project / "model.py").write_text(MODEL.replace("16", "24"))
    assert hauberk.protect(project, **options(project)).allowed
    done = updated(project, "new1.csv")
    assert done.champion.number == 2
    assert {one.rows for one in done.compared} == {"held out", "current"}, (
        "the champion is the trusted release itself"
    )


@pytest.mark.slow
def test_an_incident_asks_for_one_update_and_is_answered_by_it(project, monkeypatch, capsys):
    monkeypatch.setenv("HAUBERK_PASSPHRASE", "correct horse")
    monkeypatch.setenv("HAUBERK_STATE", str(project.parent / "seen"))
    assert run(["update", str(project), "--due", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["due"] is False
    place = project / ".hauberk" / "incidents"
    place.mkdir()
    (place / "odd.json").write_text('{"id": 7}')
    with pytest.raises(InvalidInput, match="is not an incident"):
        waiting(project)
    (place / "odd.json").write_text('{"id": "2026-7", "what": "stickers on signs"}')
    shutil.copy(project / "new1.csv", project / "incoming" / "one.csv")
    assert waiting(project).reasons == ("incident:2026-7",)
    code = run(["update", str(project), "--due", "--json"])
    document = json.loads(capsys.readouterr().out)
    assert document["reasons"] == ["incident:2026-7"]
    assert (code, document["promoted"]) in {(0, True), (3, False)}
    assert waiting(project).reasons == ()
    assert waiting(project).files == ()


def test_watching_looks_each_minute():
    now = [datetime(2026, 1, 1, tzinfo=UTC)]
    looks = []

    def sleep(seconds):
        now[0] += timedelta(seconds=seconds)

    watch(lambda: looks.append(now[0].minute), clock=lambda: now[0], sleep=sleep, rounds=3)
    assert looks == [1, 2, 3]


def test_watching_prints_a_line_for_each_look_that_found_something(project, monkeypatch, capsys):
    """Rows that cannot be used, then rows that can: two lines, each a document, and an interrupt ends it with a third."""
    from hauberk.lifecycle.updating import triggers

    monkeypatch.setenv("HAUBERK_PASSPHRASE", "correct horse")
    monkeypatch.setenv("HAUBERK_STATE", str(project.parent / "seen"))
    declare(project, triggers="new_rows = 1")
    looks = iter([lines(np.zeros((0, 6)), np.zeros(0)), (project / "new1.csv").read_text()])

    def watch(look, **_how):
        for text in looks:
            (project / "incoming" / "one.csv").write_text(text)
            look()
        raise KeyboardInterrupt

    monkeypatch.setattr(triggers, "watch", watch)
    assert run(["update", str(project), "--watch", "--json"]) == 130
    bad, good, end = (json.loads(line) for line in capsys.readouterr().out.splitlines())
    assert bad["error"]["kind"] == "InvalidInput"
    assert good["batch"] == 1
    assert end["error"]["kind"] == "Interrupted"


@pytest.mark.parametrize(
    ("triggers", "words"),
    [
        ('schedule = "at noon"', "not a cron expression"),
        ("new_rows = 0", "1 or more"),
        ("confidence = 2.0", "between 0.5"),
        ('start = "lukewarm"', "not known"),
        ('every = "day"', "no key 'every'"),
    ],
)
def test_an_update_section_that_cannot_be_meant_is_said_with_its_line(project, triggers, words):
    declare(project, triggers=triggers)
    with pytest.raises(InvalidInput, match=words):
        projects.load(project)


def test_a_schema_file_is_held_against_new_files(project):
    (project / "rules.toml").write_text('version = 1\n[columns.c0]\ntype = "float"\nmin = 0.0\nmax = 10.0\n')
    declare(project, triggers='schema = "rules.toml"')
    with pytest.raises((Refused, HauberkError), match=r"rules\.toml"):
        updated(project, "new1.csv")
