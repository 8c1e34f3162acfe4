"""Queries against success as one picture: the share of rows that each attack fooled within a number of queries."""

from __future__ import annotations

import math
from collections.abc import Mapping

from markupsafe import Markup

from hauberk.report import formats
from hauberk.report.field import QUARTERS, WIDTH, Field, Points, apart
from hauberk.report.svg import picture, tag

_FIELD = Field(300.0, right=215.0)
_GAP = 18.0


def success_by_queries(lines: Mapping[str, Points], identity: str) -> Markup | None:
    """Return each attack's line as inline SVG, queries on a logarithmic axis, or None if no row was fooled.

    lines: attack to (scores and gradients of a row, share of right rows fooled). `identity` is unique on the page.
    """
    kept = {name: points for name, points in lines.items() if any(x > 0 for x, _ in points)}
    if not kept:
        return None
    most = max(x for points in kept.values() for x, _ in points)
    decades = max(1, math.ceil(math.log10(max(most, 1.0)) - 1e-9))
    ticks = [(power / decades, formats.number(10.0**power)) for power in range(decades + 1)]
    parts = _FIELD.grid(ticks, QUARTERS, names=("scores and gradients asked of a row", "fooled"))
    ends = sorted((_FIELD.y(points[-1][1]), name) for name, points in kept.items())
    for number, (name, points) in enumerate(kept.items()):
        parts.append(_line(name, points, decades, number))
    for (_, name), y in zip(ends, apart([y for y, _ in ends], _GAP), strict=True):
        share = formats.percent(kept[name][-1][1])
        words = (tag("tspan", name, class_="strong"), tag("tspan", share, dx=6))
        parts.append(tag("text", *words, x=_FIELD.x(1) + 10, y=y + 4, class_="end"))
    told = "; ".join(f"{name}: {formats.percent(points[-1][1])} in the end" for name, points in kept.items())
    return picture(
        *parts,
        identity=identity,
        title="Share of right rows fooled against queries of a row",
        told=told,
        size=(WIDTH, _FIELD.height),
        look="plot",
    )


def _line(name: str, points: Points, decades: int, number: int) -> Markup:
    """Draw a step line: the share changes only when a row is fooled."""
    corners, last = [], 0.0
    for x, share in points:
        place = math.log10(max(1.0, x)) / decades
        corners += [(place, last), (place, share)]
        last = share
    corners.append((1.0, last))
    dashes = (None, "7 3", "2 3", "9 3 2 3")[number % 4]  # lines differ in more than colour
    line = tag("polyline", points=_FIELD.path(corners), stroke_dasharray=dashes)
    return tag("g", tag("title", name), line, class_=("line hardened", "line plain")[number % 2])
