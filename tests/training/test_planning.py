"""Planning: the strongest method that gets the epochs it needs, told with the figures; nothing is searched."""

from __future__ import annotations

import itertools

import pytest
from sklearn.ensemble import GradientBoostingClassifier
from torch import nn

from hauberk import training
from hauberk.attacks.budget import Ball
from hauberk.core.errors import InvalidInput
from hauberk.core.threats import Norm
from hauberk.training import Hardening, Options

BUDGET = Ball(Norm.LINF, 0.1)


def mlp(spec):
    return nn.Sequential(nn.Flatten(), nn.Linear(spec.features, 16), nn.ReLU(), nn.Linear(16, spec.classes))


def planned(digits, minutes, *, method="auto", options=None, build=mlp):
    """A clock that ticks once a second at each look: a batch takes a second, whatever the method."""
    ticks = itertools.count()
    hardening = Hardening((BUDGET,), method)
    return training.plan(
        build,
        digits.spec,
        digits.x,
        digits.y,
        hardening=hardening,
        minutes=minutes,
        options=options,
        clock=lambda: float(next(ticks)),
    )


@pytest.mark.parametrize(
    ("epochs", "method", "gets"), [(40, "trades", 40), (15, "pgd", 15), (5, "n-fgsm", 5), (500, "trades", 60)]
)
def test_the_strongest_method_that_gets_its_epochs_is_taken(digits, epochs, method, gets):
    an_epoch = len(digits.x) / 128  # seconds, by that clock
    found = planned(digits, (epochs + 0.5) * an_epoch / 60 / 0.9)
    assert (found.method, found.epochs) == (method, gets)
    assert "trades 9.82 s, pgd 9.82 s, n-fgsm 9.82 s" in found.notes[0]
    refused = [note for note in found.notes if "needs" in note]
    assert len(refused) == {"trades": 0, "pgd": 1, "n-fgsm": 2}[method]
    assert any("rarely pay" in note for note in found.notes) == (epochs == 500)


def test_a_method_that_was_named_is_kept_and_gets_the_epochs_that_fit(digits):
    an_epoch = len(digits.x) / 128
    for method in ("mart", "trades"):
        found = planned(digits, 3.5 * an_epoch / 60 / 0.9, method=method)
        assert (found.method, found.epochs) == (method, 3)


def test_less_time_than_one_epoch_is_told(digits):
    found = planned(digits, 0.001)
    assert found.epochs == 1
    assert "Not one epoch fits" in found.notes[-1]


def test_what_is_planned_trains(digits):
    found = planned(digits, 0.5, options=Options(batch=64))
    hardening = Hardening((BUDGET,), found.method, found.params)
    options = Options(epochs=min(2, found.epochs), batch=64)
    outcome = training.train(mlp, digits.spec, digits.x, digits.y, hardening=hardening, options=options)
    assert outcome.method == found.method


def test_an_estimator_gets_rounds(cancer):
    ticks = itertools.count(step=6)
    found = training.plan(
        lambda: GradientBoostingClassifier(n_estimators=3),
        cancer.spec,
        cancer.x,
        cancer.y,
        hardening=Hardening((cancer.budget,), params={"rows": 20}),
        minutes=1,
        clock=lambda: float(next(ticks)),
    )
    assert (found.method, found.epochs) == ("augment", None)
    assert found.params == {"rows": 20, "rounds": 7}  # 54 of 60 seconds, 6 each, and two fits more
    assert "took 6 s" in found.notes[0]


@pytest.mark.parametrize("minutes", [0, -1, float("inf"), float("nan")])
def test_no_time_is_refused(digits, minutes):
    with pytest.raises(InvalidInput, match="minutes must be above 0"):
        planned(digits, minutes)


def test_epochs_beside_minutes_are_refused(digits):
    with pytest.raises(InvalidInput, match="leave `epochs` out"):
        planned(digits, 1, options=Options(epochs=5))
