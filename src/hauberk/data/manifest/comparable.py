"""Gives two tables common column types, so that their values can be compared, hashed and joined."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from hauberk.core.errors import InvalidInput
from hauberk.core.extras import need
from hauberk.data.verification.kinds import family, from_text
from hauberk.data.verification.opening import Table

if TYPE_CHECKING:
    import polars as pl


@dataclass(frozen=True, slots=True)
class Columns:
    """only_a, only_b: columns of one table only. types: columns of different type families, name to (first, second)."""

    only_a: tuple[str, ...]
    only_b: tuple[str, ...]
    types: Mapping[str, tuple[str, str]]

    @property
    def equal(self) -> bool:
        """Whether both tables have the same columns of the same families."""
        return not (self.only_a or self.only_b or self.types)


@dataclass(frozen=True, slots=True)
class Pair:
    """Two tables; the queries `scan_a` and `scan_b` give their common columns with comparable types."""

    a: Table
    b: Table
    common: tuple[str, ...]
    columns: Columns
    scan_a: pl.LazyFrame
    scan_b: pl.LazyFrame

    def collect(self, query: pl.LazyFrame) -> pl.DataFrame:
        """Run a query over both tables. Raises InvalidInput if files are damaged or changed while they were read."""
        return self.a.guarded(lambda: self.b.collect(query))


def paired(a: Table, b: Table) -> Pair:
    """Return two opened tables with common types. Raises InvalidInput if they have no column in common."""
    common = tuple(name for name in a.schema if name in b.schema)
    if not common:
        raise InvalidInput(f"{a.name} and {b.name} have no column in common: name two tables with common columns.")
    types: dict[str, tuple[str, str]] = {}
    reads_a, reads_b = [], []
    for name in common:
        one, other = family(a.schema[name]), family(b.schema[name])
        number = {one, other} <= {"integer", "float", "number"}
        if a.textual == b.textual and one != other and not number:
            types[name] = (one, other)
        reads_a.append(_read(a, name, other if a.textual and not b.textual else ""))
        reads_b.append(_read(b, name, one if b.textual and not a.textual else ""))
    scan_a, scan_b = a.scan().select(reads_a), b.scan().select(reads_b)
    found_a, found_b = scan_a.collect_schema(), scan_b.collect_schema()
    polars = need("polars")
    casts_a, casts_b = [], []
    for name in common:
        alike = None if name in types else _supertype(found_a[name], found_b[name])
        if alike is None:
            # One family, but not comparable, such as times with and without a zone.
            types.setdefault(name, (str(found_a[name]), str(found_b[name])))
            alike = polars.String()
        if found_a[name] != alike or found_b[name] != alike:
            casts_a.append(_as(name, found_a[name], alike))
            casts_b.append(_as(name, found_b[name], alike))
    columns = Columns(
        tuple(name for name in a.schema if name not in b.schema),
        tuple(name for name in b.schema if name not in a.schema),
        types,
    )
    return Pair(a, b, common, columns, scan_a.with_columns(casts_a), scan_b.with_columns(casts_b))


def _read(table: Table, name: str, kind: str) -> pl.Expr:
    polars = need("polars")
    column: pl.Expr = polars.col(name)
    if kind and kind not in ("text", "any", "binary", "list", "struct"):
        column = from_text(name, kind)
    elif table.schema[name].base_type() in (polars.Categorical, polars.Enum):
        column = column.cast(polars.String, strict=False)
    return column.alias(name)


def _supertype(one: pl.DataType, other: pl.DataType) -> pl.DataType | None:
    """Return the type that holds both types' values, or None. Needed because equal values of two types hash differently."""
    polars = need("polars")
    if one == other:
        return one
    halves = [polars.DataFrame({"": []}, schema={"": dtype}) for dtype in (one, other)]
    try:
        common: pl.DataType = polars.concat(halves, how="vertical_relaxed").schema[""]
    except polars.exceptions.PolarsError:
        return None
    return common


def _as(name: str, dtype: pl.DataType, wanted: pl.DataType) -> pl.Expr:
    polars = need("polars")
    column: pl.Expr = polars.col(name)
    if wanted == polars.String and dtype == polars.Binary:
        column = column.bin.encode("hex")
    elif wanted == polars.String and dtype.is_nested():  # Polars cannot cast nested values to text
        text = polars.struct(column.alias("")).struct.json_encode()
        column = polars.when(column.is_not_null()).then(text).alias(name)
    else:
        column = column.cast(wanted, strict=False)
    return column
