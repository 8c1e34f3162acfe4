"""Margin: how far a prediction is from being wrong, as attacks that see only scores use it."""

from __future__ import annotations

import numpy as np

from hauberk.models.port import Floats, Labels

BATCH = 512  # rows of one request; attacks work through larger inputs batch by batch


def margins(scores: Floats, y: Labels) -> Floats:
    """Return (n,): score of the right class minus the best other. At most 0: not surely right any more.

    Works on logits and on log-probabilities. NaN scores give minus infinity: such a row is not robust.
    """
    rows = np.arange(len(y))
    others = scores.astype(np.float32, copy=True)
    others[rows, y] = -np.inf
    result: Floats = scores[rows, y] - others.max(axis=1)
    result[np.isnan(scores).any(axis=1)] = -np.inf
    return result
