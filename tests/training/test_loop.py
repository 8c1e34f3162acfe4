"""The training loop: errors, repeatability, state between calls, and shifted pictures."""

# ruff: noqa: ARG002 - listeners have the signature of Task

from __future__ import annotations

import copy
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn

from hauberk import training
from hauberk.attacks.budget import Ball
from hauberk.core.errors import InvalidInput
from hauberk.core.progress import Quiet
from hauberk.core.threats import Norm
from hauberk.training import Options, Spec, loop, methods
from hauberk.training.loop import one_cycle, shifted
from hauberk.training.options import recipe_of
from hauberk.training.state import State

SPEC = Spec("image", (1, 8, 8), 10)


def linear(spec):
    return nn.Sequential(nn.Flatten(), nn.Linear(spec.features, spec.classes))


def test_a_diverging_loss_is_reported_with_epoch_and_batch(digits):
    options = Options(optimizer="sgd", learning_rate=1e30, epochs=3)
    with pytest.raises(
        InvalidInput, match=r"the loss became (NaN|infinite) in epoch 1, batch \d+\. Lower learning_rate"
    ):
        training.train(linear, digits.spec, digits.x, digits.y, options=options)


class Fragile(nn.Module):
    """Returns NaN from the third batch on, as a model with a numerical error would."""

    def __init__(self):
        super().__init__()
        self.layer = nn.Linear(64, 10)
        self.batches = 0

    def forward(self, x):
        self.batches += self.training
        return self.layer(x.flatten(1)) * (float("nan") if self.batches > 2 else 1.0)


def test_a_model_that_returns_nan_in_training_is_reported_with_the_batch(digits):
    with pytest.raises(InvalidInput, match="the loss became NaN in epoch 1, batch 3"):
        training.train(Fragile, digits.spec, digits.x, digits.y)


class Interrupting(Quiet):
    def update(self, done, *, text=""):
        if done > 0.3:
            raise KeyboardInterrupt


def test_an_interrupt_propagates_and_restores_the_generators(digits):
    torch.manual_seed(5)
    before = torch.get_rng_state()
    numpy = np.random.get_state()[1].copy()  # noqa: NPY002 - the test reads the process-wide generator
    with pytest.raises(KeyboardInterrupt):
        training.train(linear, digits.spec, digits.x, digits.y, task=Interrupting())
    assert torch.equal(torch.get_rng_state(), before)
    assert np.array_equal(np.random.get_state()[1], numpy)  # noqa: NPY002 - as above
    assert not torch.are_deterministic_algorithms_enabled()


def test_progress_ends_at_one_and_never_falls(digits):
    seen = []

    class Listening(Quiet):
        def update(self, done, *, text=""):
            seen.append(done)

    training.train(linear, digits.spec, digits.x, digits.y, options=Options(epochs=2), task=Listening())
    assert seen == sorted(seen)
    assert seen[-1] == pytest.approx(1.0)


def test_the_learning_rate_rises_then_falls_and_stays_above_zero():
    rates = [one_cycle(i / 100) for i in range(100)]
    top = int(np.argmax(rates))
    assert rates[:top] == sorted(rates[:top])
    assert rates[top:] == sorted(rates[top:], reverse=True)
    assert min(rates) > 0
    assert max(rates) == pytest.approx(1.0, abs=0.01)


def test_shifting_moves_each_picture_by_a_pixel_at_most_and_mirrors_nothing():
    x = torch.rand(200, 2, 8, 8, generator=torch.Generator().manual_seed(0))
    moved = shifted(x, torch.Generator().manual_seed(1))
    seen = set()
    for before, after in zip(x, moved, strict=True):
        padded = nn.functional.pad(before[None], (1, 1, 1, 1), mode="replicate")[0]
        fits = [
            (dy, dx)
            for dy in (0, 1, 2)
            for dx in (0, 1, 2)
            if torch.equal(after, padded[:, dy : dy + 8, dx : dx + 8])
        ]
        assert len(fits) == 1
        seen.add(fits[0])
    assert len(seen) == 9


