"""Adversarial weight perturbation: the weights inside the block, and that they are restored."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from hauberk import training
from hauberk.attacks.budget import Ball
from hauberk.core.errors import InvalidInput
from hauberk.core.threats import Norm
from hauberk.training import Hardening, Options
from hauberk.training.awp import ascended

RADIUS = 0.05


def made():
    torch.manual_seed(0)
    module = nn.Sequential(nn.Linear(6, 8), nn.BatchNorm1d(8), nn.ReLU(), nn.Linear(8, 3))
    return module, torch.rand(32, 6), torch.randint(0, 3, (32,))


def test_each_layer_moves_up_the_loss_by_the_radius_and_is_restored_to_the_bit():
    module, x, y = made()
    before = {name: value.clone() for name, value in module.state_dict().items()}

    def loss():
        return nn.functional.cross_entropy(module(x), y)

    module.eval()
    plain = float(loss().detach())
    module.train()
    with ascended(module, loss, radius=RADIUS):
        inside = {name: value.clone() for name, value in module.state_dict().items()}
        module.eval()
        assert float(loss().detach()) > plain
        module.train()
        loss().backward()
    for name, value in before.items():
        if name.endswith("weight") and value.ndim > 1:
            assert float((inside[name] - value).norm() / value.norm()) == pytest.approx(RADIUS, rel=1e-4)
        else:
            assert torch.equal(inside[name], value), name  # offsets, scales and batch statistics do not move
        if "running" not in name and "tracked" not in name:
            assert torch.equal(module.state_dict()[name], value)
    assert all(p.grad is not None for p in module.parameters())
    assert int(module[1].num_batches_tracked) == 1


def test_weights_are_restored_when_the_block_fails():
    module, x, y = made()
    before, loss = module[0].weight.clone(), nn.functional.cross_entropy
    with pytest.raises(ZeroDivisionError), ascended(module, lambda: loss(module(x), y), radius=RADIUS):
        raise ZeroDivisionError
    assert torch.equal(module[0].weight, before)


def test_an_unused_layer_does_not_move():
    module, x, _ = made()
    module.spare = nn.Linear(2, 2)
    before = module.spare.weight.clone()
    with ascended(module, lambda: module[0](x).pow(2).sum(), radius=RADIUS):
        assert torch.equal(module.spare.weight, before)


def test_it_combines_with_any_method_and_changes_the_weights(digits):
    def linear(spec):
        return nn.Sequential(nn.Flatten(), nn.Linear(64, spec.classes))

    def weights(method, awp):
        hardening = Hardening((Ball(Norm.LINF, 0.1),), method, awp=awp)
        options = Options(epochs=2)
        outcome = training.train(
            linear, digits.spec, digits.x[:200], digits.y[:200], hardening=hardening, options=options
        )
        return outcome.model.weights()

    for method in ("pgd", "trades"):
        assert weights(method, 0.01) != weights(method, 0.0)
        assert weights(method, 0.01) == weights(method, 0.01)


def test_a_radius_out_of_range_is_refused():
    with pytest.raises(InvalidInput, match="awp is a share of each layer's norm"):
        Hardening((Ball(Norm.L2, 1.0),), awp=1.5)
    with pytest.raises(InvalidInput, match="patience is a number of epochs"):
        Hardening((Ball(Norm.L2, 1.0),), patience=-1)
