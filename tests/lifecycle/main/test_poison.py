"""Poison in the main job: found, told by source, set aside or refused by policy, logged, and the model is better for it."""

from __future__ import annotations

import json
import re

import numpy as np
import pytest
from sklearn.datasets import load_breast_cancer

import hauberk
from hauberk.core import canonical
from hauberk.core.columns import Column, ColumnKind
from hauberk.core.errors import InvalidInput, Refused
from hauberk.core.progress import Progress
from hauberk.custody.artifacts import Artifacts
from hauberk.custody.keys import open_keys
from hauberk.custody.seen import Seen
from hauberk.data.reading.dataset import Dataset, Split
from hauberk.lifecycle.datasets import proving
from hauberk.lifecycle.datasets.checking import check_proof
from hauberk.lifecycle.main.poison import without
from hauberk.records import lineage
from hauberk.records.lineage_graph import graph

COLUMN = Column("a", ColumnKind.NUMBER, 0.0, 1.0)

MODEL = """
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

def build():
    return make_pipeline(StandardScaler(), KNeighborsClassifier(1))
"""

PROJECT = """
[project]
name = "cells"
seed = 3

[data]
kind = "table"
files = ["train.csv"]
test_files = ["test.csv"]
target = "diagnosis"
source = "clinic"
poison = "{policy}"

[model]
build = "model:build"

[[threats]]
kind = "poisoning"
share = 0.2

[keys]
uri = "{keys}"

[gate]
plain.clean_accuracy = ">= 0.5"
"""


def lines(x, y, clinics):
    head = ",".join([*(f"c{i}" for i in range(x.shape[1])), "clinic", "diagnosis"])
    rows = [
        ",".join([*(f"{v:.6g}" for v in row), clinic, label])
        for row, clinic, label in zip(x, clinics, y, strict=True)
    ]
    return "\n".join([head, *rows]) + "\n"


@pytest.fixture(params=["quarantine"])
def project(tmp_path, cheap_keys):
    """A table of which one clinic sent half of its labels the wrong way round."""
    data = load_breast_cancer()
    rng = np.random.default_rng(0)
    order = rng.permutation(len(data.target))
    x, y = data.data[order][:, :10], np.array(["bad", "good"])[data.target[order]]
    clinics = rng.choice(["north", "south", "west", "east"], len(y))
    given = y.copy()
    wrong = (clinics == "east") & (rng.random(len(y)) < 0.6)
    wrong[430:] = False
    given[wrong] = np.where(y[wrong] == "bad", "good", "bad")
    (tmp_path / "train.csv").write_text(lines(x[:430], given[:430], clinics[:430]))
    (tmp_path / "test.csv").write_text(lines(x[430:], y[430:], clinics[430:]))
    (tmp_path / "model.py").write_text(MODEL)
    keys = cheap_keys(tmp_path / ".hauberk" / "keyring")

    def run(policy):
        (tmp_path / "hauberk.toml").write_text(PROJECT.format(policy=policy, keys=keys))
        return hauberk.protect(
            tmp_path,
            passphrase=lambda: b"correct horse",
            progress=Progress(visible=False),
            seen=Seen(tmp_path / "s"),
        )

    return tmp_path, run, np.flatnonzero(wrong)


def step(result, name):
    return next(done for done in result.steps if done.name == name)


def metrics(result, control, role="data"):
    return [
        logged.statement.predicate["metrics"]
        for done in result.steps
        for logged in done.logged
        if (logged.statement.predicate.get("control"), logged.statement.predicate.get("role")) == (control, role)
    ]


def proven_gone(folder, row, removed):
    """The lineage leads through the repair, and a row that was set aside is proven to have taught no model anything."""
    nodes = {node.of.index: node for node in graph(lineage.read(folder / ".hauberk"))}
    used = [node for node in nodes.values() if node.of.event == lineage.USED][-1]
    split = nodes[used.parents[-1]]
    assert [nodes[parent].of.event for parent in split.parents] == [lineage.IMPORTED, lineage.REPAIRED]
    repair = nodes[split.parents[-1]]
    assert [nodes[parent].of.event for parent in repair.parents] == [lineage.IMPORTED]
    assert f"{removed} rows set aside" in repair.says
    assert used.of.details["rows"]["train"]["rows"] == 430 - removed
    found = proving.prove_row(
        folder, proving.Asked((str(folder / "train.csv"),), row), passphrase=lambda: b"correct horse"
    )
    assert found.claims
    (folder / "proof.json").write_bytes(canonical.encode(dict(found.document)))
    checked = check_proof(folder / "proof.json", release=folder / "release", seen=Seen(folder / "s"))
    assert (checked.ok, checked.present) == (True, False)


def test_poison_is_set_aside_logged_and_the_model_is_better_for_it(project):
    folder, run, wrong = project
    kept = run("report")
    (before,) = metrics(kept, "poisoning")
    assert before["poison_found"] == 1
    assert before["poison_guilty_sources"] == 1
    assert not any(done.name == "quarantine" for done in kept.steps)
    result = run("quarantine")
    assert result.allowed
    aside = step(result, "quarantine")
    event = aside.logged[0].statement.predicate
    assert event["event"] == lineage.REPAIRED
    assert event["details"]["removed"] + event["details"]["kept"] == 430
    store, digest = folder / ".hauberk" / "store", aside.outputs["quarantine.json"]
    with pytest.raises(InvalidInput, match="sealed under the key 'data'"):
        Artifacts(store).get(digest)
    keys = open_keys(f"keyring:{folder}/.hauberk/keyring", passphrase=lambda: b"correct horse")
    rows = [entry["row"] for entry in json.loads(Artifacts(store, keys=keys).get(digest))["rows"]]
    assert np.isin(rows, wrong).mean() > 0.7
    again = metrics(result, "poisoning")[-1]
    assert again["poison_checked_rows"] == 430 - len(rows)
    better = metrics(result, "export", "plain")[-1]["clean_accuracy"]
    assert better > metrics(kept, "export", "plain")[-1]["clean_accuracy"]
    assert hauberk.verify(result.release, key=result.key_id, seen=Seen(folder / "s")).ok
    page = result.report.read_text()
    assert "sends poison" in page
    assert re.search(r"Suspects by source.*class=\"guilty\".*east: \d+ suspects", page, re.DOTALL)
    assert page.index('id="poison"') < page.index('id="worth">The model')  # what was found comes first
    assert 'id="radius"' not in page  # nobody declared an evasion threat
    assert f'value="{better}"' in page  # the accuracy that was measured at export
    assert f"{len(rows)} rows were set aside" in page
    assert "Repair" in page
    proven_gone(folder, int(rows[0]), len(rows))
    cached = run("quarantine")
    assert all(done.cached for done in cached.steps if not done.name.startswith("report"))


def test_a_run_can_be_stopped_and_says_why(project):
    folder, run, _ = project
    with pytest.raises(Refused, match='poison = "stop"'):
        run("stop")
    assert not (folder / "release").exists()
    told = json.loads((folder / "suspects.json").read_text())
    assert told["sources"][0]["source"] == "east"
    assert {"row", "label", "reason", "values"} <= set(told["suspects"][0])


def test_a_class_never_loses_all_its_rows():
    y = np.array([0] * 30 + [1] * 3)
    side = Dataset("table", np.zeros((33, 1), np.float32), y, ("good", "odd"), (COLUMN,), np.arange(33))
    split = Split(side, side)
    assert len(without(split, [0, 30]).train) == 31
    with pytest.raises(InvalidInput, match="no training row of 'odd' is left"):
        without(split, [30, 31, 32])