def test_bfloat16_multiplies_coarsely_and_keeps_weights_and_accuracy(digits):
    def trained(precision):
        options = Options(epochs=6, precision=precision)
        hardening = training.Hardening((Ball(Norm.LINF, 0.05),), "trades", {"steps": 2})
        return training.train(
            linear, digits.spec, digits.x, digits.y, hardening=hardening, options=options, device="cpu"
        ).model

    full, half = trained("fp32"), trained("bf16")
    assert half.weights() != full.weights()
    assert all(p.dtype == torch.float32 for p in half.module.parameters())
    accuracy = [(m.scores(digits.x_test).argmax(1) == digits.y_test).mean() for m in (full, half)]
    assert abs(accuracy[0] - accuracy[1]) < 0.04
    chosen = half if loop._bfloat16_pays("cpu") else full
    assert trained("auto").weights() == chosen.weights()


@pytest.mark.parametrize(
    ("able", "pays"), [({"avx512_bf16": True}, True), ({"amx_bf16": True}, True), ({"avx2": True}, False)]
)
def test_bfloat16_pays_where_the_processor_has_units_for_it(monkeypatch, able, pays):
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: able, raising=False)
    assert loop._bfloat16_pays("cpu") is pays
    monkeypatch.delattr(torch.cpu, "get_capabilities")
    assert not loop._bfloat16_pays("cpu")


@pytest.mark.parametrize("rows", [2, 3, 129, 257])
def test_any_number_of_rows_trains_with_batch_norm(digits, rows):
    def normed(spec):
        return nn.Sequential(nn.Flatten(), nn.Linear(64, 8), nn.BatchNorm1d(8), nn.Linear(8, spec.classes))

    outcome = training.train(normed, digits.spec, digits.x[:rows], digits.y[:rows], options=Options(epochs=1))
    assert np.isfinite(outcome.metrics["final_loss"])


def test_rows_that_do_not_fit_are_refused(digits):
    x, y = digits.x, digits.y
    hole = x.copy()
    hole[7, 0, 3, 3] = np.nan
    for rows, labels, said in [
        (x[:, 0], y, "training needs x of shape"),
        (x, y[:-1], "training needs x of shape"),
        (x, y + 1, "labels run from 1 to 10"),
        (hole, y, "training row 7 contains NaN"),
    ]:
        with pytest.raises(InvalidInput, match=said):
            training.train(linear, digits.spec, rows, labels)


def test_an_unknown_or_absent_device_is_refused(digits):
    with pytest.raises(InvalidInput, match="is not known: use"):
        training.train(linear, digits.spec, digits.x, digits.y, device="tpu")
    with pytest.raises(InvalidInput, match="this machine has"):
        training.train(linear, digits.spec, digits.x, digits.y, device="cuda:99")


class Grouped(nn.Module):
    """Views its feature maps as groups, in training only; for a single row this works in any layout."""

    def __init__(self):
        super().__init__()
        self.conv, self.last = nn.Conv2d(1, 4, 3), nn.Linear(4, 10)

    def forward(self, x):
        maps = self.conv(x.mul_(2))
        if self.training:
            maps = maps.view(4 * len(x), *maps.shape[2:]).view(len(x), 4, *maps.shape[2:])
        return self.last(maps.mean((2, 3)))


def test_a_module_that_views_its_maps_and_works_in_place_is_trained_in_the_usual_layout(digits):
    module, x = Grouped(), digits.x[:64].copy()
    recipe = recipe_of(Options(epochs=1, batch=32), digits.spec)
    loop.train(module, x, digits.y[:64], loop.Run(recipe, 0, "cpu"))
    np.testing.assert_array_equal(x, digits.x[:64])
    assert type(module.conv) is nn.Conv2d
    assert module.conv.weight.is_contiguous()


def test_a_failing_forward_is_reported_by_the_training_and_not_by_the_layout_check(digits):
    class Failing(nn.Module):
        def __init__(self):
            super().__init__()
            self.layer = nn.Linear(64, 10)

        def forward(self, x):
            raise LookupError("no such word")

    recipe = recipe_of(Options(epochs=1), digits.spec)
    with pytest.raises(InvalidInput, match="no such word"):
        loop.train(Failing(), digits.x[:64], digits.y[:64], loop.Run(recipe, 0, "cpu"))


