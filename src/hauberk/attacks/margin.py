"""Margin: score of the label minus the best other score, for attacks that see scores only."""

from __future__ import annotations

import numpy as np

from hauberk.models.port import Floats, Labels

BATCH = 512  # rows of one request; larger inputs are processed batch by batch


def margins(scores: Floats, y: Labels) -> Floats:
    """Return (n,): score of the label minus the best other score. At 0 or below, the row may be misclassified.

    Works on logits and on log-probabilities. NaN scores give minus infinity, so that such a row counts as not robust.
    """
    rows = np.arange(len(y))
    others = scores.astype(np.float32, copy=True)
    others[rows, y] = -np.inf
    result: Floats = scores[rows, y] - others.max(axis=1)
    result[np.isnan(scores).any(axis=1)] = -np.inf
    return result
