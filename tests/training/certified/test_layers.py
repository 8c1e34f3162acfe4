"""Layers: models without a rule are refused by name, because a wrong rule would give a wrong certificate."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from hauberk.attacks.budget import Ball
from hauberk.core.errors import InvalidInput
from hauberk.core.threats import Norm
from hauberk.training.certified import bounds


class Branching(nn.Module):
    def __init__(self):
        super().__init__()
        self.layer = nn.Linear(64, 10)

    def forward(self, x):
        return self.layer(x.flatten(1)) if x.sum() > 0 else self.layer(-x.flatten(1))


class Doubled(nn.Linear):
    """A subclass with another forward: treated as a Linear, its certificate would be wrong."""

    def forward(self, x):
        return 2 * super().forward(x)


def hooked():
    layer = nn.Linear(64, 10)
    layer.register_forward_hook(lambda module, args, made: 2 * made)  # noqa: ARG005 - the signature of a hook
    return nn.Sequential(nn.Flatten(), layer)


@pytest.mark.parametrize(
    ("module", "said"),
    [
        (nn.Sequential(nn.Flatten(), nn.Linear(64, 10), nn.GELU()), "no rule for GELU"),
        (nn.Sequential(nn.Flatten(), nn.LeakyReLU(-0.5), nn.Linear(64, 10)), "negative_slope below 0"),
        (nn.Sequential(nn.Flatten(), Doubled(64, 10)), "no rule for linear"),
        (hooked(), "Linear with a hook"),
        (
            nn.Sequential(nn.Flatten(), nn.BatchNorm1d(64, track_running_stats=False), nn.Linear(64, 10)),
            "kept stat",
        ),
        (Branching(), "does not depend on values"),
    ],
)
def test_layers_without_a_rule_are_refused_by_name(module, said):
    with pytest.raises(InvalidInput, match=said):
        bounds.margins(module.eval(), torch.rand(2, 1, 8, 8), torch.zeros(2, dtype=torch.int64), Ball(Norm.L2, 0.1))


def test_a_difference_of_two_branches_is_refused():
    class Difference(nn.Module):
        def __init__(self):
            super().__init__()
            self.layer = nn.Linear(64, 10)

        def forward(self, x):
            x = x.flatten(1)
            return self.layer(x) - self.layer(x * 0.5)

    with pytest.raises(InvalidInput, match="no rule for sub of two parts"):
        bounds.margins(Difference(), torch.rand(2, 1, 8, 8), torch.zeros(2, dtype=torch.int64), Ball(Norm.L2, 0.1))
