"""The poisoning check: planted label flips rank first, guilty sources are named, and few rows are not judged."""

from __future__ import annotations

import dataclasses
import json

import numpy as np
import pytest

from hauberk.core.findings import Severity
from hauberk.core.progress import Quiet
from hauberk.data.checks import CHECKS
from hauberk.data.reading.dataset import Split
from hauberk.data.reading.loading import DataSpec, load


@pytest.fixture(scope="module")
def digits():
    return load(DataSpec("image", ("sklearn:digits",)), seed=0)


@pytest.fixture(scope="module")
def cancer():
    return load(DataSpec("table", ("sklearn:breast_cancer",)), seed=0)


def run(name, split, **params):
    entry = CHECKS[name]
    return entry.run(split, entry.make(params), rng=np.random.default_rng(0), task=Quiet())


def replaced(split, side, **values):
    return dataclasses.replace(split, **{side: dataclasses.replace(getattr(split, side), **values)})


def flipped(split, share, seed=1):
    rng = np.random.default_rng(seed)
    train = split.train
    rows = rng.permutation(len(train))[: int(share * len(train))]
    y = train.y.copy()
    y[rows] = (y[rows] + rng.integers(1, len(train.classes), len(rows))) % len(train.classes)
    return replaced(split, "train", y=y), set(train.rows[rows].tolist())


@pytest.mark.parametrize("data", ["digits", "cancer"])
def test_flipped_labels_are_ranked_first_and_named_by_their_place_in_the_file(data, request):
    split, wrong = flipped(request.getfixturevalue(data), 0.1)
    found = run("poisoning", split)
    assert found.metrics["poison_found"] == 1
    listed = json.loads(found.outputs["suspects.json"])["suspects"]
    rows = [entry["row"] for entry in listed]
    assert np.isin(rows, list(wrong)).mean() > 0.8
    assert found.metrics["poison_suspect_rows"] == len(listed)
    assert str(found.findings[0].where) == f"training row {rows[0]}"
    assert found.findings[0].severity is Severity.HIGH


def test_the_worst_rows_are_shown_and_the_guilty_source_is_named(cancer):
    split, wrong = flipped(cancer, 0.12)
    bad = np.isin(split.train.rows, list(wrong))
    rng = np.random.default_rng(0)
    sources = np.where(bad | (rng.random(len(bad)) < 0.1), "east", rng.choice(["north", "west"], len(bad)))
    found = run("poisoning", replaced(split, "train", sources=sources))
    document = json.loads(found.outputs["suspects.json"])
    assert [source["source"] for source in document["sources"] if source["guilty"]] == ["east"]
    assert found.metrics["poison_guilty_sources"] == 1
    assert str(found.findings[0].where) == "source east"
    assert document["suspects"][0]["values"]["mean radius"]


def test_too_few_rows_are_said_and_not_judged(cancer):
    found = run("poisoning", Split(cancer.train.take(np.arange(20)), cancer.test))
    assert found.metrics == {"poison_checked_rows": 0.0}
    assert "too few" in found.notes[0]
