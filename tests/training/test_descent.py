"""The seams of the loop: another descent, another sampling, another schedule, and the default's own step."""

from __future__ import annotations

import copy
import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn
from torch.func import functional_call, grad_and_value, vmap

from hauberk.attacks.budget import Ball
from hauberk.core.threats import Norm
from hauberk.training import Options, Spec, loop, methods
from hauberk.training.batch import Batch
from hauberk.training.checkpoint import Checkpoint
from hauberk.training.descent import MeanLoss, Step
from hauberk.training.options import recipe_of
from hauberk.training.state import State
from hauberk.training.watching import Plain

SPEC = Spec("image", (1, 8, 8), 10)
CLIP = 0.5


def made():
    torch.manual_seed(3)
    return nn.Sequential(nn.Flatten(), nn.Linear(64, 12), nn.Tanh(), nn.Linear(12, 10))


class Private:
    """Per-sample gradients, clipped to an L2 norm and noised: the descent of differentially private training.

    The sum of the clipped gradients is divided by the expected batch size, because the size of a batch drawn at
    random is private too. `steps` is what an accountant needs.
    """

    def __init__(self, *, noise, size, clip=CLIP):
        self.noise, self.size, self.clip, self.steps = noise, size, clip, 0

    def step(self, objective, batch, *, module, optimizer, rng):
        weights = dict(module.named_parameters())
        sums, loss, scores = self.gradients(objective, batch, module, weights)
        for name, weight in weights.items():
            drawn = torch.randn(weight.shape, generator=rng)
            weight.grad = (sums[name] + self.noise * self.clip * drawn) / self.size
        optimizer.step()
        self.steps += 1
        return Step(float(loss), scores)

    def gradients(self, objective, batch, module, weights):
        if not len(batch.y):
            return {name: torch.zeros_like(w) for name, w in weights.items()}, 0.0, torch.zeros(0, 10)

        def one(values, x, changed, y):
            row = replace(batch, x=x[None], changed=changed[None], y=y[None])
            return objective(lambda rows: functional_call(module, values, rows), row)

        held = {name: weight.detach() for name, weight in weights.items()}
        each, (loss, scores) = vmap(grad_and_value(one, has_aux=True), in_dims=(None, 0, 0, 0))(
            held, batch.x, batch.changed, batch.y
        )
        length = torch.sqrt(sum(g.flatten(1).pow(2).sum(1) for g in each.values()))
        scale = (self.clip / length).clamp(max=1.0)
        return {name: torch.einsum("n,n...->...", scale, g) for name, g in each.items()}, loss.mean(), scores[:, 0]

    def remember(self):
        return {"steps": self.steps}

    def recall(self, remembered):
        self.steps = remembered["steps"]


class RowByRow(Private):
    """The same gradients, as a student would compute them: a backward pass for each row."""

    def gradients(self, objective, batch, module, weights):
        sums = {name: torch.zeros_like(weight) for name, weight in weights.items()}
        losses, scores = [], [torch.zeros(0, 10)]
        for number in range(len(batch.y)):
            part = slice(number, number + 1)
            row = replace(batch, x=batch.x[part], changed=batch.changed[part], y=batch.y[part])
            module.zero_grad()
            loss, score = objective(module, row)
            loss.backward()
            length = math.sqrt(sum(float(w.grad.pow(2).sum()) for w in weights.values()))
            for name, weight in weights.items():
                sums[name] += weight.grad * min(1.0, self.clip / length)
            losses.append(float(loss.detach()))
            scores.append(score.detach())
        return sums, float(np.mean(losses)) if losses else 0.0, torch.cat(scores)


class Poisson:
    """Each row joins each batch by its own coin, so that batches vary in size and may be empty."""

    def __init__(self, share, batches):
        self.share, self.count, self.sizes = share, batches, []

    def batches(self, rows):  # noqa: ARG002 - the signature of Sampling
        return self.count

    def epoch(self, rows, rng):
        for _ in range(self.count):
            drawn = torch.nonzero(torch.rand(rows, generator=rng) < self.share)[:, 0]
            self.sizes.append(len(drawn))
            yield drawn


def privately(descent, digits, *, method=None, share=0.02, **rest):
    recipe = recipe_of(Options(epochs=2, optimizer="sgd", learning_rate=0.5, weight_decay=0.0), SPEC)
    sampling, module = Poisson(share, 8), made()
    run = loop.Run(recipe, 4, "cpu", method or Plain(), descent=descent, sampling=sampling, **rest)
    state = loop.train(module, digits.x[:150], digits.y[:150], run)
    return module, state, sampling


