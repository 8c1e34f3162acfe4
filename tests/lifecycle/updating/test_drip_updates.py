"""A slow drip over whole updates: batch after batch is promoted, until the history says stop; an honest twin goes on."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.datasets import load_digits

import hauberk
from hauberk.core.errors import Refused
from hauberk.lifecycle.updating.update import update

DATA = """
files = ["base.csv"]
target = "digit"
poison = "stop"
"""
DECLARED = """
[[threats]]
kind = "poisoning"
share = 0.05

[gate]
clean_accuracy = ">= 0.8"
"""
BASE, BATCH, COUNT = 900, 80, 8


def lines(x, y):
    head = ",".join([*(f"p{i}" for i in range(x.shape[1])), "digit"])
    return (
        "\n".join([head, *(",".join([*map(str, row), f"d{label}"]) for row, label in zip(x, y, strict=True))])
        + "\n"
    )


@pytest.fixture
def post(tmp_path, cells_project, cheap_keys, quiet):
    """Handwritten digits, each as the ink in 16 fields, and batches of which a few ones are called sevens."""
    data = load_digits()
    order = np.random.default_rng(2).permutation(len(data.target))
    x = data.images[order].reshape(-1, 4, 2, 4, 2).sum(axis=(2, 4)).reshape(-1, 16).astype(int)
    y = data.target[order]
    cheap_keys(tmp_path / ".hauberk" / "keyring")
    cells_project(tmp_path, DECLARED, fit="C=0.1, max_iter=300", data=DATA)
    (tmp_path / "base.csv").write_text(lines(x[:BASE], y[:BASE]))
    how = quiet(tmp_path)
    assert hauberk.protect(tmp_path, **how).allowed

    def offer(number, wrong):
        part = slice(BASE + BATCH * number, BASE + BATCH * (number + 1))
        labels = y[part].copy()
        ones = np.flatnonzero(labels == 1)
        labels[np.random.default_rng(number).choice(ones, min(wrong, len(ones)), replace=False)] = 7
        (tmp_path / f"new{number}.csv").write_text(lines(x[part], labels))
        return update(tmp_path, data=[str(tmp_path / f"new{number}.csv")], **how)

    return offer


def refused(post, number, wrong):
    try:
        post(number, wrong)
    except Refused as error:
        return "the trusted rows firmly contradict" in str(error)
    return False


@pytest.mark.slow
def test_a_drip_that_passes_batch_by_batch_is_stopped_by_the_history(post):
    assert post(0, 3).promoted
    assert not post(1, 3).alarms
    stopped = [number for number in range(2, COUNT) if refused(post, number, 3)]
    assert stopped
    assert stopped == list(range(stopped[0], COUNT))
    # It stays stopped: an honest batch does not thin the poison that was learned out of sight.
    assert refused(post, COUNT, 0)


@pytest.mark.slow
def test_its_honest_twin_is_never_stopped(post):
    for number in range(5):
        assert not post(number, 0).alarms
