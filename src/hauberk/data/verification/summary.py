"""Summarise each column in one streaming pass; text files need another one, which infers types.

Null, NaN and infinity are counted separately; minimum, maximum and mean are those of the finite values.
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

_MOSTLY = 0.99  # a text column is given a type if at least this share of its values parses
_TEXT_TYPES = ("boolean", "integer", "float", "date", "datetime")
_AT_ONCE = 500  # columns in one query; planning grows faster than linearly with columns
_SAMPLED = 20_000  # rows of the first look at a text file's types
_COUNTED = (
    1_000_000  # up to this many rows distinct values are counted exactly (about 100 MB a column), above estimated
)


@dataclass(frozen=True, slots=True)
class ColumnSummary:
    """The summary of one column.

    kind: family of types. dtype: Polars type. distinct: number of distinct values, exact up to a million rows, above an
    estimate within about 10 %. low, high: smallest and largest finite value, or length of text in characters. mean, std: of
    finite numbers. marked: number of texts with NUL, control or bidirectional characters. misfits: number of values in a
    text file that do not parse to the column's kind.
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
    """Summaries of a table's columns, and the table with their types."""

    rows: int
    columns: tuple[ColumnSummary, ...]
    frame: Frame


def summarise(table: Table, schema: Schema | None = None, *, task: Task | None = None) -> Summary:
    """Return the summary of every column. Text is parsed to the schema's types or, without a schema, to inferred ones."""
    polars = need("polars")
    task = task or Quiet()
    frame = framed(table, schema if schema is not None else guessed(table))
    rows = int(table.collect(frame.scan().select(polars.len())).item())
    names = list(table.schema)
    columns = []
    for start in range(0, len(names), _AT_ONCE):
        some = names[start : start + _AT_ONCE]
        aggregates = [
            expression.alias(f"{at}:{key}")
            for at, name in enumerate(some)
            for key, expression in _aggregates(name, frame.found[name], frame, exact=rows <= _COUNTED).items()
        ]
        line = to_dicts(table.collect(frame.scan().select(aggregates)))[0]
        for at, name in enumerate(some):
            values = {key.partition(":")[2]: value for key, value in line.items() if key.startswith(f"{at}:")}
            columns.append(_column(name, frame.found[name], rows, values))
        task.update((start + len(some)) / len(names))
    if table.textual and columns[-1].nulls:
        refuse_short_lines(table)
    return Summary(rows, tuple(columns), frame)


def guessed(table: Table) -> Schema:
    """Return a schema with the inferred type of each column of a CSV: the first type to which 99 % of its values parse.

    Returns an empty schema for formats with types of their own.
    """
    if not table.textual:
        return Schema(version=1)
    names = list(table.schema)
    columns = {}
    for name, known, counts in _fitting(table, dict.fromkeys(names, _TEXT_TYPES), head=_SAMPLED):
        fitting = (kind for kind in _TEXT_TYPES if known and counts[kind] >= _MOSTLY * known)
        columns[name] = next(fitting, "text")
    # The first rows propose a type and all rows decide: later values may turn integers into floats, or anything into text.
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
    """Yield each column's name, its number of values, and for each kind the number of values that parse to it."""
    polars = need("polars")
    counts = []
    for at, (name, some) in enumerate(kinds.items()):
        counts.append(polars.col(name).count().alias(f"{at}:text"))
        counts += [from_text(name, one).count().alias(f"{at}:{one}") for one in some]
    scan = table.scan() if head is None else table.scan().head(head)
    line = table.collect(scan.select(counts)).row(0, named=True)
    for at, (name, some) in enumerate(kinds.items()):
        yield name, line[f"{at}:text"], {one: line[f"{at}:{one}"] for one in some}


def _names_in_digits(table: Table, names: list[str]) -> list[str]:
    """Return the columns in which every value is a whole number, some beyond 64 bits.

    Numbers of 20 digits are identifiers; as floats, two different ones would become equal.
    """
    polars = need("polars")
    for head in (_SAMPLED, None):  # most float columns have a fraction in the first rows and need no second look
        scan = table.scan() if head is None else table.scan().head(head)
        whole = [polars.col(name).str.contains(r"^[+-]?[0-9]+$").all().alias(name) for name in names]
        line = table.collect(scan.select(whole)).row(0, named=True) if names else {}
        names = [name for name in names if line[name]]
    return names


def _wider(kind: str) -> tuple[str, ...]:
    return {"text": (), "integer": ("integer", "float"), "boolean": ("boolean",)}.get(kind, (kind,))


def _aggregates(name: str, dtype: Any, frame: Frame, *, exact: bool) -> dict[str, pl.Expr]:  # noqa: ANN401 - a Polars type
    """Return the expressions that compute a column's summary, by the summary's field names."""
    polars = need("polars")
    value, kind = polars.col(name), family(dtype)
    fields = {"nulls": value.null_count()}
    if frame.table.textual and name in frame.schema.columns:
        text = polars.col(frame.raw + name)
        fields = {"nulls": text.null_count(), "misfits": (text.is_not_null() & value.is_null()).sum()}
    if kind in ("list", "struct", "any", "binary"):
        return fields
    fields["distinct"] = value.n_unique() if exact or kind == "boolean" else value.approx_n_unique()
    if kind == "text":
        text = value.cast(polars.String)
        length = text.str.len_chars()
        return fields | {"low": length.min(), "high": length.max(), "marked": text.str.contains(MARKS).sum()}
    if kind == "float":
        finite = polars.when(value.is_finite()).then(value)
        fields |= {"nans": value.is_nan().sum(), "infinities": value.is_infinite().sum()}
        return fields | {"low": finite.min(), "high": finite.max(), "mean": finite.mean(), "std": finite.std()}
    fields |= {"low": value.min(), "high": value.max()}
    if kind in ("integer", "number", "boolean"):
        number = value.cast(polars.Float64)
        fields |= {"mean": number.mean(), "std": number.std()}
    return fields


def _column(name: str, dtype: Any, rows: int, values: dict[str, Any]) -> ColumnSummary:  # noqa: ANN401
    if rows == 0:
        values = {key: value for key, value in values.items() if value is not None}
    if "nulls" not in values:
        raise InvalidInput(f"column {name!r} could not be counted: verify it alone.")
    nulls = values["nulls"]
    values["distinct"] = max(0, int(values.get("distinct") or 0) - (1 if nulls else 0))
    return ColumnSummary(name, family(dtype), str(dtype), rows, **values)
