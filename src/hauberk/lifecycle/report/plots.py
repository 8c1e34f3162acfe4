"""Accuracy against attack radius as one picture: a line for each model, the declared budget marked.

Lines are labelled where they end, and every point tells its numbers when pointed at; colours come from the page.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from markupsafe import Markup

from hauberk.lifecycle.report import formats
from hauberk.lifecycle.report.reading import ROLES, Threat, finite
from hauberk.lifecycle.report.svg import tag

SERIES, CERTIFIED = "accuracy_by_radius", "certified_accuracy_by_radius"
_WIDTH, _HEIGHT = 720.0, 340.0
_LEFT, _RIGHT, _TOP, _BOTTOM = 58.0, 150.0, 30.0, 56.0
_LABEL_GAP = 30.0

Points = list[tuple[float, float]]


@dataclass(frozen=True, slots=True)
class _Axes:
    """From data to the picture's own units; x in [0, widest], y a share in [0, 1]."""

    widest: float

    def x(self, value: float) -> float:
        return _LEFT + value / self.widest * (_WIDTH - _LEFT - _RIGHT)

    def y(self, value: float) -> float:
        return _HEIGHT - _BOTTOM - min(1.0, max(0.0, value)) * (_HEIGHT - _TOP - _BOTTOM)


def curves(threat: Threat, series: str = SERIES) -> dict[str, Points]:
    """Return the measured curve of each role, where there is one of at least two radii."""
    roles = sorted(threat.by_role, key=lambda role: (*ROLES, role).index(role))
    found = {role: threat.by_role[role].series(series) for role in roles}
    return {role: points for role, points in found.items() if len(points) > 1 and points[-1][0] > 0}


def accuracy_by_radius(threat: Threat, identity: str) -> Markup | None:
    """Draw a threat's curves as inline SVG, or None when nothing was measured. `identity` is unique on the page."""
    lines = curves(threat)
    if not lines:
        return None
    budget = _budget(threat.declared)
    widest = max(*(points[-1][0] for points in lines.values()), budget or 0.0)
    axes = _Axes(widest)
    parts = [*_grid(axes, threat.declared), *_declared(axes, budget, threat.declared), *_gain(axes, lines)]
    for role, points in lines.items():
        parts.append(_line(axes, role, points, threat.declared))
    proven = {role: [p for p in points if p[0] <= widest] for role, points in curves(threat, CERTIFIED).items()}
    proven = {role: points for role, points in proven.items() if len(points) > 1}
    parts.extend(_proven(axes, role, points, threat.declared) for role, points in proven.items())
    parts.extend(_labels(axes, lines))
    title = f"Accuracy against attack radius: {threat.label}"
    told = [*lines.items(), *((f"{role}, certified", points) for role, points in proven.items())]
    described = "; ".join(_told(role, points, threat.declared) for role, points in told)
    return tag(
        "svg",
        tag("title", title, id=f"{identity}-title"),
        tag("desc", described, id=f"{identity}-desc"),
        *parts,
        viewBox=f"0 0 {_WIDTH:.0f} {_HEIGHT:.0f}",
        role="img",
        aria_labelledby=f"{identity}-title {identity}-desc",
        class_="plot",
    )


def _is_table(declared: Mapping[str, Any]) -> bool:
    return bool(declared.get("columns"))


def _budget(declared: Mapping[str, Any]) -> float | None:
    """Return where the declared budget stands on the x axis: a table's axis counts in budgets."""
    return 1.0 if _is_table(declared) else finite(declared.get("eps")) or None


def at(value: float, declared: Mapping[str, Any]) -> str:
    """Write a radius in the unit of the threat."""
    if _is_table(declared):
        return f"{value * 100:.0f} %"
    return formats.radius(value) if declared.get("norm") == "linf" else f"{value:.3g}"


def _told(role: str, points: Points, declared: Mapping[str, Any]) -> str:
    return f"{role}: " + ", ".join(f"{formats.percent(y)} at {at(x, declared)}" for x, y in points)


def _unit(declared: Mapping[str, Any]) -> str:
    if _is_table(declared):
        return "attack radius, as a share of the declared budget"
    if isinstance(declared.get("unit"), str):
        return f"attack radius: {declared['unit']}"
    norm = {"linf": "L\N{INFINITY}", "l2": "L2", "l1": "L1"}.get(str(declared.get("norm")), "")
    return f"attack radius {norm} (pixels in [0, 1])".replace("  ", " ")


