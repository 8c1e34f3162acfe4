from __future__ import annotations

import numpy as np
import pytest


class Linear:
    """Softmax regression whose gradient is written out: attacks on it have known answers."""

    def __init__(self, weights, bias):
        self.weights, self.bias = weights.astype(np.float32), bias.astype(np.float32)

    @property
    def classes(self) -> int:
        return len(self.bias)

    def scores(self, x):
        return x.reshape(len(x), -1) @ self.weights.T + self.bias

    def loss_gradient(self, x, y):
        scores = self.scores(x)
        odds = np.exp(scores - scores.max(axis=1, keepdims=True))
        shares = odds / odds.sum(axis=1, keepdims=True)
        loss = -np.log(np.maximum(shares[np.arange(len(y)), y], 1e-12))
        shares[np.arange(len(y)), y] -= 1
        return loss.astype(np.float32), (shares @ self.weights).reshape(x.shape).astype(np.float32)


class ScoresOnly:
    """The same model, seen from outside."""

    def __init__(self, model):
        self._model = model

    @property
    def classes(self) -> int:
        return self._model.classes

    def scores(self, x):
        return self._model.scores(x)


@pytest.fixture
def linear():
    """Two classes of 4x4 images on both sides of a plane, and the plane."""
    rng = np.random.default_rng(0)
    weights = rng.normal(size=16)
    x = rng.uniform(0.3, 0.7, size=(300, 1, 4, 4)).astype(np.float32)
    value = x.reshape(300, -1) @ weights
    bias = -np.median(value)
    y = (value + bias > 0).astype(np.int64)
    return Linear(np.stack([-weights / 2, weights / 2]), np.array([-bias / 2, bias / 2])), x, y, weights, bias


@pytest.fixture
def outside():
    return ScoresOnly


@pytest.fixture
def linear_model():
    return Linear
