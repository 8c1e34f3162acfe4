from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from scipy.stats import beta

from hauberk.attacks.budget import Ball
from hauberk.attacks.campaign import INTERRUPTED, Chosen, campaign, interval
from hauberk.attacks.evasion import ATTACKS
from hauberk.core.errors import InvalidInput, Unavailable
from hauberk.core.threats import Norm


def chosen(*names, **values):
    return [Chosen(name, ATTACKS[name].run, ATTACKS[name].make(values)) for name in names]


BALL = Ball(Norm.LINF, 0.02)


def run(model, x, y, attacks=None, **options):
    attacks = chosen("pgd", "square") if attacks is None else attacks
    return campaign(model, x, y, budgets=[BALL] * len(attacks), attacks=attacks, seed=0, **options)


def test_robust_rows_are_fooled_by_no_attack_and_the_closed_form_agrees(linear):
    model, x, y, weights, bias = linear
    found = run(model, x, y)
    falls = np.abs(x.reshape(len(x), -1) @ weights + bias) < 0.02 * np.abs(weights).sum()
    assert found.robust.share == pytest.approx(1 - falls.mean(), abs=0.01)
    assert sorted(found.order.tolist()) == list(range(300))
    first, second = found.attempts
    assert len(second.rows) == len(first.rows) - first.fooled.sum(), "the second gets what the first left"
    assert int(found.fooled.sum()) == first.fooled.sum() + second.fooled.sum()
    told = model.scores(found.x).argmax(axis=1) != found.y
    np.testing.assert_array_equal(told & found.right, found.fooled)
    assert found.partial == ""


def test_the_interval_is_clopper_and_pearsons():
    found = interval(37, 50, confidence=0.9)
    assert found.low == pytest.approx(beta.ppf(0.05, 37, 14))
    assert found.high == pytest.approx(beta.ppf(0.95, 38, 13))
    assert interval(50, 50, confidence=0.95).high == 1.0


def test_it_stops_once_the_interval_is_narrow_enough_and_not_before(linear):
    model, x, y, _, _ = linear
    x, y = np.tile(x, (10, 1, 1, 1)), np.tile(y, 10)
    found = run(model, x, y, chosen("pgd", steps=5), precision=0.08)
    assert found.robust.half <= 0.08
    assert 100 < len(found.order) < 1500
    wider = interval(round(found.robust.share * len(found.order)), len(found.order), confidence=0.95)
    assert found.robust.half > wider.half, "looking often is paid for"
    assert run(model, x[:200], y[:200], chosen("pgd", steps=5), precision=0.01).wanted == 200


def test_repeated_checks_keep_the_confidence_of_the_interval():
    """A fair coin under early stopping: the interval that ended it holds its truth in at least 90 of 100 runs."""
    rng = np.random.default_rng(5)
    wrong = 0
    for _ in range(100):
        flips, n, look = rng.random(4000) < 0.5, 32, 0
        while True:
            look += 1
            found = interval(int(flips[:n].sum()), n, confidence=1 - 0.1 / (look * (look + 1)))
            if found.half <= 0.08 or n >= 4000:
                break
            n = min(4000, n + min(512, n))
        wrong += not found.low <= 0.5 <= found.high
    assert wrong / 100 <= 0.1


class Breaking:
    """Goes away, or is interrupted, after some questions."""

    def __init__(self, model, after, error):
        self._model, self.left, self._error = model, after, error
        self.classes = model.classes

    def scores(self, x):
        self.left -= len(x)
        if self.left < 0:
            raise self._error
        return self._model.scores(x)


@pytest.mark.parametrize(
    ("error", "told"),
    [(KeyboardInterrupt(), INTERRUPTED), (Unavailable("the service is gone."), "the service is gone.")],
)
def test_finished_batches_are_kept_and_marked_partial(linear, error, told):
    model, x, y, _, _ = linear
    attacks = chosen("square", queries=20)
    whole = run(model, x, y, attacks)
    part = run(Breaking(model, 3000, error), x, y, attacks)
    assert part.partial == told
    m = len(part.order)
    assert 32 <= m < 300
    np.testing.assert_array_equal(part.order, whole.order[:m])
    np.testing.assert_array_equal(part.fooled, whole.fooled[:m])
    assert part.robust.low < whole.robust.share < part.robust.high
    with pytest.raises(type(error)):
        run(Breaking(model, 10, error), x, y, attacks)


def test_success_by_queries_rises_to_the_success(linear):
    model, x, y, _, _ = linear
    found = run(model, x, y, chosen("square", queries=100))
    (attempt,) = found.attempts
    points = found.success_by_queries(attempt)
    assert points[0] == {"x": 0.0, "y": 0.0}
    assert points[-1]["y"] == pytest.approx(attempt.success)
    assert all(a["x"] <= b["x"] and a["y"] <= b["y"] for a, b in pairwise(points))


@pytest.mark.parametrize(
    ("options", "message"),
    [({"precision": 0.7}, "half the width"), ({"confidence": 1.0}, "0.95"), ({"attacks": []}, "attacks")],
)
def test_bad_settings_are_refused(linear, options, message):
    model, x, y, _, _ = linear
    with pytest.raises(InvalidInput, match=message):
        run(model, x, y, **options)
    with pytest.raises(InvalidInput, match="no rows"):
        run(model, x[:0], y[:0])
