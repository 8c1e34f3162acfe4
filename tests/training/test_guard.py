"""The guard: detects, undoes and reports a collapse that is provoked on real digits; otherwise does nothing."""

# ruff: noqa: ARG002 - the methods have the signature of Method

from __future__ import annotations

import copy
import gzip
import os
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from hauberk import training
from hauberk.attacks.budget import Ball
from hauberk.core.threats import Norm
from hauberk.training import Hardening, Options, heldout, loop, methods
from hauberk.training.adversarial import _inner
from hauberk.training.batch import Batch
from hauberk.training.guard import Guard
from hauberk.training.heldout import HeldOut
from hauberk.training.options import recipe_of
from hauberk.training.state import State
from hauberk.training.watching import Plain

EPS = 0.15
BUDGET = Ball(Norm.LINF, EPS)
RECIPE = recipe_of(Options(epochs=20, learning_rate=6e-3), training.Spec("image", (1, 8, 8), 10))


def build(spec):
    return nn.Sequential(nn.Flatten(), nn.Linear(64, 128), nn.ReLU(), nn.Linear(128, spec.classes))


class Blind(Plain):
    """A single step that the model has learned to mislead, as in catastrophic overfitting.

    The final state, constructed: the step used in training is unrelated to the true gradient, and has the size of the
    whole budget.
    """

    def perturb(self, module, batch, *, rng):
        x = batch.x
        direction = torch.sign(torch.rand(x.shape[1:], generator=torch.Generator().manual_seed(0)) - 0.5)
        return (x + batch.strength * EPS * direction).clip(0, 1)


@pytest.fixture(scope="module")
def robust(digits):
    hard = Hardening((BUDGET,), "pgd", {"steps": 5, "step": 0.3})
    options = Options(epochs=25, learning_rate=4e-3)
    return training.train(build, digits.spec, digits.x, digits.y, hardening=hard, options=options).model


def pgd(steps):
    return methods.for_torch("pgd", {"steps": steps, "step": 0.3}, (BUDGET,))


def accuracy(module, x, y):
    changed = pgd(20).perturb(module, Batch.of(x, y), rng=torch.Generator().manual_seed(9))
    return float((module(changed).argmax(1) == y).float().mean())


def held(digits):
    return HeldOut(digits.x[:150], digits.y[:150], device="cpu", seed=0)


def tuned(robust, digits, *, guarded):
    module = copy.deepcopy(robust.module)
    run = loop.Run(RECIPE, 0, "cpu", Blind())
    guard = Guard(held(digits), single=Blind(), strong=pgd(10), fallback=pgd(5))
    run.watches = [guard] if guarded else []
    history = loop.train(module, digits.x[150:], digits.y[150:], run).history
    return module, guard, history


def test_a_collapse_is_detected_and_undone_and_stays_without_the_guard(robust, digits):
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
    assert all({"held_out_clean_accuracy", "held_out_pgd_accuracy"} <= entry.keys() for entry in history)
    assert f"epoch {guard.collapses[0]}" in guard.notes()[0]


def test_the_last_good_state_is_restored_to_the_bit(robust, digits):
    state = State.fresh(copy.deepcopy(robust.module), RECIPE, seed=0, device="cpu")
    guard = Guard(held(digits), single=Plain(), strong=pgd(10), fallback=pgd(5))
    guard.after(0, state)
    good = {name: value.clone() for name, value in state.module.state_dict().items()}
    plain = training.train(build, digits.spec, digits.x, digits.y, options=Options(epochs=20)).model
    state.module.load_state_dict(plain.module.state_dict())  # accurate on clean inputs, and not robust to PGD
    guard.after(1, state)
    assert guard.collapses == [1]
    for name, value in state.module.state_dict().items():
        assert torch.equal(value, good[name])
    assert guard.method is not None


def test_training_that_does_not_collapse_is_left_alone(digits):
    hard = Hardening((Ball(Norm.LINF, 0.1),), "fgsm-rs")
    outcome = training.train(build, digits.spec, digits.x, digits.y, hardening=hard, options=Options(epochs=15))
    assert outcome.metrics["collapses"] == 0
    assert outcome.notes == ()
    held = [point["y"] for point in outcome.series["held_out_pgd_accuracy"]]
    assert np.mean(held[-3:]) > held[0]
    out, _ = heldout.split(len(digits.x), 0)
    clean = [point["y"] for point in outcome.series["held_out_clean_accuracy"]]
    assert len(clean) == len(held) == 15
    assert clean[-1] == pytest.approx((outcome.model.scores(digits.x[out]).argmax(axis=1) == digits.y[out]).mean())


def test_the_guard_can_be_switched_off(digits):
    hard = Hardening((BUDGET,), "fgsm-rs", {"guard": False})
    outcome = training.train(build, digits.spec, digits.x, digits.y, hardening=hard, options=Options(epochs=1))
    assert "collapses" not in outcome.metrics


class Fgsm(Plain):
    """The single step from the picture itself, without a random start, which collapses (Wong et al. 2020)."""

    def perturb(self, module, batch, *, rng):
        budget = Ball(Norm.LINF, 0.2 * batch.strength)
        with _inner.evaluating(module):
            slope = _inner.gradient(module, batch.x, _inner.cross_entropy(batch.y))
        return budget.project(batch.x + budget.step(slope, 1.0), batch.x)


@pytest.mark.slow
def test_a_natural_collapse_is_detected_and_undone():
    """A real collapse: 2,000 pictures of clothes, a radius of 0.2, and a usual network."""
    if "HAUBERK_DATA" not in os.environ:
        pytest.skip("HAUBERK_DATA is not set: this needs Fashion-MNIST")
    part = Path(os.environ["HAUBERK_DATA"]) / "fashion-train30k-images-idx3-ubyte.gz"
    labels = part.with_name("fashion-train30k-labels-idx1-ubyte.gz")
    x = np.frombuffer(gzip.decompress(part.read_bytes()), np.uint8, offset=16).reshape(-1, 1, 28, 28)[:2300]
    y = np.frombuffer(gzip.decompress(labels.read_bytes()), np.uint8, offset=8)[:2300].astype(np.int64)
    x = (x / 255).astype(np.float32)
    strong = methods.for_torch("pgd", {"steps": 5, "step": 0.4}, (Ball(Norm.LINF, 0.2),))

    def trained(*, guarded):
        torch.manual_seed(0)
        module = nn.Sequential(
            nn.Conv2d(1, 16, 3, padding=1),
            nn.ReLU(),
            nn.MaxPool2d(2),
            nn.Conv2d(16, 32, 3, padding=1),
            nn.ReLU(),
            nn.MaxPool2d(2),
            nn.Flatten(),
            nn.Linear(32 * 49, 100),
            nn.ReLU(),
            nn.Linear(100, 10),
        )
        guard = Guard(
            HeldOut(x[2000:2150], y[2000:2150], device="cpu", seed=0), single=Fgsm(), strong=strong, fallback=strong
        )
        recipe = recipe_of(Options(epochs=12, batch=64), training.Spec("image", (1, 28, 28), 10))
        run = loop.Run(recipe, 0, "cpu", Fgsm(), [guard] if guarded else [])
        loop.train(module, x[:2000], y[:2000], run)
        test = HeldOut(x[2150:], y[2150:], device="cpu", seed=1)
        return test.accuracy(module, Fgsm()), test.accuracy(module, strong), guard

    single, robust, _ = trained(guarded=False)
    assert single - robust > 0.3
    _, kept, guard = trained(guarded=True)
    assert len(guard.collapses) == 1
    assert kept > robust + 0.1
