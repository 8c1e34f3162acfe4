"""Early stopping: keeps the best epoch under attack, and ends a run without further gains."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from hauberk import training
from hauberk.attacks.budget import Ball
from hauberk.core.threats import Norm
from hauberk.training import Hardening, Options, heldout, methods
from hauberk.training.heldout import HeldOut
from hauberk.training.options import recipe_of
from hauberk.training.state import State
from hauberk.training.stopping import Stopping
from hauberk.training.watching import Plain

BUDGET = Ball(Norm.LINF, 0.1)


class Told(HeldOut):
    """Rows with predefined accuracies under attack; unchanged rows are all classified correctly."""

    def __init__(self, figures):
        self.figures = list(figures)

    def accuracy(self, module, method):  # noqa: ARG002 - the signature of HeldOut
        return 1.0 if isinstance(method, Plain) else self.figures.pop(0)


def state_of(average=0.0):
    spec = training.Spec("image", (1, 8, 8), 10)
    return State.fresh(nn.Linear(2, 2), recipe_of(Options(average=average), spec), seed=0, device="cpu")


def test_the_best_epoch_is_kept_and_the_run_stops_after_its_patience():
    state, weights = state_of(), []
    stopping = Stopping(Told([0.5, 0.7, 0.7, 0.6, 0.4, 0.3]), strong=None, patience=3)
    for epoch in range(7):
        with torch.no_grad():
            state.module.weight.add_(1.0)
        weights.append(state.module.weight.detach().clone())
        assert not stopping.stop
        stopping.after(epoch, state)
    assert stopping.stop
    assert stopping.best_epoch == 3  # of two equal ones the later
    stopping.finish(state)
    assert torch.equal(state.module.weight, weights[3])
    assert "epoch 3 were kept" in stopping.notes()[0]


def test_a_stopped_run_is_still_stopped_after_it_is_restored():
    state = state_of()
    stopping = Stopping(Told([0.5, 0.4]), strong=None, patience=1)
    for epoch in (1, 2):
        stopping.after(epoch, state)
    again = Stopping(Told([]), strong=None, patience=1)
    again.recall(stopping.remember())
    assert again.stop
    assert again.best_epoch == 1


def test_while_rate_and_budget_grow_patience_does_not_count():
    state = state_of()
    stopping = Stopping(Told([0.9, 0.1, 0.1, 0.1, 0.1]), strong=None, patience=2, start=3)
    seen = []
    for epoch in range(1, 6):
        stopping.after(epoch, state)
        seen.append(stopping.stop)
    assert seen == [False, False, False, False, True]


def test_with_an_average_the_average_is_measured_and_kept():
    state = state_of(0.5)
    stopping = Stopping(Told([0.9, 0.1]), strong=None, patience=5)
    stopping.after(1, state)
    best = state.kept.weight.detach().clone()
    with torch.no_grad():
        state.kept.weight.add_(1.0)
    stopping.after(2, state)
    stopping.finish(state)
    state.settle()
    assert torch.equal(state.module.weight, best)


def test_training_stops_early_and_the_kept_weights_score_as_measured(digits):
    def linear(spec):
        return nn.Sequential(nn.Flatten(), nn.Linear(64, spec.classes))

    hardening = Hardening((BUDGET,), "pgd", {"warmup": 0.0}, patience=3)
    outcome = training.train(
        linear, digits.spec, digits.x, digits.y, hardening=hardening, options=Options(epochs=60), seed=1
    )
    measured = outcome.series["held_out_robust_accuracy"]
    assert outcome.metrics["epochs"] < 60
    assert outcome.metrics["epochs"] == outcome.metrics["best_epoch"] + 3
    out, _ = heldout.split(len(digits.x), 1)
    held = HeldOut(digits.x[out], digits.y[out], device="cpu", seed=1)
    strong = methods.for_torch("pgd", methods._WATCHING, (BUDGET,))
    best = next(point["y"] for point in measured if point["x"] == outcome.metrics["best_epoch"])
    assert held.accuracy(outcome.model.module, strong) == best
    clean = {point["x"]: point["y"] for point in outcome.series["held_out_clean_accuracy"]}
    assert list(clean) == [point["x"] for point in measured]
    scores = outcome.model.scores(digits.x[out])
    assert clean[outcome.metrics["best_epoch"]] == pytest.approx((scores.argmax(axis=1) == digits.y[out]).mean())
