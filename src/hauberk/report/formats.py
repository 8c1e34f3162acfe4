"""The one way in which each kind of number and name is written for people."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

NO_EVIDENCE = "no evidence"
SHORT = 12
"""Hex digits of a digest that a page shows; the ledger table has all of them."""


SHOWN_COLUMNS = 3
"""Columns that a threat's description names; the evidence has them all."""


def percent(value: float) -> str:
    """Write a share in [0, 1] as per cent with one decimal."""
    return f"{value * 100:.1f} %"


def points(difference: float) -> str:
    """Write a difference of two shares in percentage points, with its sign."""
    return f"{difference * 100:+.1f} points".replace("-", "\N{MINUS SIGN}")


def seconds(value: float) -> str:
    """Write a duration of `value` seconds."""
    if value < 60:
        return f"{value:.1f} s"
    minutes, rest = divmod(round(value), 60)
    if minutes < 60:
        return f"{minutes} min {rest} s"
    return f"{minutes // 60} h {minutes % 60} min"


def factor(value: float) -> str:
    """Write a ratio."""
    return f"{value:.1f} \N{MULTIPLICATION SIGN}"


def number(value: float) -> str:
    """Write any finite number with up to four significant digits, whole numbers whole."""
    if value == int(value) and abs(value) < 1e15:
        return f"{int(value):,}".replace(",", "\N{NARROW NO-BREAK SPACE}")
    return f"{value:.4g}"


def chance(value: object) -> str:
    """Write a probability; below one in a million its digits are not meaningful."""
    if isinstance(value, float | int) and not isinstance(value, bool) and 0 <= value < 1e-6:
        return "< 0.000001"
    return anything(value)


def anything(value: object) -> str:
    """Write a value of unknown type: numbers as numbers, None as a dash."""
    if isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value):
        return number(float(value))
    return "\N{EN DASH}" if value is None else str(value)


def instant(text: str) -> str:
    """Write an RFC 3339 UTC time without its fraction; another form is written unchanged."""
    day, found, clock = text.partition("T")
    if not found or not clock.endswith("Z"):
        return text
    return f"{day} {clock[:-1].partition('.')[0]} UTC"


def short(digest: str) -> str:
    """Return the first digits of a digest."""
    return digest[:SHORT]


def radius(value: float) -> str:
    """Write an L-inf radius in pixel units, as n/255 if it is a multiple of 1/255, as papers do."""
    steps = value * 255
    if steps and abs(steps - round(steps)) < 1e-3 * max(1.0, steps):
        return f"{round(steps)}/255"
    return f"{value:.3g}"


def threat(value: Mapping[str, Any]) -> str:
    """Describe an evasion threat as evidence carries it: a norm with its radius, or columns with their budgets."""
    norm, eps = value.get("norm"), value.get("eps")
    if isinstance(norm, str) and isinstance(eps, int | float) and math.isfinite(eps):
        name = {"linf": "L\N{INFINITY}", "l2": "L2", "l1": "L1"}.get(norm, norm)
        size = radius(float(eps)) if norm == "linf" else f"{eps:.3g}"
        return f"{name} \N{LESS-THAN OR EQUAL TO} {size}"
    columns = value.get("columns")
    if not isinstance(columns, Sequence) or isinstance(columns, str) or not columns:
        return ""
    known = [column for column in columns if isinstance(column, Mapping)]
    told = ", ".join(_column(column) for column in known[:SHOWN_COLUMNS])
    if len(known) > SHOWN_COLUMNS:
        told += f" and {len(known) - SHOWN_COLUMNS} more columns"
    cost = value.get("cost")
    limited = isinstance(cost, int | float) and math.isfinite(cost) and cost > 0
    return f"{told}; total cost \N{LESS-THAN OR EQUAL TO} {cost:g}" if limited else told


def _column(column: Mapping[str, Any]) -> str:
    by = column.get("by")
    name = str(column.get("column", "?"))
    if not isinstance(by, int | float) or not by:
        return f"{name} (any category)"
    sign = {"up": "+", "down": "\N{MINUS SIGN}"}.get(str(column.get("direction")), "\N{PLUS-MINUS SIGN}")
    return f"{name} {sign}{by:g}"
