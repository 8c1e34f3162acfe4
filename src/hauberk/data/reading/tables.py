"""Tables: converts a frame to a float32 matrix and columns that define what its numbers mean.

Numbers are kept. Booleans and text become indices into sorted categories, the same on both sides; a missing value there
becomes the category `missing`. A missing or infinite number is an error, because how to replace it is a decision about the
data that must not be taken silently.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from hauberk.core.columns import Column, ColumnKind
from hauberk.core.errors import InvalidInput
from hauberk.core.extras import need
from hauberk.data.reading import limits
from hauberk.data.reading.dataset import Floats
from hauberk.data.reading.formats._frames import same_columns
from hauberk.data.reading.raw import Locate, RawTable

if TYPE_CHECKING:
    import polars

MISSING = "missing"
_SHOWN = 3  # rows listed in a message


@dataclass(frozen=True, slots=True, eq=False)
class Encoded:
    """x: (n, d) float32. columns: number columns without ranges yet (0 to 0). labels, groups, sources: (n,) raw values."""

    x: Floats
    columns: tuple[Column, ...]
    labels: npt.NDArray[Any]
    groups: npt.NDArray[Any] | None
    sources: npt.NDArray[Any] | None = None


def encode(  # noqa: PLR0913 - the roles of columns, all named
    train: RawTable,
    test: RawTable | None,
    *,
    target: str,
    group: str,
    drop: Sequence[str],
    source: str = "",
    ceiling: int = limits.CEILING,
) -> Encoded:
    """Return the rows of both sides, training rows first, encoded with the same categories.

    Raises InvalidInput naming each column that cannot be used, and rows: missing numbers, NaN, infinity, dates, nested
    values; also for a target, group, source or dropped column that does not exist.
    """
    test = _with_source(test, source or train.sender)
    frame, locate = _joined(train, test)
    target, group, source = target or train.target, group or train.group, source or train.sender
    if not target:
        raise InvalidInput(f"no target is named: choose a column of {train.name}: {', '.join(frame.columns)}.")
    roles = ((target, "target"), (group, "group"), (source, "source"))
    for name, role in (*roles, *((name, "dropped column") for name in drop)):
        if name and name not in frame.columns:
            raise InvalidInput(
                f"{train.name} has no column {name!r}, the {role}; it has: {', '.join(frame.columns)}."
            )
    features = [name for name in frame.columns if name not in {target, group, source, *drop}]
    if not features:
        raise InvalidInput(
            f"{train.name} has no column besides target {target!r} to predict from: drop fewer columns."
        )
    limits.claim(frame.height * len(features) * 4, where=train.name, ceiling=ceiling)
    x = np.empty((frame.height, len(features)), np.float32)
    columns: list[Column] = []
    problems: list[str] = []
    for index, name in enumerate(features):
        try:
            x[:, index], column = _column(frame[name], locate)
            columns.append(column)
        except InvalidInput as error:
            problems.append(f"{name!r} {error}")
    if problems:
        raise InvalidInput(_complaint(train.name, problems, features))
    groups = _key(frame[group], "group", locate) if group else None
    sources = _text(frame[source]) if source else None
    return Encoded(x, tuple(columns), _key(frame[target], "target", locate), groups, sources)


def with_ranges(columns: Sequence[Column], x: Floats) -> tuple[Column, ...]:
    """Return the columns with `low` and `high` set: smallest and largest value in x, or a category's first and last index."""
    lows, highs = x.min(axis=0).tolist(), x.max(axis=0).tolist()
    return tuple(
        Column(
            column.name,
            column.kind,
            0.0 if column.kind is ColumnKind.CATEGORY else low,
            float(len(column.categories) - 1) if column.kind is ColumnKind.CATEGORY else high,
            column.categories,
        )
        for column, low, high in zip(columns, lows, highs, strict=True)
    )


def _joined(train: RawTable, test: RawTable | None) -> tuple[polars.DataFrame, Locate]:
    if test is None:
        return train.frame, train.locate
    same_columns(train.frame, test.frame, train.name, test.name)
    frames = [train.frame, test.frame.select(train.frame.columns)]
    rows = train.frame.height
    joined = need("polars").concat(frames, how="vertical_relaxed")
    return joined, lambda row: train.locate(row) if row < rows else test.locate(row - rows)


