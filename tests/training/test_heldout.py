"""Held-out rows: never trained on, and measured in evaluation mode without a trace."""

from __future__ import annotations

import numpy as np
import torch
from torch import nn

from hauberk.attacks.budget import Ball
from hauberk.core.threats import Norm
from hauberk.training import heldout, methods
from hauberk.training.heldout import HeldOut
from hauberk.training.watching import Plain


def test_held_out_rows_are_not_trained_on():
    held, kept = heldout.split(1000, 3)
    assert len(held) == 100
    assert sorted([*held, *kept]) == list(range(1000))
    assert len(heldout.split(10_000, 3)[0]) == heldout.ROWS
    assert len(heldout.split(2, 3)[0]) == 1


def test_measuring_changes_neither_the_module_nor_the_next_measurement(digits):
    torch.manual_seed(0)
    module = nn.Sequential(nn.Flatten(), nn.Linear(64, 16), nn.BatchNorm1d(16), nn.Dropout(0.5), nn.Linear(16, 10))
    module[3].eval()  # a part that the team holds in another mode keeps it
    before = {name: value.clone() for name, value in module.state_dict().items()}
    held = HeldOut(digits.x[:100], digits.y[:100], device="cpu", seed=4)
    pgd = methods.for_torch("auto", {}, (Ball(Norm.LINF, 0.1),))
    figures = [held.accuracy(module, pgd) for _ in range(2)]
    assert figures[0] == figures[1]
    assert [part.training for part in module] == [True, True, True, False, True]
    assert all(torch.equal(value, before[name]) for name, value in module.state_dict().items())
    clean = held.accuracy(module, Plain())
    with torch.no_grad():
        scores = module.eval()(torch.from_numpy(digits.x[:100]))
    assert np.isclose(clean, (scores.argmax(1).numpy() == digits.y[:100]).mean())
    assert figures[0] < clean
