"""Inspection: describes unknown files and proposes how to read them.

Proposals are guesses from names and positions, and each comes with a note that says so; counts cover all rows. Missing
values are counted here, while loading refuses them, so that a person sees what to fill in or drop.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from hauberk.core.columns import ColumnKind
from hauberk.data.reading import formats, limits
from hauberk.data.reading.dataset import Kind
from hauberk.data.reading.formats import shipped
from hauberk.data.reading.raw import RawImages, RawTable, Read, Wanted
from hauberk.data.reading.tables import usable

if TYPE_CHECKING:
    import polars as pl

_TARGETS = (
    "target",
    "label",
    "class",
    "y",
    "outcome",
    "income",
    "risk",
    "diagnosis",
    "fraud",
    "churn",
    "default",
    "species",
)
_GROUPS = ("group", "track", "patient", "patient_id", "client", "client_id", "customer_id", "subject_id", "user_id")
_MANY = 50  # a last column with more distinct values is not proposed as the target


@dataclass(frozen=True, slots=True)
class Seen:
    """One column: low and high (None for categories), number of distinct values, and number of missing values."""

    name: str
    kind: ColumnKind
    low: float | None
    high: float | None
    distinct: int
    missing: int


@dataclass(frozen=True, slots=True)
class Guess:
    """What the files seem to hold.

    kind: of the data. rows: number of training rows. test_rows: number of rows of a test side inside the files. shape: of one
    row. classes: (name, number of rows); () without a target. columns: all columns of a table. target, group: proposals, ""
    without one. drop: columns that cannot be used: numbers are missing, or values are neither numbers nor
    text. notes: what was guessed, and why.
    """

    kind: Kind
    rows: int
    test_rows: int
    shape: tuple[int, ...]
    classes: tuple[tuple[str, int], ...]
    columns: tuple[Seen, ...]
    target: str
    group: str
    drop: tuple[str, ...]
    notes: tuple[str, ...]


def understood(
    files: Sequence[str], *, kind: Kind | None, target: str, group: str = "", size: int | None = None
) -> tuple[Kind, str, tuple[str, ...]]:
    """Return (kind, target, notes on guesses) for reading the files; they are inspected only if kind or target is missing.

    kind: None if unknown. target: "" if unknown. group, size: as in `DataSpec`. Raises InvalidInput as `inspect` does.
    """
    if kind == "image" or (kind == "table" and target):
        return kind, target, ()
    guess = inspect(files, kind=kind, target=target, group=group, size=size)
    return kind or guess.kind, target or (guess.target if guess.kind == "table" else ""), guess.notes


def inspect(  # noqa: PLR0913 - a public call with independent options, all named
    paths: Sequence[str],
    *,
    kind: Kind | None = None,
    target: str = "",
    group: str = "",
    size: int | None = None,
    ceiling: int = limits.CEILING,
) -> Guess:
    """Return what the files of one side seem to hold.

    kind, target, group: replace a guess. size, ceiling: as in loading. Raises InvalidInput for files that cannot be read.
    """
    if paths[0].startswith(shipped.PREFIX):
        read = shipped.read(paths[0])
    else:
        wanted = Wanted(kind or "table", target, group, size, ceiling)
        read = formats.read([Path(path) for path in paths], wanted)
    if isinstance(read.train, RawTable):
        return _table(read, read.train, target, group)
    return _images(read, read.train)


def _images(read: Read, raw: RawImages) -> Guess:
    values, counts = np.unique(raw.labels, return_counts=True)
    classes = tuple((str(value), int(count)) for value, count in zip(values.tolist(), counts, strict=True))
    notes = ("rows of one track or group are kept on one side of a split",) if raw.groups is not None else ()
    return Guess("image", len(raw.x), _rows(read.test), tuple(raw.x.shape[1:]), classes, (), "", "", (), notes)


def _table(read: Read, raw: RawTable, target: str, group: str) -> Guess:
    columns = tuple(_seen(raw.frame[name]) for name in raw.frame.columns)
    notes: list[str] = []
    target = target or raw.target or _target(columns, notes)
    group = group or raw.group or _group([column.name for column in columns if column.name != target], notes)
    drop = tuple(
        column.name
        for column in columns
        if column.name not in {target, group} and column.missing and column.kind is not ColumnKind.CATEGORY
    )
    if drop:
        notes.append(f"values are missing in {', '.join(drop)}: fill them in, or leave the columns out.")
    other = tuple(
        name
        for name in raw.frame.columns
        if name not in {target, group, *drop} and not usable(raw.frame[name].dtype)
    )
    if other:
        notes.append(f"{', '.join(other)}: neither numbers nor text. Convert the values, or leave the columns out.")
    drop += other
    classes: tuple[tuple[str, int], ...] = ()
    if target in raw.frame.columns:
        counted = raw.frame[target].value_counts().drop_nulls()
        classes = tuple(sorted((str(value), int(count)) for value, count in counted.iter_rows()))
    width = (len(columns) - len({target, group} - {""}),)
    return Guess(
        "table", raw.frame.height, _rows(read.test), width, classes, columns, target, group, drop, tuple(notes)
    )


def _seen(series: pl.Series) -> Seen:
    missing, distinct = series.null_count(), series.n_unique()
    if not series.dtype.is_numeric():
        return Seen(series.name, ColumnKind.CATEGORY, None, None, distinct, missing)
    kind = ColumnKind.INTEGER if series.dtype.is_integer() else ColumnKind.NUMBER
    values: Any = series.drop_nulls().to_numpy().astype(np.float64)
    finite = values[np.isfinite(values)]
    missing += len(values) - len(finite)
    low, high = (float(finite.min()), float(finite.max())) if len(finite) else (None, None)
    return Seen(series.name, kind, low, high, distinct, missing)


def _target(columns: Sequence[Seen], notes: list[str]) -> str:
    names = {column.name.lower(): column.name for column in columns}
    for wanted in _TARGETS:
        if wanted in names:
            notes.append(f"target {names[wanted]!r} was chosen by its name: name another column if that is wrong.")
            return names[wanted]
    if columns and 2 <= columns[-1].distinct <= _MANY:
        notes.append(f"target {columns[-1].name!r} was chosen because it is the last column and has few values.")
        return columns[-1].name
    notes.append("no column looks like the target: name one.")
    return ""


def _group(names: Sequence[str], notes: list[str]) -> str:
    for wanted in _GROUPS:
        for name in names:
            if name.lower() == wanted:
                notes.append(f"{name!r} looks like a group: rows of one group stay on one side of a split.")
                return name
    return ""


def _rows(raw: RawImages | RawTable | None) -> int:
    if raw is None:
        return 0
    return len(raw.x) if isinstance(raw, RawImages) else raw.frame.height
