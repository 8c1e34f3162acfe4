"""The profile as one HTML page: no script, nothing fetched, charts drawn as SVG within it.

The values for `templates/profile.html.j2` are computed here. `core.pages` escapes everything that comes from the table
and writes out hidden characters, so a column's name cannot change the page.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from hauberk.core import pages
from hauberk.data.verification.profiling import ColumnProfile, Profile
from hauberk.data.verification.summary import ColumnSummary

_PACKAGE = "hauberk.data.verification"
_WIDE = 280  # of a card's chart, in its own unit
_HIGH = 60.0  # of the highest bar
_LONG = 110.0  # of the longest bar
_LITTLE = 0.001
_BARS, _COMMONEST = 12, 6


@dataclass(frozen=True, slots=True)
class _Card:
    """One column. bars: heights of the histogram; commonest: (value, length of its bar, share of the rows)."""

    name: str
    kind: str
    dtype: str
    is_target: bool
    bars: tuple[float, ...]
    ends: tuple[str, str]
    commonest: tuple[tuple[str, float, float], ...]
    facts: tuple[tuple[str, str], ...]


def page(profile: Profile) -> str:
    """Return the page as HTML."""
    nulls = sum(column.summary.nulls for column in profile.columns)
    view = {
        "profile": profile,
        "missing": nulls / max(1, profile.rows * len(profile.columns)),
        "strongest": _strongest(profile),
        "little": _LITTLE,
        "cards": [_card(column, profile) for column in profile.columns],
        "wide": _WIDE,
    }
    return pages.lay_out(_PACKAGE, "profile.html.j2", view)


def _strongest(profile: Profile) -> Mapping[str, Any] | None:
    """Return the columns that explain most of the target, and how many explain next to nothing."""
    known = [
        (column.association, column.summary.name) for column in profile.columns if column.association is not None
    ]
    if not known:
        return None
    telling = sorted((pair for pair in known if pair[0] >= _LITTLE), key=lambda pair: -pair[0])
    bars = [(share, _cut(name, 30)) for share, name in telling[:_BARS]]
    return {"bars": bars, "others": len(known) - len(telling)}


def _card(column: ColumnProfile, profile: Profile) -> _Card:
    one, shape = column.summary, column.shape
    highest = max(shape.counts, default=0)
    bars = tuple(_HIGH * count / highest for count in shape.counts) if highest else ()
    label = _moment if one.kind in ("date", "datetime") else figure
    top = shape.top[:_COMMONEST]
    return _Card(
        name=one.name,
        kind=str(one.kind),
        dtype=one.dtype,
        is_target=one.name == profile.target,
        bars=bars,
        ends=(label(shape.edges[0]), label(shape.edges[-1])) if bars else ("", ""),
        commonest=tuple(
            (_cut(value, 18), _LONG * count / top[0][1], count / max(1, profile.rows)) for value, count in top
        ),
        facts=tuple(_facts(column, profile.rows)),
    )


def _facts(column: ColumnProfile, rows: int) -> list[tuple[str, str]]:
    one = column.summary
    facts = [("distinct", f"{one.distinct:,}")] if one.distinct else []
    facts.append(("missing", f"{one.nulls:,} ({one.nulls / max(1, rows):.1%})" if one.nulls else "none"))
    if one.nans or one.infinities:
        facts.append(("NaN, infinite", f"{one.nans:,}, {one.infinities:,}"))
    if spread(one):
        facts.append(("length" if one.kind == "text" else "range", spread(one)))
    if one.mean is not None and one.kind != "boolean":
        facts.append(("mean ± deviation", f"{figure(one.mean)} ± {figure(one.std)}"))
    if column.association is not None:
        facts.append(("explains target", f"{column.association:.1%}"))
    return facts


def _cut(text: str, length: int) -> str:
    return (text if len(text) <= length else text[: length - 1] + "…") or "(empty)"


def figure(value: Any) -> str:  # noqa: ANN401 - a number, a time or None
    """Return a value as people read it: four significant digits, and no powers of ten below 10^9."""
    if isinstance(value, float):
        return f"{value:,.0f}" if 1e3 <= abs(value) < 1e9 else f"{value:.4g}"
    return f"{value:,}" if isinstance(value, int) and not isinstance(value, bool) else str(value)


def spread(column: ColumnSummary) -> str:
    """Return the range of a column's values as text; "" when it says nothing."""
    if column.low is None or column.kind == "boolean":
        return ""
    low, high = figure(column.low), figure(column.high)
    return low if low == high else f"{low} to {high}"


def _moment(micros: float) -> str:
    try:
        return f"{datetime.fromtimestamp(micros / 1e6, UTC):%Y-%m-%d}"
    except (OverflowError, ValueError, OSError):
        return f"{micros:.3g} µs"
