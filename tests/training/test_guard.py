"""The guard: a collapse is provoked on real digits, seen, undone and told; without one, nothing happens."""

# ruff: noqa: ARG001, ARG005 - steps have the shape of their family, whether they look at all of it or not

from __future__ import annotations

import copy

import numpy as np
import pytest
import torch
from torch import nn

from hauberk import training
from hauberk.attacks.budget import Ball
from hauberk.core.progress import Quiet
from hauberk.core.threats import Norm
from hauberk.training import Hardening, Options, loop, methods
from hauberk.training.guard import Guard
from hauberk.training.options import recipe_of

EPS = 0.15
BUDGET = Ball(Norm.LINF, EPS)
RECIPE = recipe_of(Options(epochs=20, learning_rate=6e-3), training.Spec("image", (1, 8, 8), 10))


def build(spec):
    return nn.Sequential(nn.Flatten(), nn.Linear(64, 128), nn.ReLU(), nn.Linear(128, spec.classes))


def blind_step(module, x, y, *, rng, strength):
    """A single step that the model has learnt to send astray, as it does under catastrophic overfitting.

    Small networks on 8 x 8 pictures do not collapse by themselves, so the end of that road is built: the step that
    is trained on has lost its tie to the true gradient, while its size is the whole budget.
    """
    direction = torch.sign(torch.rand(x.shape[1:], generator=torch.Generator().manual_seed(0)) - 0.5)
    return (x + strength * EPS * direction).clip(0, 1)


@pytest.fixture(scope="module")
def robust(digits):
    hard = Hardening((BUDGET,), "pgd", {"steps": 5, "step": 0.3})
    options = Options(epochs=25, learning_rate=4e-3)
    return training.train(build, digits.spec, digits.x, digits.y, hardening=hard, options=options).model


def pgd(steps):
    return methods.for_torch("pgd", {"steps": steps, "step": 0.3}, (BUDGET,)).perturb


def accuracy(module, x, y):
    changed = pgd(20)(module, x, y, rng=torch.Generator().manual_seed(9), strength=1.0)
    return float((module(changed).argmax(1) == y).float().mean())


def tuned(robust, digits, *, guarded):
    module = copy.deepcopy(robust.module)
    run = loop.Run(RECIPE, 0, "cpu", perturb=blind_step)
    guard = None
    if guarded:
        x, y = torch.from_numpy(digits.x[:150]), torch.from_numpy(digits.y[:150])
        guard = Guard(x, y, single=blind_step, strong=pgd(10), fallback=pgd(5), seed=0)
        run.watch = guard
    history = loop.train(module, digits.x[150:], digits.y[150:], run, Quiet())
    return module, guard, history


def test_a_collapse_is_seen_and_undone_and_without_the_guard_it_stays(robust, digits):
    x, y = torch.from_numpy(digits.x_test), torch.from_numpy(digits.y_test)
    before = accuracy(robust.module, x, y)
    without, _, _ = tuned(robust, digits, guarded=False)
    with_guard, guard, history = tuned(robust, digits, guarded=True)
    assert before > 0.5
    assert accuracy(without, x, y) < before - 0.2
    assert accuracy(with_guard, x, y) > before - 0.08
    assert len(guard.collapses) == 1
    seen = next(entry for entry in history if entry["epoch"] == guard.collapses[0])
    assert seen["held_out_single_step_accuracy"] > seen["held_out_pgd_accuracy"] + 0.15
    assert f"epoch {guard.collapses[0]}" in methods.notes(guard)[0]


def test_the_last_good_state_is_put_back_to_the_bit(robust, digits):
    module = copy.deepcopy(robust.module)
    optimizer = torch.optim.AdamW(module.parameters())
    x, y = torch.from_numpy(digits.x[:150]), torch.from_numpy(digits.y[:150])
    guard = Guard(x, y, single=lambda module, x, y, **_: x, strong=pgd(10), fallback=pgd(5), seed=0)
    guard.after(0, module, optimizer)
    good = {name: value.clone() for name, value in module.state_dict().items()}
    plain = training.train(build, digits.spec, digits.x, digits.y, options=Options(epochs=20)).model
    module.load_state_dict(plain.module.state_dict())  # right on clean inputs, and helpless under PGD
    guard.after(1, module, optimizer)
    assert guard.collapses == [1]
    for name, value in module.state_dict().items():
        assert torch.equal(value, good[name])
    assert guard.perturb is not guard._single


def test_training_that_does_not_collapse_is_left_alone(digits):
    hard = Hardening((Ball(Norm.LINF, 0.1),), "fgsm-rs")
    outcome = training.train(build, digits.spec, digits.x, digits.y, hardening=hard, options=Options(epochs=15))
    assert outcome.metrics["collapses"] == 0
    assert outcome.notes == ()
    held = [point["y"] for point in outcome.series["held_out_pgd_accuracy"]]
    assert np.mean(held[-3:]) > held[0]


def test_rows_that_the_guard_looks_at_are_not_trained_on(digits):
    chosen = methods.for_torch("fgsm-rs", {}, (BUDGET,))
    guard, kept = methods.guarded(chosen, digits.x, digits.y, (BUDGET,), "cpu", 3)
    trained = {row.tobytes() for row in digits.x[kept]}
    copies = len(digits.x) - len(trained | {row.tobytes() for row in guard._x.numpy()})
    assert len(kept) + len(guard._x) == len(digits.x)
    assert sum(row.tobytes() in trained for row in guard._x.numpy()) <= copies


def test_the_guard_can_be_switched_off(digits):
    hard = Hardening((BUDGET,), "fgsm-rs", {"guard": False})
    outcome = training.train(build, digits.spec, digits.x, digits.y, hardening=hard, options=Options(epochs=1))
    assert "collapses" not in outcome.metrics
