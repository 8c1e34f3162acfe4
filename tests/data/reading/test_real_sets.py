"""Real data in the official formats, where this machine has them."""

from __future__ import annotations

import numpy as np
import pytest

from hauberk.core.columns import ColumnKind
from hauberk.core.progress import Quiet
from hauberk.data.checks import CHECKS
from hauberk.data.reading.loading import DataSpec, load


def run(name, split):
    entry = CHECKS[name]
    return entry.run(split, entry.make({}), rng=np.random.default_rng(0), task=Quiet())


def test_adult_is_read_with_categories_and_missing_values(datasets):
    split = load(DataSpec("table", (str(datasets / "adult.parquet"),), target="income", limit=6000), seed=0)
    assert split.train.classes == ("<=50K", ">50K")
    assert (len(split.train), len(split.test)) == (4800, 1200)
    assert split.train.y.mean() == pytest.approx(0.24, abs=0.01)
    kinds = {column.name: column for column in split.train.columns}
    assert kinds["age"].kind is ColumnKind.INTEGER
    assert "missing" in kinds["workclass"].categories
    assert run("leakage", split).metrics["leaked_share"] < 0.01
    assert run("poisoning", split).metrics["poison_suspect_share"] < 0.005


def test_the_street_signs_keep_their_own_split_and_share_no_track(datasets):
    split = load(DataSpec("image", (str(datasets / "gtsrb-32x32.npz"),)), seed=0)
    assert split.train.x.shape == (7250, 3, 32, 32)
    assert len(split.test) == 1629
    assert len(split.train.classes) == 43
    found = run("leakage", split)
    assert (found.metrics["shared_groups"], found.metrics["leaked_rows"]) == (0, 0)


def test_fashion_mnist_is_read_from_its_official_pair(datasets):
    def pair(part):
        return tuple(str(datasets / f"fashion-{part}-{what}-ubyte.gz") for what in ("labels-idx1", "images-idx3"))

    split = load(DataSpec("image", pair("train30k"), pair("test"), limit=2000), seed=0)
    assert split.train.x.shape == (1500, 1, 28, 28)
    assert len(split.test) == 500
    assert run("leakage", split).metrics["leaked_share"] < 0.01


def test_german_credit_reads_integer_classes_with_names(datasets):
    spec = DataSpec("table", (str(datasets / "german-credit.parquet"),), target="risk", labels=("good", "bad"))
    split = load(spec, seed=0)
    assert split.train.classes == ("good", "bad")
    assert np.concatenate([split.train.y, split.test.y]).mean() == pytest.approx(0.3)
    assert run("schema", split).metrics["far_out_of_range_share"] < 0.05
