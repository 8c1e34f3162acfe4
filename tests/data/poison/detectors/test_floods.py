"""Floods: what is repeated more than these data usually repeat, whatever their usual is."""

from __future__ import annotations

import numpy as np
import pytest

from hauberk.attacks.poisoning import POISONERS, Victim
from hauberk.core.columns import Column, ColumnKind
from hauberk.core.errors import InvalidInput
from hauberk.core.progress import Quiet
from hauberk.data.poison import neighbours
from hauberk.data.poison.detectors import DETECTORS, Rows
from hauberk.data.poison.detectors.floods import alike
from hauberk.data.reading.dataset import Dataset

NUMBERS = tuple(Column(f"n{i}", ColumnKind.NUMBER, -4.0, 4.0) for i in range(4))


def rows_of(x, y, columns=NUMBERS):
    return Rows("table", Dataset("table", x.astype(np.float32), y, ("a", "b"), columns, np.arange(len(y))))


def asked(rows, **values):
    entry = DETECTORS["floods"]
    return entry.run(rows, entry.make(values), rng=np.random.default_rng(0), task=Quiet())


def poisoned(x, y, jitter=0.0, share=0.05):
    entry = POISONERS["flood"]
    victim = Victim(x.astype(np.float32), y, 2, NUMBERS)
    return entry.run(
        victim, entry.make({"share": share, "jitter": jitter}), rng=np.random.default_rng(1), task=Quiet()
    )


@pytest.mark.parametrize("repeats", [1, 6])
def test_a_flood_is_found_beside_natural_repeats(repeats):
    rng = np.random.default_rng(0)
    x = np.repeat(rng.normal(size=(1800 // repeats, 4)), repeats, axis=0)
    found = poisoned(x, rng.integers(0, 2, len(x)))
    said = asked(rows_of(found.x, found.y))
    assert (said.score[found.poison] >= 2).all()
    copied = (found.x[:, None] == np.unique(found.x[found.poison], axis=0)[None]).all(axis=2).any(axis=1)
    honest = ~found.poison & ~copied
    assert not said.score[honest].any()
    assert not asked(rows_of(x, rng.integers(0, 2, len(x)))).score.any()


def test_copies_that_were_moved_a_little_are_copies():
    rng = np.random.default_rng(2)
    x = rng.normal(size=(1500, 4))
    found = poisoned(x, rng.integers(0, 2, len(x)), jitter=0.0005)
    said = asked(rows_of(found.x, found.y))
    assert (said.score[found.poison] >= 2).mean() > 0.95


def test_counts_are_those_of_a_plain_loop():
    rng = np.random.default_rng(3)
    values = np.repeat(rng.normal(size=(30, 3)), 3, axis=0).astype(np.float32)
    blocks = rng.integers(0, 3, len(values))
    features = neighbours.Features(values, blocks)
    counted = alike(features, 0.5, task=Quiet())
    for row in range(len(values)):
        near = np.linalg.norm(values - values[row], axis=1) <= 0.5
        assert counted[row] == (near & (blocks == blocks[row])).sum()


def test_impossible_parameters_are_refused():
    with pytest.raises(InvalidInput, match="copies >= 2"):
        DETECTORS["floods"].make({"copies": 1})
