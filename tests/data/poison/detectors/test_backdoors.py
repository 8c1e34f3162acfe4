"""Backdoors: a mark that explains wrong labels is found; wrong labels alone, hard rows and films are not one."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.datasets import load_digits

from hauberk.attacks.poisoning import POISONERS, Victim
from hauberk.core.errors import InvalidInput
from hauberk.core.progress import Quiet
from hauberk.data.poison.detectors import DETECTORS, Rows, _nets, _signature
from hauberk.data.poison.detectors.backdoors import _at_least
from hauberk.data.reading.dataset import Dataset

BACKDOORS = DETECTORS["backdoors"]


@pytest.fixture(scope="module")
def digits():
    found = load_digits()
    x = np.kron(found.images, np.ones((2, 2)))[:, None] / 16
    return Victim(x.astype(np.float32), found.target.astype(np.int64), 10)


def poisoned(victim, attack, seed=1, **params):
    entry = POISONERS[attack]
    return entry.run(victim, entry.make(params), rng=np.random.default_rng(seed), task=Quiet())


def rows_of(x, y, shows=None):
    """Return rows; `shows` stands for a blind look that is never wrong, so that the search for a mark is asked alone."""
    rows = Rows("image", Dataset("image", x, y, tuple(map(str, range(10))), (), np.arange(len(y))))
    if shows is not None:
        looks = np.where(y == shows, (y + 1) % 10, shows)
        rows.__dict__["contradiction"] = np.where(y == shows, -3.0, 3.0), looks
    return rows


def asked(rows):
    return BACKDOORS.run(rows, BACKDOORS.make({}), rng=np.random.default_rng(0), task=Quiet())


@pytest.mark.parametrize(("attack", "share"), [("patch", 0.06), ("blend", 0.06), ("all-to-all", 0.12)])
def test_rows_with_a_mark_are_found_and_honest_ones_are_not(digits, attack, share):
    found = poisoned(digits, attack, share=share)
    said = asked(rows_of(found.x, found.y, digits.y))
    assert (said.score[found.poison] > 2.9).mean() > 0.85
    assert (said.score[~found.poison] > 2.9).mean() < 0.005
    row = int(np.flatnonzero(found.poison & (said.score > 2.9))[0])
    assert "carries a mark" in said.reasons[row]
    assert said.suggested[row] == digits.y[row]


def test_a_patch_is_found_by_a_blind_look_of_its_own(digits):
    found = poisoned(digits, "patch", share=0.06)
    said = asked(rows_of(found.x, found.y))
    assert (said.score[found.poison] > 2.9).mean() > 0.8
    assert (said.score[~found.poison] > 2.9).mean() < 0.005


def test_wrong_labels_alone_are_no_mark(digits):
    flipped = poisoned(digits, "symmetric-flips", share=0.2)
    assert not asked(rows_of(flipped.x, flipped.y, digits.y)).score.any()


def known(victim, y, *, suspects, others):
    honest = y == victim.y
    return _signature.transfers(
        _nets.tensor(victim.x),
        y,
        suspects=suspects,
        others=others,
        looks=victim.y,
        honest=honest,
        rng=np.random.default_rng(0),
        seed=0,
    )


def test_what_is_hard_in_every_class_proves_no_class(digits):
    """All suspects are dim, whichever class they are in: without the others to compare with, that would be a mark."""
    y, x = digits.y.copy(), digits.x.copy()
    wrong = np.random.default_rng(2).permutation(len(y))[:500]
    y[wrong] = (y[wrong] + np.random.default_rng(3).integers(1, 10, 500)) % 10
    x[wrong] = 0.3 * x[wrong] + 0.3
    dim = Victim(x, digits.y, 10)
    suspects = wrong[y[wrong] == 4]
    alone, of_alone = known(dim, y, suspects=suspects, others=wrong[:0])
    beside, of_beside = known(dim, y, suspects=suspects, others=np.setdiff1d(wrong, suspects))
    assert _at_least(len(alone), of_alone) > 0.5
    assert _at_least(len(beside), of_beside) < 0.15


def test_frames_of_one_film_are_asked_about_once(digits):
    frames = np.repeat(digits.x[:6], 20, axis=0)
    frames = np.clip(frames + np.random.default_rng(0).normal(0, 0.02, frames.shape), 0, 1).astype(np.float32)
    apart = _signature._apart(_nets.tensor(np.concatenate([frames, digits.x[6:9]])), np.arange(123))
    assert apart.tolist() == [0, 20, 40, 60, 80, 100, 120, 121, 122]


def test_the_lower_end_of_a_share_asks_for_more_from_few():
    assert _at_least(10, 46) < 0.15 < _at_least(71, 282)
    assert _at_least(0, 30) == pytest.approx(0, abs=1e-12)


@pytest.mark.parametrize("params", [{"fewest": 7}, {"transfer": 0}, {"transfer": 1.1}, {"classes": 0}])
def test_impossible_parameters_are_refused(params):
    with pytest.raises(InvalidInput, match="expected fewest"):
        BACKDOORS.make(params)
