"""Squeezing: the effect of the layers, and that an attack without their gradient overstates robustness."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from hauberk import training
from hauberk.attacks.budget import Ball
from hauberk.core.errors import InvalidInput
from hauberk.core.threats import Norm
from hauberk.training import Options, methods
from hauberk.training.batch import Batch
from hauberk.training.squeezing import BitDepth, Median

BUDGET = Ball(Norm.LINF, 0.15)


def test_bit_depth_rounds_to_levels_and_passes_the_gradient():
    x = torch.linspace(0, 1, 101).reshape(1, 1, 1, 101)
    assert sorted(set(BitDepth(1)(x).flatten().tolist())) == [0, 1]
    assert torch.allclose(BitDepth(2)(x).unique(), torch.tensor([0, 1 / 3, 2 / 3, 1]))
    assert float((BitDepth(3)(x) - x).abs().max()) <= 0.5 / 7 + 1e-6
    leaf = x.clone().requires_grad_()
    (gradient,) = torch.autograd.grad((BitDepth(3)(leaf) * 2).sum(), leaf)
    assert (gradient == 2).all()
    assert torch.allclose(BitDepth(3)(leaf), BitDepth(3)(x), atol=1e-6)


@pytest.mark.parametrize("size", [3, 5])
def test_the_median_equals_numpys(size):
    x = torch.rand(2, 3, 6, 7, generator=torch.Generator().manual_seed(0))
    found, margin = Median(size)(x).numpy(), size // 2
    padded = np.pad(x.numpy(), ((0, 0), (0, 0), (margin, margin), (margin, margin)), mode="edge")
    for row in range(6):
        for column in range(7):
            around = padded[:, :, row : row + size, column : column + size]
            assert np.array_equal(found[:, :, row, column], np.median(around, axis=(2, 3)))


def net(spec):
    return nn.Sequential(
        nn.Conv2d(1, 16, 3, padding=1),
        nn.ReLU(),
        nn.Flatten(),
        nn.Linear(16 * 64, 48),
        nn.ReLU(),
        nn.Linear(48, spec.classes),
    )


def squeezed(spec):
    return nn.Sequential(BitDepth(2), net(spec))


class Blind(nn.Module):
    """The same rounding, written the way that fools an attack: its gradient is zero."""

    def forward(self, x):
        return (x * 3).round() / 3


@pytest.fixture(scope="module")
def model(digits):
    return training.train(squeezed, digits.spec, digits.x, digits.y, options=Options(epochs=10)).model


def left_by_pgd(served, attacked, digits):
    """Accuracy of `served` on what PGD makes against `attacked`."""
    pgd = methods.for_torch("pgd", {"steps": 20, "step": 0.15}, (BUDGET,))
    x, y = torch.from_numpy(digits.x_test), torch.from_numpy(digits.y_test)
    changed = pgd.perturb(attacked, Batch.of(x, y), rng=torch.Generator().manual_seed(0))
    return float((served.scores(changed.numpy()).argmax(1) == digits.y_test).mean())


def test_an_attack_without_the_gradient_overstates_robustness_and_the_measured_attack_has_it(model, digits):
    clean = float((model.scores(digits.x_test).argmax(1) == digits.y_test).mean())
    inner = model.module.inner
    adaptive = left_by_pgd(model, model.module, digits)
    blind = left_by_pgd(model, nn.Sequential(Blind(), inner[1]), digits)
    around = left_by_pgd(model, inner[1], digits)  # crafted on the network alone, without the squeezing layer
    assert clean > 0.9
    assert blind > clean - 0.25  # without a gradient, only the random start of the attack remains
    assert adaptive < blind - 0.3
    assert adaptive <= around + 0.02


def test_squeezed_models_are_exported_and_loaded(digits):
    def build(spec):
        return nn.Sequential(BitDepth(4), Median(3), net(spec))

    made = training.train(build, digits.spec, digits.x[:200], digits.y[:200], options=Options(epochs=1)).model
    exported = training.OnnxModel(made.export_onnx(), digits.spec)
    assert np.allclose(exported.scores(digits.x_test), made.scores(digits.x_test), atol=1e-3)
    back = training.load_weights(build, digits.spec, made.weights())
    assert np.array_equal(back.scores(digits.x_test), made.scores(digits.x_test))


def test_layers_out_of_range_are_refused():
    with pytest.raises(InvalidInput, match="from 1 to 8"):
        BitDepth(0)
    with pytest.raises(InvalidInput, match="odd and 3 or more"):
        Median(4)
