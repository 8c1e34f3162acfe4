"""A table with its schema's types: typed columns and, for text files (CSV), the raw text beside them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from hauberk.core.errors import InvalidInput
from hauberk.core.extras import need
from hauberk.data.verification.kinds import from_text
from hauberk.data.verification.opening import Table, header, uneven
from hauberk.data.verification.schema import Schema

if TYPE_CHECKING:
    import polars as pl

HIDDEN = (
    "\0\0"  # prefix of columns that queries add; raw text columns have one NUL, the table's own columns have none
)


@dataclass(frozen=True, slots=True)
class Frame:
    """A table with its schema's types.

    found: column to its type after text was parsed. raw: prefix of the columns that hold the unparsed text of a CSV.
    """

    table: Table
    schema: Schema
    found: dict[str, pl.DataType]
    raw: str

    def scan(self, index: str = "") -> pl.LazyFrame:
        """Return a query of the typed columns, and for CSV the raw text; with `index`, row numbers are in that column."""
        polars = need("polars")
        scan = self.table.rows(index) if index else self.table.scan()
        if not self.table.textual:
            return scan
        known = {name: column.type for name, column in self.schema.columns.items() if name in self.table.schema}
        return scan.with_columns(
            *(from_text(name, kind) for name, kind in known.items()),
            *(polars.col(name).alias(self.raw + name) for name in known),
        )


def framed(table: Table, schema: Schema) -> Frame:
    """Return the table with text parsed to the schema's types."""
    raw = "\0"
    bare = Frame(table, schema, dict(table.schema), raw)
    if not table.textual:
        return bare
    types = bare.scan().collect_schema()
    return Frame(table, schema, {name: types[name] for name in table.schema}, raw)


def refuse_short_lines(table: Table) -> None:
    """Raise InvalidInput for a line with too few values, which Polars silently fills with nulls.

    Call it if the last column has a null; without one there is no such line.
    """
    separator = "\t" if table.format == "tsv" else ","
    for part in table.parts:
        wrong = uneven(part, separator, len(header(part, separator)))
        if wrong:
            raise InvalidInput(wrong)
