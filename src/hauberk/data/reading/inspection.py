"""Inspection: a first look at files that nobody has described, and a proposal of how to read them.

What is proposed is a guess by name and place, and is said to be one; what is counted is counted over all rows.
Missing values are counted here, where loading refuses them, so that a person sees what to fill or drop.
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
_MANY = 50  # a column with more values than this is no class by its look


@dataclass(frozen=True, slots=True)
class Seen:
    """One column: low and high (None for categories), how many different values, and rows without one."""

    name: str
    kind: ColumnKind
    low: float | None
    high: float | None
    distinct: int
    missing: int


@dataclass(frozen=True, slots=True)
class Guess:
    """What the files look like.

    kind: of the data. rows, shape (of one row), classes (name to rows; empty without a target), columns (of a table,
    all of them). target, group: proposals, "" where nothing suggests one; drop: columns that cannot be used as they
    are (missing numbers). test_rows: of a test side inside the files. notes: what was guessed, and why.
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
    """Return how to read files: kind and target, and notes on what was guessed. They are looked at only where one is open.

    kind: None where it is not told; target: "" likewise; group: as told. Raises as `inspect`.
    """
    if kind == "image" or (kind == "table" and target):
        return kind, target, ()
    guess = inspect(files, kind=kind, target=target, group=group, size=size)
    return kind or guess.kind, target or (guess.target if guess.kind == "table" else ""), guess.notes


def inspect(  # noqa: PLR0913 - what the caller already knows of the files
    paths: Sequence[str],
    *,
    kind: Kind | None = None,
    target: str = "",
    group: str = "",
    size: int | None = None,
    ceiling: int = limits.CEILING,
) -> Guess:
    """Return what the files of one side hold. kind, target, group: in place of a guess.

    Raises InvalidInput, as loading does, for files that cannot be read at all.
    """
    if paths[0].startswith(shipped.PREFIX):
        found = shipped.read(paths[0])
    else:
        wanted = Wanted(kind or "table", target, group, size, ceiling)
        found = formats.read([Path(path) for path in paths], wanted)
    if isinstance(found.train, RawTable):
        return _table(found, found.train, target, group)
    return _images(found, found.train)


def _images(found: Read, raw: RawImages) -> Guess:
    values, counts = np.unique(raw.labels, return_counts=True)
    classes = tuple((str(value), int(count)) for value, count in zip(values.tolist(), counts, strict=True))
    notes = ("rows of one track or group are kept on one side of a split",) if raw.groups is not None else ()
    return Guess("image", len(raw.x), _rows(found.test), tuple(raw.x.shape[1:]), classes, (), "", "", (), notes)


def _table(found: Read, raw: RawTable, target: str, group: str) -> Guess:
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
        notes.append(f"rows have no value in {', '.join(drop)}: fill them in, or leave the columns out.")
    classes: tuple[tuple[str, int], ...] = ()
    if target in raw.frame.columns:
        counted = raw.frame[target].value_counts().drop_nulls()
        classes = tuple(sorted((str(value), int(count)) for value, count in counted.iter_rows()))
    width = (len(columns) - len({target, group} - {""}),)
    return Guess(
        "table", raw.frame.height, _rows(found.test), width, classes, columns, target, group, drop, tuple(notes)
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
            notes.append(f"target {names[wanted]!r} was chosen by its name: name another if that is predicted.")
            return names[wanted]
    if columns and 2 <= columns[-1].distinct <= _MANY:
        notes.append(f"target {columns[-1].name!r} was chosen because it is the last column and has few values.")
        return columns[-1].name
    notes.append("no column suggests itself as the target.")
    return ""


def _group(names: Sequence[str], notes: list[str]) -> str:
    for wanted in _GROUPS:
        for name in names:
            if name.lower() == wanted:
                notes.append(f"{name!r} looks like a group: as such it keeps its rows on one side of a split.")
                return name
    return ""


def _rows(raw: RawImages | RawTable | None) -> int:
    if raw is None:
        return 0
    return len(raw.x) if isinstance(raw, RawImages) else raw.frame.height