def dropping():
    """Batch statistics, an average and dropout: everything in a training that has a memory."""
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Flatten(), nn.Linear(64, 24), nn.BatchNorm1d(24), nn.ReLU(), nn.Dropout(0.3), nn.Linear(24, 10)
    )


def run_of(until=None, *, average=0.9, optimizer="adamw"):
    recipe = recipe_of(Options(epochs=4, average=average, optimizer=optimizer), SPEC)
    method = methods.for_torch("n-fgsm", {}, (Ball(Norm.LINF, 0.1),))
    return loop.Run(recipe, 3, "cpu", method, warmup=method.warmup, until=until)


def bits(module):
    return {name: value.clone() for name, value in module.state_dict().items()}


@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize("settings", [{}, {"average": 0.0, "optimizer": "sgd"}])
def test_two_calls_of_two_epochs_are_one_call_of_four_to_the_bit(digits, packed, settings):
    """As a federated client runs local epochs: it hands the state out, live or packed, and continues later."""
    x, y = digits.x[:300], digits.y[:300]
    whole = dropping()
    history = loop.train(whole, x, y, run_of(**settings)).history
    module = dropping()
    state = loop.train(module, x, y, run_of(2, **settings))
    assert state.epoch == len(state.history) == 2
    torch.rand(7)  # the process draws numbers in between
    if packed:
        value, module = state.pack(), dropping()
        state = State.fresh(module, run_of(**settings).recipe, seed=99, device="cpu")
        state.unpack(value)
    state = loop.train(module, x, y, run_of(**settings), state)
    assert state.history == history
    for name, value in bits(module).items():
        assert torch.equal(value, whole.state_dict()[name]), name


def test_the_next_call_trains_on_weights_that_were_replaced(digits):
    """A server's weights replace the client's; optimiser, generators and position stay the client's."""
    x, y = digits.x[:300], digits.y[:300]
    module, run = dropping(), run_of(2, average=0.0)
    state = loop.train(module, x, y, run)
    with torch.no_grad():
        for weight in module.parameters():
            weight.zero_()
    state = loop.train(module, x, y, replace(run, until=3), state)
    assert state.epoch == 3
    assert state.history[2]["loss"] == pytest.approx(np.log(10), abs=0.2)  # as of zero weights, not of trained ones


def test_a_run_that_will_continue_is_not_settled_yet(digits):
    module = dropping()
    state = loop.train(module, digits.x[:300], digits.y[:300], run_of(2))
    assert not torch.equal(module[1].weight, state.kept[1].weight)  # the average becomes the module's at the end
    state = loop.train(module, digits.x[:300], digits.y[:300], run_of(), state)
    assert torch.equal(module[1].weight, state.kept[1].weight)


def test_the_state_of_another_module_is_refused(digits):
    state = loop.train(dropping(), digits.x[:100], digits.y[:100], run_of(1))
    with pytest.raises(InvalidInput, match="belongs to another module"):
        loop.train(dropping(), digits.x[:100], digits.y[:100], run_of(2), state)


def test_the_weights_are_those_of_the_loop_before_it_had_seams(digits):
    """A twin of the default: AdamW, one cycle, the mean cross-entropy, written out."""
    recipe = recipe_of(Options(epochs=2, batch=64), SPEC)
    module = linear(SPEC)
    twin = copy.deepcopy(module)
    loop.train(module, digits.x[:200], digits.y[:200], loop.Run(recipe, 5, "cpu"))
    x, y = torch.from_numpy(digits.x[:200]), torch.from_numpy(digits.y[:200])
    groups = [{"params": [twin[1].weight]}, {"params": [twin[1].bias], "weight_decay": 0.0}]
    optimizer = torch.optim.AdamW(groups, lr=recipe.learning_rate, weight_decay=recipe.weight_decay)
    order, turn = torch.Generator().manual_seed(5), 0
    for _ in range(2):
        for rows in torch.randperm(200, generator=order).split(64):
            for group in optimizer.param_groups:
                group["lr"] = recipe.learning_rate * one_cycle(turn / 8)
            optimizer.zero_grad()
            nn.functional.cross_entropy(twin(x[rows]), y[rows]).backward()
            optimizer.step()
            turn += 1
    assert torch.equal(module[1].weight, twin[1].weight)
    assert torch.equal(module[1].bias, twin[1].bias)
