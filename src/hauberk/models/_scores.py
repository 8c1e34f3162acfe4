"""Checks of every model's scores: shape, finite values, float32."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from hauberk.core.errors import InvalidInput
from hauberk.models.port import Floats


def checked(raw: NDArray[np.generic], rows: int, classes: int, *, who: str) -> Floats:
    """Return `raw` as (rows, classes) float32. Raises InvalidInput for another shape, NaN or infinity."""
    if raw.shape != (rows, classes):
        raise InvalidInput(
            f"{who} returned an array of shape {raw.shape} for {rows} rows; expected ({rows}, {classes}): "
            "one score for each class."
        )
    scores = raw.astype(np.float32, copy=False)
    bad = ~np.isfinite(scores).all(axis=1)
    if bad.any():
        row = int(np.flatnonzero(bad)[0])
        value = "NaN" if np.isnan(scores[row]).any() else "infinity"
        raise InvalidInput(
            f"{who} returned {value} for {int(bad.sum())} of {rows} rows, the first of them row {row}. "
            "Look for a division by zero, the logarithm of zero or weights that diverged."
        )
    return scores


def probabilities(scores: Floats) -> NDArray[np.float64]:
    """Return the softmax of each row, in float64."""
    shifted = np.exp(scores.astype(np.float64) - scores.max(axis=1, keepdims=True))
    shares: NDArray[np.float64] = shifted / shifted.sum(axis=1, keepdims=True)
    return shares
