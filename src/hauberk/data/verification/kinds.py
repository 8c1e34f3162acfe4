"""Families of types: what a schema file calls a type, what Polars calls it, and how text is read as one."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from hauberk.core.extras import need

if TYPE_CHECKING:
    import polars as pl

_TIMES = ("%Y-%m-%dT%H:%M:%S%.f", "%Y-%m-%d %H:%M:%S%.f")
_ZONED = ("%Y-%m-%dT%H:%M:%S%.f%:z", "%Y-%m-%d %H:%M:%S%.f%:z", "%Y-%m-%dT%H:%M:%S%.fZ")


def family(dtype: Any) -> str:  # noqa: ANN401 - a type of Polars
    """Return the word for a type in schema files: "integer" for Int8 to UInt64, and so on; "any" for the rest."""
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


def from_text(name: str, kind: str) -> pl.Expr:
    """Read a text column as a family of types; null where a value is no such thing. Blanks are part of a value."""
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
