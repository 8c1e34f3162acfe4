"""Dependence between columns: Theil's U, bias-corrected, on binned values.

U is the share of the target's entropy that a column explains, from 0 to 1, for numbers and categories and relations of any
shape. A column that is different in every row would explain everything by chance; so the expected value under independence
is subtracted.
Source: Theil 1970; the correction is Miller and Madow's (1955) for entropies of plug-in estimates.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from hauberk.core.extras import need

if TYPE_CHECKING:
    import polars as pl

_BINS = 20  # quantile bins of a number column
_FEWEST = 5  # rows; rarer categories are merged
_LARGEST = 1000  # the most frequent categories that are kept apart; the others are merged


def association(column: pl.Series, target: pl.Series) -> float | None:
    """Return the share of the target's entropy (0 to 1) that a column explains.

    Nulls and NaN count as values, because a value that is missing for one class only is a leak. None for nested columns, for
    no rows, and for a target with one value.
    """
    a, b = codes(column), codes(target)
    if a is None or b is None or not len(a):
        return None
    if a.max() > _BINS + 1:
        # A category of one or two rows determines the target by chance, so rare categories are merged.
        a = np.where(np.bincount(a)[a] < _FEWEST, a.max() + 1, a)
    table = np.zeros((a.max() + 1, b.max() + 1))
    np.add.at(table, (a, b), 1)
    n = len(a)
    entropy_b = _entropy(table.sum(axis=0))
    if entropy_b <= 0:
        return None
    rows, columns = (int((table.sum(axis=axis) > 0).sum()) for axis in (1, 0))
    mutual = _entropy(table.sum(axis=1)) + entropy_b - _entropy(table.ravel())
    mutual -= (rows - 1) * (columns - 1) / (2 * n)
    return float(np.clip(mutual / entropy_b, 0, 1))


def codes(series: pl.Series) -> NDArray[np.int64] | None:
    """Return (n,) category numbers of a column's values: quantile bins for numbers; None for nested and binary types."""
    polars = need("polars")
    dtype: Any = series.dtype
    if dtype.is_nested() or dtype in (polars.Object, polars.Binary):
        return None
    if (dtype.is_numeric() or dtype.is_temporal()) and series.n_unique() > _BINS:
        values = (series.to_physical() if dtype.is_temporal() else series).cast(polars.Float64).to_numpy()
        finite = np.isfinite(values)
        if not finite.any():
            return np.zeros(len(values), np.int64)
        edges = np.unique(np.quantile(values[finite], np.linspace(0, 1, _BINS + 1)[1:-1]))
        return np.where(finite, np.searchsorted(edges, values, side="right"), len(edges) + 1).astype(np.int64)
    ranked = series.cast(polars.String).fill_null("\0null").rank("dense").to_numpy().astype(np.int64) - 1
    common = np.argsort(-np.bincount(ranked), kind="stable")[:_LARGEST]
    small = np.full(ranked.max() + 1 if len(ranked) else 1, len(common))
    small[common] = np.arange(len(common))
    placed: NDArray[np.int64] = small[ranked]
    return placed


def _entropy(counts: NDArray[np.float64]) -> float:
    """Return the plug-in entropy in nats."""
    share = counts[counts > 0] / counts.sum()
    return float(-(share * np.log(share)).sum())
