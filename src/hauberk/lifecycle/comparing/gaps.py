"""Gaps between groups, for two models on the same rows, and how the gap changed.

A gap is the largest share among groups minus the smallest: the share of right answers, or of rows that get the favourable class.
The interval of its change is a paired bootstrap over rows: both models are evaluated on the same resampled rows, so variation
that they share cancels. Groups with fewer than 30 rows are left out: their shares are mostly chance.
Source: Efron, Tibshirani 1993, "An Introduction to the Bootstrap", ch. 13 (percentile interval).
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from hauberk.data.reading.dataset import Labels, Mask
from hauberk.lifecycle.comparing.paired import Compared

FEWEST = 30
_RESAMPLES = 999
_AT_ONCE = 64


def gap_change(  # noqa: PLR0913 - what is compared, and how
    metric: str,
    rows: str,
    groups: Labels,
    champion: Mask,
    challenger: Mask,
    *,
    confidence: float,
    rng: np.random.Generator,
) -> Compared | None:
    """Return how the gap between groups changed, or None when fewer than two groups have 30 rows.

    groups: (n,) int64. champion, challenger: (n,) masks of the rows that count (right, or selected).
    """
    from scipy.stats import bootstrap

    names, sizes = np.unique(groups, return_counts=True)
    large = names[sizes >= FEWEST]
    if len(large) < 2:
        return None
    kept = np.isin(groups, large)
    member = np.searchsorted(large, groups[kept])
    values = np.stack([champion[kept], challenger[kept]]).astype(np.float64)

    def change(index: npt.NDArray[np.int64], axis: int = -1) -> Any:  # noqa: ANN401, ARG001 - scipy's shape
        old, new = gaps(member[index], values[:, index], len(large))
        return new - old

    index = np.arange(len(member))
    old, new = gaps(member, values, len(large))
    if (champion == challenger).all():
        return Compared(
            metric, rows, len(index), float(old), float(new), 0.0, 0.0, 0.0, confidence, None, higher=False
        )
    interval = bootstrap(
        (index,),
        change,
        n_resamples=_RESAMPLES,
        batch=_AT_ONCE,
        vectorized=True,
        method="percentile",
        confidence_level=confidence,
        rng=rng,
    ).confidence_interval
    return Compared(
        metric,
        rows,
        len(index),
        float(old),
        float(new),
        float(new - old),
        float(interval.low),
        float(interval.high),
        confidence,
        None,
        higher=False,
    )


def gaps(member: Labels, values: npt.NDArray[np.float64], groups: int) -> npt.NDArray[np.float64]:
    """Return (2, ...), the gap of each of two models. member: (..., n) in [0, groups). values: (2, ..., n).

    A group without rows in a resample is ignored in it.
    """
    shares = []
    for group in range(groups):
        own = member == group
        size = own.sum(axis=-1)
        with np.errstate(invalid="ignore", divide="ignore"):
            shares.append((values * own).sum(axis=-1) / size)
    stacked = np.stack(shares)
    found: npt.NDArray[np.float64] = np.nanmax(stacked, axis=0) - np.nanmin(stacked, axis=0)
    return found
