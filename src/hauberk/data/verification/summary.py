"""Summary: what each column holds, in one streaming pass (two for text files, whose types are found first).

Null, NaN and infinity are counted apart; the smallest, largest and mean values are those of finite ones.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from hauberk.core.errors import InvalidInput
from hauberk.core.extras import need
from hauberk.core.progress import Quiet, Task
from hauberk.data.verification.frames import Frame, framed, refuse_short_lines
from hauberk.data.verification.kinds import family, from_text, to_dicts
from hauberk.data.verification.opening import Table
from hauberk.data.verification.rules import MARKS
from hauberk.data.verification.schema import Column, Schema

if TYPE_CHECKING:
    import polars as pl

_MOSTLY = 0.99  # text is meant to be a type when this share of it is
_TEXT_TYPES = ("boolean", "integer", "float", "date", "datetime")
_AT_ONCE = 500  # columns in one query: plans grow, and a pass over few columns is cheap
_SAMPLED = 20_000
_COUNTED = 1_000_000  # rows up to which distinct values are counted and not estimated: some 100 MB a column


@dataclass(frozen=True, slots=True)
class ColumnSummary:
    """One column.

    kind: its family of types. distinct: exact up to a million rows, an estimate
    within some 10 % above.

    low, high: smallest and largest finite value, or length of text. marked: texts with NUL, control or bidirectional
    characters. misfits: values of a text file that are not of the column's kind.
    """

    name: str
    kind: str
    dtype: str
    rows: int
    nulls: int
    nans: int = 0
    infinities: int = 0
    distinct: int = 0
    low: Any = None
    high: Any = None
    mean: float | None = None
    std: float | None = None
    marked: int = 0
    misfits: int = 0


@dataclass(frozen=True, slots=True)
class Summary:
    """A table's columns, and the table read with the types that were found."""

    rows: int
    columns: tuple[ColumnSummary, ...]
    frame: Frame


def summarise(table: Table, schema: Schema | None = None, *, task: Task | None = None) -> Summary:
    """Summarise every column. With a schema, text is read as it says; without, as nearly all of a column can be."""
    polars = need("polars")
    task = task or Quiet()
    frame = framed(table, schema if schema is not None else guessed(table))
    rows = int(table.collect(frame.scan().select(polars.len())).item())
    names = list(table.schema)
    columns = []
    for start in range(0, len(names), _AT_ONCE):
        some = names[start : start + _AT_ONCE]
        asked = [
            expression.alias(f"{at}:{key}")
            for at, name in enumerate(some)
            for key, expression in _asked(name, frame.found[name], frame, exact=rows <= _COUNTED).items()
        ]
        line = to_dicts(table.collect(frame.scan().select(asked)))[0]
        for at, name in enumerate(some):
            values = {key.partition(":")[2]: value for key, value in line.items() if key.startswith(f"{at}:")}
            columns.append(_column(name, frame.found[name], rows, values))
        task.update((start + len(some)) / len(names))
    if table.textual and columns[-1].nulls:
        refuse_short_lines(table)
    return Summary(rows, tuple(columns), frame)


def guessed(table: Table) -> Schema:
    """Return a schema that gives each text column of a CSV the type that 99 % of its values have; else an empty one."""
    if not table.textual:
        return Schema(version=1)
    names = list(table.schema)
    columns = {}
    for name, known, counts in _fitting(table, dict.fromkeys(names, _TEXT_TYPES), head=_SAMPLED):
        fitting = (kind for kind in _TEXT_TYPES if known and counts[kind] >= _MOSTLY * known)
        columns[name] = next(fitting, "text")
    # The first rows propose, all rows decide: integers may turn into numbers, and anything into text, further down.
    large = []
    for name, known, counts in _fitting(table, {name: _wider(kind) for name, kind in columns.items()}):
        best = max(counts.values(), default=0)
        fits = known and best >= _MOSTLY * known
        columns[name] = next(one for one in counts if counts[one] == best) if fits else "text"
        if columns[name] == "float":
            large.append(name)
    columns |= dict.fromkeys(_names_in_digits(table, large), "text")
    return Schema(version=1, columns={name: Column(type=kind) for name, kind in columns.items()})  # type: ignore[arg-type]


def _fitting(
    table: Table, kinds: dict[str, tuple[str, ...]], *, head: int | None = None
) -> Iterator[tuple[str, int, dict[str, int]]]:
    """Give, for each column, how many values it has and how many of them are of each kind."""
    polars = need("polars")
    asked = []
    for at, (name, some) in enumerate(kinds.items()):
        asked.append(polars.col(name).count().alias(f"{at}:text"))
        asked += [from_text(name, one).count().alias(f"{at}:{one}") for one in some]
    scan = table.scan() if head is None else table.scan().head(head)
    line = table.collect(scan.select(asked)).row(0, named=True)
    for at, (name, some) in enumerate(kinds.items()):
        yield name, line[f"{at}:text"], {one: line[f"{at}:{one}"] for one in some}


def _names_in_digits(table: Table, names: list[str]) -> list[str]:
    """Return the columns of which every value is a whole number, some beyond 64 bits.

    Numbers of 20 digits name things: as floats, two that differ would be taken for one.
    """
    polars = need("polars")
    for head in (_SAMPLED, None):  # most columns of floats show it in the first rows
        scan = table.scan() if head is None else table.scan().head(head)
        whole = [polars.col(name).str.contains(r"^[+-]?[0-9]+$").all().alias(name) for name in names]
        line = table.collect(scan.select(whole)).row(0, named=True) if names else {}
        names = [name for name in names if line[name]]
    return names


def _wider(kind: str) -> tuple[str, ...]:
    return {"text": (), "integer": ("integer", "float"), "boolean": ("boolean",)}.get(kind, (kind,))


def _asked(name: str, dtype: Any, frame: Frame, *, exact: bool) -> dict[str, pl.Expr]:  # noqa: ANN401 - a type of Polars
    polars = need("polars")
    value, kind = polars.col(name), family(dtype)
    asked = {"nulls": value.null_count()}
    if frame.table.textual and name in frame.schema.columns:
        text = polars.col(frame.raw + name)
        asked = {"nulls": text.null_count(), "misfits": (text.is_not_null() & value.is_null()).sum()}
    if kind in ("list", "struct", "any", "binary"):
        return asked
    asked["distinct"] = value.n_unique() if exact or kind == "boolean" else value.approx_n_unique()
    if kind == "text":
        text = value.cast(polars.String)
        length = text.str.len_chars()
        return asked | {"low": length.min(), "high": length.max(), "marked": text.str.contains(MARKS).sum()}
    if kind == "float":
        finite = polars.when(value.is_finite()).then(value)
        asked |= {"nans": value.is_nan().sum(), "infinities": value.is_infinite().sum()}
        return asked | {"low": finite.min(), "high": finite.max(), "mean": finite.mean(), "std": finite.std()}
    asked |= {"low": value.min(), "high": value.max()}
    if kind in ("integer", "number", "boolean"):
        number = value.cast(polars.Float64)
        asked |= {"mean": number.mean(), "std": number.std()}
    return asked


def _column(name: str, dtype: Any, rows: int, values: dict[str, Any]) -> ColumnSummary:  # noqa: ANN401
    if rows == 0:
        values = {key: value for key, value in values.items() if value is not None}
    if "nulls" not in values:
        raise InvalidInput(f"column {name!r} could not be counted: verify it alone.")
    nulls = values["nulls"]
    values["distinct"] = max(0, int(values.get("distinct") or 0) - (1 if nulls else 0))
    return ColumnSummary(name, family(dtype), str(dtype), rows, **values)
