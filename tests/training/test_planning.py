"""Planning: chooses the strongest method that gets the epochs it needs, and reports the timings."""

from __future__ import annotations

import itertools
import math
from dataclasses import replace

import numpy as np
import pytest
from sklearn.ensemble import GradientBoostingClassifier
from torch import nn

from hauberk import training
from hauberk.attacks.budget import Ball
from hauberk.core.errors import InvalidInput
from hauberk.core.threats import Norm
from hauberk.training import Hardening, Options, fitting, heldout, loop, methods, planning

BUDGET = Ball(Norm.LINF, 0.1)


@pytest.fixture(scope="module")
def many(digits):
    """More rows than the digits have: each three times."""
    return replace(digits, x=np.concatenate([digits.x] * 3), y=np.concatenate([digits.y] * 3))


def mlp(spec):
    return nn.Sequential(nn.Flatten(), nn.Linear(spec.features, 16), nn.ReLU(), nn.Linear(16, spec.classes))


def planned(digits, minutes, *, method="auto", options=None, build=mlp, patience=None):
    """A clock that advances by a second at each reading: a batch takes a second, and so do the held-out rows."""
    ticks = itertools.count()
    hardening = Hardening((BUDGET,), method, patience=patience)
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


LADDER = methods.ladder()


@pytest.mark.parametrize(("rung", "epochs"), [(0, None), (1, None), (2, None), (0, 500)])
def test_the_strongest_method_that_gets_its_epochs_is_taken(digits, rung, epochs):
    """Given exactly the epochs that a method needs, no stronger one fits, and no weaker one is taken."""
    method, least = LADDER[rung]
    an_epoch = len(digits.x) / 128 + 1  # seconds, by that clock
    found = planned(digits, ((epochs or least) + 0.5) * an_epoch / 60 / 0.9)
    assert (found.method, found.epochs) == (method, least if epochs is None else 60)
    assert ", ".join(f"{name} 10.8 s" for name, _ in LADDER) in found.notes[0]
    refused = [note for note in found.notes if "needs" in note]
    assert len(refused) == rung
    assert any("rarely pay" in note for note in found.notes) == (epochs == 500)


def test_a_method_that_was_named_is_kept_and_gets_the_epochs_that_fit(digits):
    an_epoch = len(digits.x) / 128 + 1
    for method in ("mart", "trades"):
        found = planned(digits, 3.5 * an_epoch / 60 / 0.9, method=method)
        assert (found.method, found.epochs) == (method, 3)


def test_less_time_than_one_epoch_is_noted(digits):
    found = planned(digits, 0.001)
    assert found.epochs == 1
    assert "Not one epoch fits" in found.notes[-2]


@pytest.mark.parametrize(
    ("epochs", "patience", "words"), [(40, 20, "20 epochs"), (15, 8, "8 epochs"), (1, 1, "1 epoch")]
)
def test_the_best_epoch_is_kept_without_a_declared_patience(many, epochs, patience, words):
    found = planned(many, (epochs + 0.5) * (len(many.x) / 128 + 1) / 60 / 0.9)
    assert found.patience == patience
    assert f"Training ends early after {words} without a gain" in found.notes[-1]


@pytest.mark.parametrize("patience", [0, 3])
def test_a_declared_patience_is_kept_without_a_note(many, patience):
    found = planned(many, 10, patience=patience)
    assert found.patience == patience
    assert not any("kept" in note for note in found.notes)


def test_with_few_rows_the_last_epoch_is_kept(many):
    """With at most 255 held-out rows, the best epoch is a matter of luck, so the plan keeps the last."""
    few = replace(many, x=many.x[:2559], y=many.y[:2559])
    found = planned(few, 10)
    assert found.patience == 0
    assert "The last epoch is kept: too few rows" in found.notes[-1]
    enough = planned(replace(many, x=many.x[:2560], y=many.y[:2560]), 10)
    assert enough.patience == math.ceil(enough.epochs / 2)


def test_training_for_a_certificate_keeps_its_last_epoch(many):
    found = planned(many, 10, method="ibp")
    assert (found.method, found.patience) == ("ibp", 0)
    assert not any("kept" in note for note in found.notes)


def test_no_planned_run_ends_before_three_quarters():
    """Worst case: the first epoch is the best, and patience counts from the end of the learning rate's rise."""
    for epochs in range(1, 61):
        patience = planning._patience(Hardening((BUDGET,)), "pgd", epochs, 5000)
        assert math.ceil(epochs * loop.RISE) + patience >= 0.75 * epochs
        assert 1 <= patience <= epochs


def test_the_plan_includes_the_time_of_measuring(digits, monkeypatch):
    """A clock that only held-out rows advance: an epoch takes the time of its measurements, 0 without them."""
    now = [0.0]
    accuracy = heldout.HeldOut.accuracy

    def slow(*arguments):
        now[0] += 1.0
        return accuracy(*arguments)

    monkeypatch.setattr(heldout.HeldOut, "accuracy", slow)
    module = fitting.encoded(mlp(digits.spec), digits.spec, digits.x)
    seconds = []
    for patience in (0, 4):
        hardening = Hardening((BUDGET,), "pgd", patience=patience)
        job = planning._Job(
            digits.spec, digits.x, digits.y, hardening, Options(), 1.0, 0, "cpu", clock=lambda: now[0]
        )
        seconds.append(planning._epoch(module, job))
    assert seconds == [0, 2]  # under PGD, and as they are


def test_a_plan_can_be_trained(digits):
    found = planned(digits, 0.5, options=Options(batch=64))
    hardening = Hardening((BUDGET,), found.method, found.params, patience=found.patience)
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
def test_minutes_out_of_range_are_refused(digits, minutes):
    with pytest.raises(InvalidInput, match="minutes must be above 0"):
        planned(digits, minutes)


def test_epochs_beside_minutes_are_refused(digits):
    with pytest.raises(InvalidInput, match="leave `epochs` out"):
        planned(digits, 1, options=Options(epochs=5))