def usable(dtype: polars.DataType) -> bool:
    """Return whether a column of this type can be a feature: numbers, booleans, categories or text."""
    polars = need("polars")
    return dtype.is_numeric() or dtype in (polars.Boolean, polars.Categorical, polars.Enum, polars.String)


def _column(series: polars.Series, locate: Locate) -> tuple[npt.NDArray[Any], Column]:
    polars = need("polars")
    dtype = series.dtype
    if dtype.is_numeric():
        return _numbers(series, locate)
    if dtype == polars.Boolean or dtype in (polars.Categorical, polars.Enum):
        series = series.cast(polars.String)
    elif dtype == polars.Null:
        raise InvalidInput("has no value in any row")
    elif dtype != polars.String:
        raise InvalidInput(f"holds {dtype} values: convert them to numbers or text, such as days since a date")
    text = series.fill_null(MISSING)
    categories = sorted(text.unique().to_list())
    codes = text.replace_strict(categories, list(range(len(categories))), return_dtype=polars.Float32)
    column = Column(series.name, ColumnKind.CATEGORY, 0.0, float(len(categories) - 1), tuple(categories))
    return codes.to_numpy(), column


def _numbers(series: polars.Series, locate: Locate) -> tuple[npt.NDArray[Any], Column]:
    polars = need("polars")
    kind = ColumnKind.INTEGER if series.dtype.is_integer() else ColumnKind.NUMBER
    floats = series.cast(polars.Float64)
    if series.null_count():
        raise InvalidInput(f"has no value in {_rows(series.is_null(), locate)}")
    if not floats.is_finite().all():
        raise InvalidInput(f"is NaN or infinite in {_rows(~floats.is_finite(), locate)}")
    beyond = floats.abs() > float(np.finfo(np.float32).max)
    if beyond.any():
        raise InvalidInput(f"is beyond the range of float32 in {_rows(beyond, locate)}")
    return floats.to_numpy().astype(np.float32), Column(series.name, kind, 0.0, 0.0)


def _rows(wrong: polars.Series, locate: Locate) -> str:
    rows = wrong.arg_true().to_list()
    more = f" and {len(rows) - _SHOWN} more" if len(rows) > _SHOWN else ""
    return f"{len(rows)} of {wrong.len()} rows ({'; '.join(locate(row) for row in rows[:_SHOWN])}{more})"


def _complaint(name: str, problems: Sequence[str], features: Sequence[str]) -> str:
    wrong = [problem.split("'")[1] for problem in problems if problem.startswith("'")]
    listed = ", ".join(f'"{column}"' for column in wrong)
    lines = "".join(f"\n  column {problem}" for problem in problems)
    many = f"{len(problems)} of {len(features)} columns"
    return (
        f"{name}: {many} cannot be used:{lines}\nCorrect these values, or leave the columns out: drop = [{listed}]."
    )


def _with_source(test: RawTable | None, source: str) -> RawTable | None:
    """Return the test side with an empty source column if it has none; the sender of test rows is not needed."""
    if test is None or not source or source in test.frame.columns:
        return test
    empty = need("polars").lit("").alias(source)
    return replace(test, frame=test.frame.with_columns(empty))


def _text(series: polars.Series) -> npt.NDArray[Any]:
    """Return (n,) text, the sender of each row; rows without one get the sender `missing`."""
    polars = need("polars")
    return np.array(series.cast(polars.String).fill_null(MISSING).to_list(), dtype=str)


def _key(series: polars.Series, role: str, locate: Locate) -> npt.NDArray[Any]:
    """Return the values of the target or group column as an array. Raises InvalidInput for missing values."""
    polars = need("polars")
    if series.null_count():
        raise InvalidInput(
            f"{role} {series.name!r} has no value in {_rows(series.is_null(), locate)}: remove these rows, or fill them in."
        )
    if series.dtype in (polars.Categorical, polars.Enum):
        series = series.cast(polars.String)
    if series.dtype == polars.String:
        return np.array(series.to_list(), dtype=str)
    if series.dtype.is_numeric() or series.dtype == polars.Boolean:
        return series.to_numpy()
    if role == "group":
        return np.array(series.cast(polars.String).to_list(), dtype=str)
    raise InvalidInput(
        f"target {series.name!r} holds {series.dtype} values; expected classes: text, integers or booleans."
    )
