"""Families of types: from Polars types to the schema file's names, and from text to typed values."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from hauberk.core.extras import need

if TYPE_CHECKING:
    import polars as pl

_TIMES = ("%Y-%m-%dT%H:%M:%S%.f", "%Y-%m-%d %H:%M:%S%.f")
_DAYS = (-719_162, 2_932_896)  # range of Python's dates, years 1 to 9999, in days since 1970
_LONGEST = 999_999_999  # days, the largest timedelta
_PER_DAY = {"ms": 86_400_000, "us": 86_400_000_000, "ns": 86_400_000_000_000}
_ZONED = ("%Y-%m-%dT%H:%M:%S%.f%:z", "%Y-%m-%d %H:%M:%S%.f%:z", "%Y-%m-%dT%H:%M:%S%.fZ")


def family(dtype: Any) -> str:  # noqa: ANN401 - a type of Polars
    """Return a Polars type's name in schema files: "integer" for Int8 to UInt64, and so on; "any" for the rest."""
    polars = need("polars")
    if dtype.is_integer():
        return "integer"
    if dtype.is_float():
        return "float"
    simple = {
        polars.Boolean: "boolean",
        polars.Decimal: "number",
        polars.String: "text",
        polars.Categorical: "text",
        polars.Enum: "text",
        polars.Date: "date",
        polars.Datetime: "datetime",
        polars.Time: "time",
        polars.Duration: "duration",
        polars.Binary: "binary",
        polars.List: "list",
        polars.Array: "list",
        polars.Struct: "struct",
    }
    return simple.get(dtype.base_type(), "any")


def to_dicts(frame: pl.DataFrame) -> list[dict[str, Any]]:
    """Return the rows as dictionaries; a time outside the years 1 to 9999, which Python cannot represent, as text."""
    columns = {name: _listed(frame[name]) for name in frame.columns}
    return [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]


def _listed(series: pl.Series) -> list[Any]:
    polars = need("polars")
    dtype: Any = series.dtype
    if dtype.is_nested():
        # Times inside lists and structs are given as numbers; checking their range would cost too much.
        timed = any(word in str(dtype) for word in ("Date", "Duration"))
        return (series.to_physical() if timed else series).to_list()
    if dtype not in (polars.Date, polars.Datetime, polars.Duration):
        return series.to_list()
    per_day = _PER_DAY.get(getattr(dtype, "time_unit", None) or "", 1)
    low, high = (-_LONGEST, _LONGEST) if dtype == polars.Duration else _DAYS
    if getattr(dtype, "time_zone", None):
        low, high = low + 1, high - 1
    known = series.to_physical()
    inside = known.is_between(low * per_day, (high + 1) * per_day - 1).fill_null(value=True)
    if inside.all():
        return series.to_list()
    unit = getattr(dtype, "time_unit", None) or "days"
    values = series.to_frame().select(polars.when(inside).then(polars.col(series.name)))[series.name].to_list()
    return [
        value if valid else f"{number} {unit}, beyond any calendar"
        for value, valid, number in zip(values, inside, known, strict=True)
    ]


def from_text(name: str, kind: str) -> pl.Expr:
    """Return a text column parsed to a family of types; null for values that do not parse. Blanks are not stripped."""
    polars = need("polars")
    text = polars.col(name)
    value: pl.Expr
    if kind == "integer":
        value = text.cast(polars.Int64, strict=False)
    elif kind in ("float", "number"):
        value = text.cast(polars.Float64, strict=False)
    elif kind == "boolean":
        low = text.str.to_lowercase()
        value = polars.when(low.is_in(["true", "false"])).then(low == "true")
    elif kind == "date":
        value = text.str.to_date("%Y-%m-%d", strict=False)
    elif kind == "datetime":
        plain = [text.str.to_datetime(form, strict=False, time_unit="us") for form in _TIMES]
        zoned = [
            text.str.to_datetime(form, strict=False, time_unit="us", time_zone="UTC").dt.replace_time_zone(None)
            for form in _ZONED
        ]
        value = polars.coalesce(*plain, *zoned)
    elif kind == "time":
        value = text.str.to_time("%H:%M:%S%.f", strict=False)
    else:
        value = text
    return value.alias(name)