@pytest.mark.parametrize("method", ["plain", "trades"])
def test_per_sample_gradients_by_vmap_train_as_a_loop_over_the_rows_does(digits, method):
    """The hardening method is independent of the descent: its loss is differentiated row by row as well."""
    chosen = Plain() if method == "plain" else methods.for_torch(method, {"steps": 2}, (Ball(Norm.LINF, 0.1),))
    fast, fast_state, sampling = privately(Private(noise=0.3, size=3), digits, method=chosen)
    slow, slow_state, _ = privately(RowByRow(noise=0.3, size=3), digits, method=chosen)
    assert max(sampling.sizes) > min(sampling.sizes)
    for one, other in zip(fast.parameters(), slow.parameters(), strict=True):
        torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-5)
    for one, other in zip(fast_state.history, slow_state.history, strict=True):
        assert one == pytest.approx(other, rel=1e-4)
    assert any(not torch.equal(a, b) for a, b in zip(fast.parameters(), made().parameters(), strict=True))


def test_without_noise_and_with_a_wide_clip_it_is_the_mean_loss(digits):
    batch = Batch.of(torch.from_numpy(digits.x[:16]), torch.from_numpy(digits.y[:16]))
    modules = [made(), made()]
    wide = Private(noise=0.0, size=16, clip=1e6)
    for module, descent in zip(modules, (MeanLoss(), wide), strict=True):
        optimizer = torch.optim.SGD(module.parameters(), lr=0.01)
        step = descent.step(Plain().loss, batch, module=module, optimizer=optimizer, rng=torch.Generator())
        assert step.scores.shape == (16, 10)
    for one, other in zip(*(module.parameters() for module in modules), strict=True):
        torch.testing.assert_close(one, other, rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize(("noise", "moves"), [(0.3, True), (0.0, False)])
def test_empty_batches_take_a_step_of_noise_alone(digits, noise, moves):
    descent = Private(noise=noise, size=3)
    module, state, sampling = privately(descent, digits, share=0.0)
    assert sampling.sizes == [0] * 16
    assert descent.steps == 16
    assert [entry["loss"] for entry in state.history] == [0.0, 0.0]
    same = all(torch.equal(a, b) for a, b in zip(module.parameters(), made().parameters(), strict=True))
    assert same is not moves


def test_the_default_takes_no_step_on_an_empty_batch(digits):
    module, _, sampling = privately(MeanLoss(), digits, share=0.0)
    assert sum(sampling.sizes) == 0
    assert all(torch.equal(a, b) for a, b in zip(module.parameters(), made().parameters(), strict=True))


def test_the_accountants_count_is_part_of_the_checkpoint(digits, tmp_path):
    """A run that is killed after an epoch must not forget the steps it has taken."""
    first = Private(noise=0.3, size=3)
    kept = Checkpoint(tmp_path / "c", key="k", pause=0.0)
    straight, _, _ = privately(Private(noise=0.3, size=3), digits)
    privately(first, digits, checkpoint=kept, until=1)
    assert first.steps == 8
    second = Private(noise=0.3, size=3)
    module, _, _ = privately(second, digits, checkpoint=Checkpoint(tmp_path / "c", key="k", pause=0.0))
    assert second.steps == 16
    assert all(torch.equal(a, b) for a, b in zip(module.parameters(), straight.parameters(), strict=True))


def test_the_schedule_is_the_callers(digits):
    asked, rates = [], []

    class Recording(MeanLoss):
        def step(self, objective, batch, *, module, optimizer, rng):
            rates.append(optimizer.param_groups[0]["lr"])
            return super().step(objective, batch, module=module, optimizer=optimizer, rng=rng)

    def constant(done):
        asked.append(done)
        return 0.5

    recipe = recipe_of(Options(epochs=4, batch=50, learning_rate=0.02), SPEC)
    run = loop.Run(recipe, 0, "cpu", descent=Recording(), schedule=constant)
    module = made()
    state = State.fresh(module, recipe, seed=0, device="cpu")
    state.epoch = 3  # the caller's position: the last quarter of the schedule
    loop.train(module, digits.x[:150], digits.y[:150], run, state)
    assert asked == pytest.approx([9 / 12, 10 / 12, 11 / 12])
    assert rates == [0.01] * 3


def test_awp_lifts_the_weights_only_once_the_budget_is_full(digits):
    x, y = torch.from_numpy(digits.x[:16]), torch.from_numpy(digits.y[:16])

    def stepped(awp, strength):
        module = made()
        optimizer = torch.optim.SGD(module.parameters(), lr=0.1)
        batch = Batch.of(x, y, strength=strength)
        MeanLoss(awp).step(Plain().loss, batch, module=module, optimizer=optimizer, rng=torch.Generator())
        return copy.deepcopy(module[1].weight)

    assert torch.equal(stepped(0.05, 0.5), stepped(0.0, 0.5))
    assert not torch.equal(stepped(0.05, 1.0), stepped(0.0, 1.0))
