"""Margin: how far a prediction is from being wrong, as attacks that see only scores use it."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from hauberk.attacks.model import Floats, Labels, Model

BATCH = 512  # rows of one request; attacks work through larger inputs batch by batch


def margins(scores: Floats, y: Labels) -> Floats:
    """Return (n,): score of the right class minus the best other. At most 0: not surely right any more.

    Works on logits and on log-probabilities. NaN scores give NaN, which is never the smaller of two.
    """
    rows = np.arange(len(y))
    others = scores.astype(np.float32, copy=True)
    others[rows, y] = -np.inf
    result: Floats = scores[rows, y] - others.max(axis=1)
    return result


def is_right(model: Model, x: Floats, y: Labels) -> NDArray[np.bool_]:
    """Return (n,): whether the model's prediction (first of the largest scores) is `y`."""
    if not len(x):
        return np.zeros(0, dtype=np.bool_)
    result: NDArray[np.bool_] = model.scores(x).argmax(axis=1) == y
    return result
