from __future__ import annotations

import numpy as np
import pytest

from hauberk.attacks.averaged import averaged
from hauberk.models.port import Differentiable

torch = pytest.importorskip("torch")


class Alternating:
    """Answers with one of two rows of logits in turn."""

    classes, device = 2, "cpu"
    answers = (np.array([2.0, 0.0], np.float32), np.array([-1.0, 0.5], np.float32))

    def __init__(self):
        self.asked = 0

    def _answer(self):
        self.asked += 1
        return self.answers[self.asked % 2]

    def scores(self, x):
        return np.tile(self._answer(), (len(x), 1))

    def logits(self, x):
        return x.sum(1, keepdim=True) * torch.from_numpy(self._answer())


class ScoresOnly:
    classes = 2

    def __init__(self):
        self.scores = Alternating().scores


def mean_probability(scale=1.0):
    odds = [np.exp(scale * row.astype(np.float64)) for row in Alternating.answers]
    shares = [one / one.sum() for one in odds]
    return np.mean(shares, axis=0)


def test_one_draw_is_the_model_itself():
    model = Alternating()
    assert averaged(model, 1) is model


def test_scores_are_the_logarithm_of_the_mean_probability():
    model = Alternating()
    found = averaged(model, 4)
    np.testing.assert_allclose(
        np.exp(found.scores(np.zeros((3, 2), np.float32))), [mean_probability()] * 3, rtol=1e-5
    )
    assert model.asked == 4
    assert not isinstance(averaged(ScoresOnly(), 4), Differentiable)


def test_the_gradient_is_that_of_the_logarithm_of_the_mean_probability():
    found = averaged(Alternating(), 2)
    assert isinstance(found, Differentiable)
    x = torch.tensor([[0.5, 0.5]], requires_grad=True)
    logits = found.logits(x)
    np.testing.assert_allclose(logits.exp().detach().numpy(), [mean_probability()], rtol=1e-5)
    (gradient,) = torch.autograd.grad(logits[0, 0], x)
    step = 1e-3
    by_difference = (np.log(mean_probability(1 + step)[0]) - np.log(mean_probability(1 - step)[0])) / (2 * step)
    np.testing.assert_allclose(gradient.numpy(), [[by_difference] * 2], rtol=1e-3)
