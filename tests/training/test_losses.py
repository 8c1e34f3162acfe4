"""Losses, compared with the papers' formulas."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from hauberk.attacks.budget import Ball
from hauberk.core.errors import InvalidInput
from hauberk.core.threats import Norm
from hauberk.training import losses, methods
from hauberk.training.batch import Batch


def test_the_losses_are_those_of_the_papers():
    """Compared with the formulas, computed row by row with NumPy."""
    rng = np.random.default_rng(0)
    clean, changed = rng.normal(size=(2, 5, 4)).astype(np.float32)
    y = np.array([0, 3, 1, 2, 0])

    def softmax(row):
        return np.exp(row) / np.exp(row).sum()

    entropies, divergences, boosted, doubts = [], [], [], []
    for before, after, label in zip(clean, changed, y, strict=True):
        p, q = softmax(before), softmax(after)
        entropies.append(-np.log(p[label]))
        divergences.append(sum(p[k] * np.log(p[k] / q[k]) for k in range(4)))
        boosted.append(-np.log(q[label]) - np.log(1 - max(q[k] for k in range(4) if k != label)))
        doubts.append(1 - p[label])
    expected = {
        "trades": np.mean(entropies) + 6 * np.mean(divergences),
        "mart": np.mean(boosted) + 5 * np.mean(np.array(divergences) * doubts),
    }
    given_x, given_changed = torch.from_numpy(clean), torch.from_numpy(changed)
    for name, value in expected.items():
        chosen = methods.for_torch(name, {}, (Ball(Norm.L2, 1.0),))
        loss, scores = chosen.loss(nn.Identity(), Batch(given_x, torch.from_numpy(y), given_changed))
        assert float(loss) == pytest.approx(value, rel=1e-5)
        assert torch.equal(scores, given_changed)
    assert float(losses.divergence(given_x, given_x).abs().max()) < 1e-6


def test_a_row_that_is_lost_for_certain_keeps_a_finite_loss():
    scores = torch.tensor([[200.0, -200.0], [-200.0, 200.0]])
    assert torch.isfinite(losses.boosted_cross_entropy(scores, torch.tensor([1, 1])))


def test_scores_that_do_not_fit_the_labels_are_refused():
    with pytest.raises(InvalidInput, match=r"shape \(2, 3\) for 2 rows with classes up to 3"):
        losses.cross_entropy(torch.zeros(2, 3), torch.tensor([0, 3]))
