from __future__ import annotations

import numpy as np
import pytest

torch = pytest.importorskip("torch")


class Linear:
    """Softmax regression: attacks on it have known answers."""

    def __init__(self, weights, bias):
        self.weights, self.bias = weights.astype(np.float32), bias.astype(np.float32)

    @property
    def classes(self) -> int:
        return len(self.bias)

    def scores(self, x):
        return x.reshape(len(x), -1) @ self.weights.T + self.bias

    device = "cpu"

    def logits(self, x):
        return x.flatten(1) @ torch.from_numpy(self.weights.T.copy()) + torch.from_numpy(self.bias)


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