def _grid(axes: _Axes, declared: Mapping[str, Any]) -> list[Markup]:
    parts = []
    left, right, floor = axes.x(0), axes.x(axes.widest), axes.y(0)
    for step in range(0, 101, 25):
        y = axes.y(step / 100)
        parts.append(tag("line", x1=left, x2=right, y1=y, y2=y, class_="rule" if step else "axis"))
        parts.append(tag("text", f"{step} %", x=left - 10, y=y + 4, text_anchor="end"))
    for value in _ticks(axes.widest, declared):
        parts.append(tag("line", x1=axes.x(value), x2=axes.x(value), y1=floor, y2=floor + 5, class_="axis"))
        parts.append(
            tag("text", at(value, declared) if value else "0", x=axes.x(value), y=floor + 20, text_anchor="middle")
        )
    parts.append(tag("text", "accuracy", x=left - 48, y=_TOP - 14, class_="name"))
    parts.append(
        tag("text", _unit(declared), x=(left + right) / 2, y=floor + 44, text_anchor="middle", class_="name")
    )
    return parts


def _ticks(widest: float, declared: Mapping[str, Any]) -> list[float]:
    """Return round radii from 0 to `widest`, about five; in 255ths for L-inf, whose radii are written so."""
    scale = 255.0 if declared.get("norm") == "linf" else 1.0
    span = widest * scale
    steps = [m * 10.0**e for e in range(-6, 7) for m in (1, 2, 5)]
    step = next((s for s in steps if span / s <= 6), span)
    if scale > 1 and step < 1:
        step = 1.0 if span >= 2 else step
    return [i * step / scale for i in range(int(span / step + 1e-6) + 1)]


def _declared(axes: _Axes, budget: float | None, declared: Mapping[str, Any]) -> list[Markup]:
    if budget is None:
        return []
    x = axes.x(budget)
    words = "declared budget" if _is_table(declared) else f"declared budget {at(budget, declared)}"
    # The words turn to the left of the mark where they would run over the labels at the right edge.
    late = x > axes.x(axes.widest) - 120
    return [
        tag("line", x1=x, x2=x, y1=_TOP - 6, y2=axes.y(0), class_="budget"),
        tag(
            "text", words, x=x - 7 if late else x + 7, y=_TOP, text_anchor="end" if late else "start", class_="mark"
        ),
    ]


def _gain(axes: _Axes, lines: Mapping[str, Points]) -> list[Markup]:
    """Fill what lies between the two lines when both were measured at the same radii."""
    plain, hardened = lines.get("plain"), lines.get("hardened")
    if not plain or not hardened or [x for x, _ in plain] != [x for x, _ in hardened]:
        return []
    corners = [*hardened, *reversed(plain)]
    return [tag("polygon", points=_path(axes, corners), class_="gain")]


def _path(axes: _Axes, points: Points) -> str:
    return " ".join(f"{axes.x(x):.1f},{axes.y(y):.1f}" for x, y in points)


def _line(axes: _Axes, role: str, points: Points, declared: Mapping[str, Any]) -> Markup:
    dots = [_dot(axes, role, x, y, f"{role}: {formats.percent(y)} at {at(x, declared)}") for x, y in points]
    return tag("g", tag("polyline", points=_path(axes, points)), *dots, class_=f"line {_look(role)}")


def _look(role: str) -> str:
    """Return how a line is drawn: a model that plays no part of its own looks like the one that is released."""
    return role if role in ROLES else "hardened"


def _proven(axes: _Axes, role: str, points: Points, declared: Mapping[str, Any]) -> Markup:
    """Draw a certified curve, dotted and named at its second point: what is above it is not proven."""
    line = tag("polyline", tag("title", _told(f"{role}, certified", points, declared)), points=_path(axes, points))
    x, y = points[1]
    name = tag("text", f"{role}, certified", x=axes.x(x) + 6, y=axes.y(y) - 8, class_=f"end {_look(role)}")
    return tag("g", line, name, class_=f"line {_look(role)} certified")


def _dot(axes: _Axes, role: str, x: float, y: float, words: str) -> Markup:
    """A circle or a square, so that the two lines differ in more than colour."""
    if role == "plain":
        return tag("rect", tag("title", words), x=axes.x(x) - 4, y=axes.y(y) - 4, width=8, height=8)
    return tag("circle", tag("title", words), cx=axes.x(x), cy=axes.y(y), r=4.5)


def _labels(axes: _Axes, lines: Mapping[str, Points]) -> list[Markup]:
    """Label each line at its end, pushed apart where the ends are close."""
    ends = sorted(((axes.y(points[-1][1]), role, points[-1]) for role, points in lines.items()))
    parts, lowest = [], -_LABEL_GAP
    # Two labels need up to one gap below the last end, and the axis is no place for words.
    room = axes.y(0) - 14 - _LABEL_GAP * (len(ends) - 1)
    for place, (y, role, (x, value)) in enumerate(ends):
        lowest = max(min(y, room + place * _LABEL_GAP), lowest + _LABEL_GAP)
        words = (tag("tspan", role, class_="strong"), tag("tspan", formats.percent(value), dx=6))
        parts.append(tag("text", *words, x=axes.x(x) + 12, y=lowest + 4, class_=f"end {_look(role)}"))
    return parts
