from __future__ import annotations

import math

import numpy as np
import pytest

from hauberk.attacks import evasion
from hauberk.attacks.budget import Ball
from hauberk.attacks.evasion import ATTACKS
from hauberk.core.errors import InvalidInput
from hauberk.core.progress import Quiet
from hauberk.core.threats import Norm

torch = pytest.importorskip("torch")


class LabelsOnly:
    """Says the class and nothing of how sure it is; counts what it is asked about."""

    def __init__(self, model):
        self._model, self.asked = model, 0

    classes = 2

    def scores(self, x):
        self.asked += len(x)
        return np.eye(2, dtype=np.float32)[self._model.scores(x).argmax(axis=1)]


@pytest.mark.parametrize("norm", ["l2", "linf"])
def test_it_comes_near_to_the_smallest_change_that_there_is(linear, norm):
    """For a plane the distance is known, in L2 and, by the dual norm, in L-inf."""
    model, x, y, weights, bias = linear
    x, y = x[:60], y[:60]
    found = evasion.hop_skip_jump(LabelsOnly(model), x, y, norm=norm, queries=1500)
    value = np.abs(x.reshape(len(x), -1) @ weights + bias)
    least = value / (np.linalg.norm(weights) if norm == "l2" else np.abs(weights).sum())
    assert found.success == 1.0
    ratio = found.verdicts.distance / least
    assert (ratio >= 1 - 1e-4).all(), "nearer than the plane would be a bug of the measure"
    assert np.median(ratio) < 1.25


def test_more_queries_come_nearer_and_are_never_exceeded(linear):
    model, x, y, _, _ = linear
    far, near = (evasion.hop_skip_jump(model, x[:40], y[:40], norm="l2", queries=q) for q in (150, 1000))
    assert np.median(near.verdicts.distance) < 0.85 * np.median(far.verdicts.distance)
    assert far.verdicts.queries.max() <= 150
    assert near.verdicts.queries.max() <= 1000
    assert near.verdicts.queries.min() > 900, "what is given is used"


def test_queries_are_what_the_model_was_asked(linear):
    model, x, y, _, _ = linear
    door = LabelsOnly(model)
    entry = ATTACKS["hop-skip-jump"]
    tried = entry.run(
        door, x[:9], y[:9], Ball(Norm.L2, math.inf), entry.make({"queries": 77}), rng=np.random.default_rng(0), task=Quiet()
    )  # fmt: skip
    assert door.asked == tried.queries.sum()


def test_inside_a_radius_it_stops_early_and_stays_allowed(linear):
    model, x, y, weights, bias = linear
    eps = 0.07
    found = evasion.hop_skip_jump(model, x, y, norm="l2", eps=eps, queries=800)
    can = np.abs(x.reshape(len(x), -1) @ weights + bias) < 0.9 * eps * np.linalg.norm(weights)
    assert found.verdicts.allowed.all()
    assert found.verdicts.fooled[can].mean() > 0.95
    fell = found.verdicts.fooled
    assert found.verdicts.queries[fell].mean() < 0.5 * found.verdicts.queries[~fell].mean()


def test_the_attack_on_a_row_does_not_depend_on_the_other_rows(linear):
    model, x, y, _, _ = linear
    whole = evasion.hop_skip_jump(model, x[:20], y[:20], norm="linf", queries=300, generator=4)
    one = evasion.hop_skip_jump(model, x[7:8], y[7:8], norm="linf", queries=300, generator=4)
    np.testing.assert_array_equal(one.x[0], whole.x[7])


class Stubborn:
    """Says 0 whatever it sees but for one row of pixels: no start is found, and no batch is aborted."""

    classes = 2

    def scores(self, x):
        second = (x.reshape(len(x), -1)[:, 0] == np.float32(0.123)).astype(np.float32)
        return np.stack([1 - second, second], axis=1)


def test_a_row_without_a_start_counts_as_robust_and_the_others_continue():
    rng = np.random.default_rng(0)
    x = rng.random((6, 1, 5, 5), dtype=np.float32)
    x[:2, 0, 0, 0] = 0.123
    y = Stubborn().scores(x).argmax(axis=1)
    found = evasion.hop_skip_jump(Stubborn(), x, y, norm="l2", queries=200)
    np.testing.assert_array_equal(found.verdicts.fooled, [True, True, False, False, False, False])
    np.testing.assert_array_equal(found.x[2:], x[2:])
    assert found.verdicts.queries[2:].max() <= 100


def test_no_queries_left_is_no_error(linear):
    model, x, y, _, _ = linear
    found = evasion.hop_skip_jump(model, x[:5], y[:5], norm="l2", queries=1)
    assert found.verdicts.queries.max() <= 1
    with pytest.raises(InvalidInput, match="queries"):
        evasion.hop_skip_jump(model, x[:5], y[:5], norm="l2", queries=0)
    with pytest.raises(InvalidInput, match="l1"):
        evasion.hop_skip_jump(model, x[:5], y[:5], norm="l1")
