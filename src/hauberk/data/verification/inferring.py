"""Infer a schema file: TOML with comments, for a person to correct before use.

The file accepts the table that it was inferred from. Bounds and categories are the observed ones, with a comment that says
so; what the data should hold is for a person to decide.
"""

from __future__ import annotations

import json
import math
from datetime import date, datetime, time
from typing import Any

from hauberk.core.extras import need
from hauberk.core.progress import Task
from hauberk.data.verification.opening import Table
from hauberk.data.verification.summary import ColumnSummary, Summary, summarise

MOST_CATEGORIES = 50  # a text column with more distinct values gets no list of allowed values
_ROWS_PER_CATEGORY = 10  # rows for each distinct value, on average, at least, for such a list
_MOSTLY_DISTINCT = (
    0.85  # share of distinct values, estimated above a million rows, from which uniqueness is tested exactly
)


def infer(table: Table, *, task: Task | None = None) -> str:
    """Return the text of a schema file for a table. Cost: a pass over all columns, and one over likely keys."""
    summary = summarise(table, task=task)
    lines = [
        f"# What {json.dumps(table.name, ensure_ascii=False)} holds, as of {summary.rows:,} rows. Read it and correct it:",
        "# bounds and categories are what was seen, not yet what is right. Then: hauberk data verify FILE --schema THIS",
        "version = 1",
        "",
        "[table]",
        f"min_rows = {1 if summary.rows else 0}  # seen: {summary.rows}",
        '# unique = [["customer", "day"]]  # combinations that no two rows share',
        'other_columns = "refuse"  # or "allow": columns that this file does not name',
    ]
    for column in summary.columns:
        lines += ["", *_column(summary, column)]
    lines += [
        "",
        '# Rules across columns, in SQL; true in every row, and no answer (null) is a violation unless nulls = "pass".',
        "# [[rules]]",
        '# name = "ends after it begins"',
        '# expression = "begin <= \\"end\\""',
        "",
        "# [[groups]]",
        '# name = "one customer, few orders a day"',
        '# by = ["customer", "day"]',
        "# max_rows = 100",
        "",
        "# [freshness]",
        '# column = "created"',
        '# max_age = "7d"',
        "",
    ]
    return "\n".join(lines)


def _column(summary: Summary, column: ColumnSummary) -> list[str]:
    lines = [f"[columns.{_quoted(column.name)}]", f'type = "{column.kind}"  # {column.dtype}']
    if column.nulls or column.misfits:
        lines.append(f"nullable = true  # seen: {column.nulls:,} of {column.rows:,}" if column.nulls else "")
    if column.misfits:
        lines.append(f"# {column.misfits:,} values are not of type {column.kind}: verification will report them")
    if column.nans:
        lines.append(f"nan = true  # seen: {column.nans:,}")
    if column.infinities:
        lines.append(f"infinity = true  # seen: {column.infinities:,}")
    if column.kind in ("integer", "float", "number", "date", "datetime"):
        lines += [
            # A time outside the years 1 to 9999 is given as text, and a schema cannot express it.
            f"# {key}: {end}" if isinstance(end, str) else f"{key} = {value(end)}"
            for key, end in (("min", column.low), ("max", column.high))
            if end is not None
        ]
    if column.kind == "text":
        lines += _text(summary, column)
    likely = column.rows >= 2 * _ROWS_PER_CATEGORY and column.distinct >= _MOSTLY_DISTINCT * column.rows
    if likely and column.kind in ("integer", "text") and _is_unique(summary, column.name):
        lines.append("unique = true")
    return [line for line in lines if line]


def _text(summary: Summary, column: ColumnSummary) -> list[str]:
    lines = []
    few = 0 < column.distinct <= min(MOST_CATEGORIES, column.rows / _ROWS_PER_CATEGORY)
    if few:
        polars = need("polars")
        query = summary.frame.scan().select(
            polars.col(column.name).cast(polars.String).drop_nulls().unique().sort()
        )
        seen = summary.frame.table.collect(query)[column.name].to_list()
        lines.append(f"allowed = [{', '.join(_quoted(one, always=True) for one in seen)}]")
    elif column.high is not None:
        lines.append(f"max_length = {column.high}")
    lines.append(
        "marks = false" if not column.marked else f"# {column.marked:,} hold control or bidirectional characters"
    )
    return lines


def _is_unique(summary: Summary, name: str) -> bool:
    polars = need("polars")
    query = summary.frame.scan().select(name).drop_nulls().group_by(name).len().filter(polars.col("len") > 1)
    if name == "len":
        query = summary.frame.scan().select(polars.col(name).alias("\0")).drop_nulls().group_by("\0").len()
        query = query.filter(polars.col("len") > 1)
    return summary.frame.table.collect(query.head(1)).height == 0


def _quoted(text: str, *, always: bool = False) -> str:
    """Return a key or string in TOML; a key of ASCII letters, digits, - and _ stays bare unless `always`."""
    if not always and text and all(letter.isascii() and (letter.isalnum() or letter in "-_") for letter in text):
        return text
    escaped = json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")
    # Invisible and bidirectional characters are escaped, so that a person sees what the file says.
    return "".join(f"\\u{ord(one):04x}" if not one.isprintable() and ord(one) < 0x10000 else one for one in escaped)


def value(one: Any) -> str:  # noqa: ANN401 - a number or a time
    """Return a number or time in TOML."""
    if isinstance(one, datetime):
        return one.isoformat()
    if isinstance(one, date | time):
        return one.isoformat()
    if isinstance(one, int):
        return str(one)
    number = float(one)
    return repr(number) if math.isfinite(number) else "0"
