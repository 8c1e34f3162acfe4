"""Averaged: the mean prediction of a model that answers at random."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from hauberk.models.port import Differentiable, Floats, Model

if TYPE_CHECKING:
    from torch import Tensor


class _AveragedScores:
    """Log of the mean class probabilities over `draws` answers of a model."""

    def __init__(self, model: Model, draws: int) -> None:
        self._inner, self._draws = model, draws
        self.classes = model.classes

    def scores(self, x: Floats) -> Floats:
        """Return (n, classes) log-probabilities. Cost: `draws` answers of the model."""
        answers = np.stack([_log_softmax(self._inner.scores(x)) for _ in range(self._draws)])
        mean: Floats = np.logaddexp.reduce(answers, axis=0) - np.float32(np.log(self._draws))
        return mean


class _AveragedLogits(_AveragedScores):
    """The same for a model with gradients: expectation over transformation (Athalye, Carlini, Wagner 2018)."""

    def __init__(self, model: Differentiable, draws: int) -> None:
        super().__init__(model, draws)
        self._logits, self.device = model.logits, model.device

    def logits(self, x: Tensor) -> Tensor:
        """Return (n, classes) log-probabilities, differentiable by x."""
        import torch

        answers = torch.stack([self._logits(x).log_softmax(1) for _ in range(self._draws)])
        return answers.logsumexp(0) - float(np.log(self._draws))


def averaged(model: Model, draws: int) -> Model:
    """Return a model that averages over `draws` answers; for 1 the model itself."""
    if draws == 1:
        return model
    return _AveragedLogits(model, draws) if isinstance(model, Differentiable) else _AveragedScores(model, draws)


def _log_softmax(scores: Floats) -> Floats:
    shifted = scores - scores.max(axis=1, keepdims=True)
    logs: Floats = shifted - np.log(np.exp(shifted).sum(axis=1, keepdims=True))
    return logs
