"""Queries against success as one picture: how many rows each attack had fooled after how many questions."""

from __future__ import annotations

import math
from collections.abc import Mapping

from markupsafe import Markup

from hauberk.lifecycle.report import formats
from hauberk.lifecycle.report.svg import tag

Points = list[tuple[float, float]]

_WIDTH, _HEIGHT = 720.0, 300.0
_LEFT, _RIGHT, _TOP, _BOTTOM = 58.0, 215.0, 30.0, 56.0
_GAP = 18.0


def success_by_queries(lines: Mapping[str, Points], identity: str) -> Markup | None:
    """Draw each attack's line as inline SVG, queries on a logarithmic axis, or None when nothing was fooled.

    lines: attack to (scores and gradients of a row, share of right rows fooled). `identity` is unique on the page.
    """
    kept = {name: points for name, points in lines.items() if any(x > 0 for x, _ in points)}
    if not kept:
        return None
    most = max(x for points in kept.values() for x, _ in points)
    decades = max(1, math.ceil(math.log10(max(most, 1.0)) - 1e-9))
    parts = _grid(decades)
    ends = sorted((_y(points[-1][1]), name) for name, points in kept.items())
    for number, (name, points) in enumerate(kept.items()):
        parts.append(_line(name, points, decades, number))
    lowest = -_GAP
    for y, name in ends:
        lowest = max(y, lowest + _GAP)
        share = formats.percent(kept[name][-1][1])
        words = (tag("tspan", name, class_="strong"), tag("tspan", share, dx=6))
        parts.append(tag("text", *words, x=_WIDTH - _RIGHT + 10, y=lowest + 4, class_="end"))
    told = "; ".join(f"{name}: {formats.percent(points[-1][1])} in the end" for name, points in kept.items())
    return tag(
        "svg",
        tag("title", "Share of right rows fooled against queries of a row", id=f"{identity}-title"),
        tag("desc", told, id=f"{identity}-desc"),
        *parts,
        viewBox=f"0 0 {_WIDTH:.0f} {_HEIGHT:.0f}",
        role="img",
        aria_labelledby=f"{identity}-title {identity}-desc",
        class_="plot",
    )


def _x(value: float, decades: int) -> float:
    return _LEFT + math.log10(max(1.0, value)) / decades * (_WIDTH - _LEFT - _RIGHT)


def _y(share: float) -> float:
    return _HEIGHT - _BOTTOM - min(1.0, max(0.0, share)) * (_HEIGHT - _TOP - _BOTTOM)


def _grid(decades: int) -> list[Markup]:
    parts, floor, right = [], _y(0), _WIDTH - _RIGHT
    for step in range(0, 101, 25):
        y = _y(step / 100)
        parts.append(tag("line", x1=_LEFT, x2=right, y1=y, y2=y, class_="rule" if step else "axis"))
        parts.append(tag("text", f"{step} %", x=_LEFT - 10, y=y + 4, text_anchor="end"))
    for power in range(decades + 1):
        x = _x(10.0**power, decades)
        parts.append(tag("line", x1=x, x2=x, y1=floor, y2=floor + 5, class_="axis"))
        parts.append(tag("text", formats.number(10.0**power), x=x, y=floor + 20, text_anchor="middle"))
    middle = (_LEFT + right) / 2
    parts.append(tag("text", "fooled", x=_LEFT - 48, y=_TOP - 14, class_="name"))
    parts.append(
        tag(
            "text",
            "scores and gradients asked of a row",
            x=middle,
            y=floor + 44,
            text_anchor="middle",
            class_="name",
        )
    )
    return parts


def _line(name: str, points: Points, decades: int, number: int) -> Markup:
    """A line of steps: between two rows that fell, nothing fell."""
    corners, last = [], 0.0
    for x, share in points:
        corners += [(_x(x, decades), _y(last)), (_x(x, decades), _y(share))]
        last = share
    corners.append((_WIDTH - _RIGHT, _y(last)))
    path = " ".join(f"{x:.1f},{y:.1f}" for x, y in corners)
    dashes = (None, "7 3", "2 3", "9 3 2 3")[number % 4]  # lines differ in more than colour
    line = tag("polyline", points=path, stroke_dasharray=dashes)
    return tag("g", tag("title", name), line, class_=("line hardened", "line plain")[number % 2])
