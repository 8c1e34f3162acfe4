"""From raw tables to coded matrices: numbers as they are, categories as codes, one meaning for both sides."""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hauberk.core.columns import Column, ColumnKind
from hauberk.core.errors import InvalidInput
from hauberk.core.extras import need
from hauberk.data.formats import Table

MISSING = "missing"
_MANY = 100  # distinct numbers beyond which a target is a quantity and no class


def check_name(frame: Table, name: str, role: str) -> None:
    """Refuse a column that is not there, naming those that are."""
    if name not in frame.columns:
        near = difflib.get_close_matches(name, frame.columns, n=1)
        hint = f" Did you mean {near[0]!r}?" if near else ""
        raise InvalidInput(
            f"the data have no column {name!r} for `{role}`.{hint} They have: {', '.join(frame.columns)}."
        )


def labels_of(frame: Table, target: str) -> NDArray[np.str_]:
    """Return each row's class as text. Raises InvalidInput for a missing, constant or continuous target."""
    check_name(frame, target, "target")
    series = frame.get_column(target)
    if series.null_count():
        row = int(series.is_null().arg_max() or 0)
        raise InvalidInput(
            f"the target {target!r} is empty in {series.null_count()} rows, first in row {row}: drop or fill them."
        )
    if series.dtype.is_float():
        if bool((~series.is_finite()).any()):
            row = int((~series.is_finite()).arg_max() or 0)
            raise InvalidInput(f"the target {target!r} is NaN or infinite, first in row {row}.")
        if bool((series == series.round()).all()):
            series = series.cast(need("polars").Int64)
    if series.dtype.is_numeric() and series.n_unique() > _MANY:
        raise InvalidInput(
            f"the target {target!r} has {series.n_unique()} different numbers: it is a quantity, and Hauberk protects "
            "classifiers. Put it into classes first."
        )
    return np.array([str(value) for value in series.to_list()])


def coded(
    frame: Table, names: Sequence[str], train: NDArray[np.int64]
) -> tuple[NDArray[np.float32], tuple[Column, ...]]:
    """Return the matrix (rows, columns) and what its columns mean, ranges taken from the `train` rows.

    Raises InvalidInput for NaN, infinity or nothing in a number column (first row named), and for dates, lists and
    other types that have no place in the matrix.
    """
    x = np.empty((frame.height, len(names)), dtype=np.float32)
    columns: list[Column] = []
    for place, name in enumerate(names):
        x[:, place], kind, categories = _column(name, frame.get_column(name))
        low, high = float(x[train, place].min()), float(x[train, place].max())
        if kind is ColumnKind.CATEGORY:
            low, high = 0.0, float(len(categories) - 1)
        columns.append(Column(name, kind, low, high, categories))
    return x, tuple(columns)


def _column(name: str, series: Any) -> tuple[NDArray[np.float32], ColumnKind, tuple[str, ...]]:  # noqa: ANN401 - a polars.Series
    polars = need("polars")
    if series.dtype in (polars.String, polars.Boolean, polars.Categorical) or isinstance(series.dtype, polars.Enum):
        texts = np.array([MISSING if value is None else str(value) for value in series.to_list()])
        categories, codes = np.unique(texts, return_inverse=True)
        return codes.astype(np.float32), ColumnKind.CATEGORY, tuple(categories.tolist())
    if not series.dtype.is_numeric():
        raise InvalidInput(
            f'column {name!r} is of type {series.dtype}: turn it into numbers or text, or drop = ["{name}"].'
        )
    values = series.cast(polars.Float64).to_numpy()
    bad = np.flatnonzero(~np.isfinite(values))
    if len(bad):
        what = "infinite" if np.isinf(values[bad[0]]) else "empty or NaN"
        raise InvalidInput(
            f'column {name!r} is {what} in {len(bad)} rows, first in row {bad[0]}: fill them, or drop = ["{name}"].'
        )
    if np.abs(values).max(initial=0.0) > float(np.finfo(np.float32).max):
        raise InvalidInput(
            f"column {name!r} holds numbers beyond what float32 can, first in row {int(np.abs(values).argmax())}."
        )
    kind = ColumnKind.INTEGER if series.dtype.is_integer() else ColumnKind.NUMBER
    return values.astype(np.float32), kind, ()
