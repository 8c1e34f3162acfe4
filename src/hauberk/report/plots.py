"""Accuracy against attack radius as one picture: a line for each model, the declared budget marked.

Lines are labelled at their ends, and every point has its numbers as a tooltip; colours come from the page.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from markupsafe import Markup

from hauberk.records.view import finite
from hauberk.report import formats
from hauberk.report.field import QUARTERS, TOP, WIDTH, Field, Points, apart
from hauberk.report.reading import ROLES, Threat
from hauberk.report.svg import picture, tag

SERIES, CERTIFIED = "accuracy_by_radius", "certified_accuracy_by_radius"
_FIELD = Field(340.0, right=150.0)
_LABEL_GAP = 30.0


@dataclass(frozen=True, slots=True)
class _Axes:
    """Maps data to the picture's units; x in [0, widest], y a share in [0, 1]."""

    widest: float

    def x(self, value: float) -> float:
        return _FIELD.x(value / self.widest)

    def y(self, value: float) -> float:
        return _FIELD.y(value)

    def path(self, points: Points) -> str:
        return _FIELD.path([(x / self.widest, y) for x, y in points])


def curves(threat: Threat, series: str = SERIES) -> dict[str, Points]:
    """Return the measured curve of each role that has at least two radii."""
    roles = sorted(threat.by_role, key=lambda role: (*ROLES, role).index(role))
    found = {role: threat.by_role[role].series(series) for role in roles}
    return {role: points for role, points in found.items() if len(points) > 1 and points[-1][0] > 0}


def accuracy_by_radius(threat: Threat, identity: str) -> Markup | None:
    """Return a threat's curves as inline SVG, or None if nothing was measured. `identity` is unique on the page."""
    lines = curves(threat)
    if not lines:
        return None
    budget = _budget(threat.declared)
    widest = max(*(points[-1][0] for points in lines.values()), budget or 0.0)
    axes = _Axes(widest)
    ticks = [
        (value / widest, at(value, threat.declared) if value else "0") for value in _ticks(widest, threat.declared)
    ]
    grid = _FIELD.grid(ticks, QUARTERS, names=(_unit(threat.declared), "accuracy"))
    parts = [*grid, *_declared(axes, budget, threat.declared), *_gain(axes, lines)]
    for role, points in lines.items():
        parts.append(_line(axes, role, points, threat.declared))
    proven = {role: [p for p in points if p[0] <= widest] for role, points in curves(threat, CERTIFIED).items()}
    proven = {role: points for role, points in proven.items() if len(points) > 1}
    parts.extend(_proven(axes, role, points, threat.declared) for role, points in proven.items())
    parts.extend(_labels(axes, lines))
    told = [*lines.items(), *((f"{role}, certified", points) for role, points in proven.items())]
    described = "; ".join(_told(role, points, threat.declared) for role, points in told)
    return picture(
        *parts,
        identity=identity,
        title=f"Accuracy against attack radius: {threat.label}",
        told=described,
        size=(WIDTH, _FIELD.height),
        look="plot",
    )


def _is_table(declared: Mapping[str, Any]) -> bool:
    return bool(declared.get("columns"))


def _budget(declared: Mapping[str, Any]) -> float | None:
    """Return the declared budget on the x axis; the axis of a table counts in budgets."""
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
    # The words are left of the mark if they would overlap the labels at the right edge.
    late = x > axes.x(axes.widest) - 120
    return [
        tag("line", x1=x, x2=x, y1=TOP - 6, y2=axes.y(0), class_="budget"),
        tag(
            "text", words, x=x - 7 if late else x + 7, y=TOP, text_anchor="end" if late else "start", class_="mark"
        ),
    ]


def _gain(axes: _Axes, lines: Mapping[str, Points]) -> list[Markup]:
    """Fill the area between the two lines if both were measured at the same radii."""
    plain, hardened = lines.get("plain"), lines.get("hardened")
    if not plain or not hardened or [x for x, _ in plain] != [x for x, _ in hardened]:
        return []
    corners = [*hardened, *reversed(plain)]
    return [tag("polygon", points=axes.path(corners), class_="gain")]


def _line(axes: _Axes, role: str, points: Points, declared: Mapping[str, Any]) -> Markup:
    dots = [_dot(axes, role, x, y, f"{role}: {formats.percent(y)} at {at(x, declared)}") for x, y in points]
    return tag("g", tag("polyline", points=axes.path(points)), *dots, class_=f"line {_look(role)}")


def _look(role: str) -> str:
    """Return the class of a line: a model of another role is drawn like the hardened one."""
    return role if role in ROLES else "hardened"


def _proven(axes: _Axes, role: str, points: Points, declared: Mapping[str, Any]) -> Markup:
    """Draw a certified curve, dotted and named at its second point: accuracy above it is not proven."""
    line = tag("polyline", tag("title", _told(f"{role}, certified", points, declared)), points=axes.path(points))
    x, y = points[1]
    name = tag("text", f"{role}, certified", x=axes.x(x) + 6, y=axes.y(y) - 8, class_=f"end {_look(role)}")
    return tag("g", line, name, class_=f"line {_look(role)} certified")


def _dot(axes: _Axes, role: str, x: float, y: float, words: str) -> Markup:
    """Draw a circle or a square, so that the two lines differ in more than colour."""
    if role == "plain":
        return tag("rect", tag("title", words), x=axes.x(x) - 4, y=axes.y(y) - 4, width=8, height=8)
    return tag("circle", tag("title", words), cx=axes.x(x), cy=axes.y(y), r=4.5)


def _labels(axes: _Axes, lines: Mapping[str, Points]) -> list[Markup]:
    """Label each line at its end, pushed apart where the ends are close."""
    ends = sorted(((axes.y(points[-1][1]), role, points[-1]) for role, points in lines.items()))
    # Labels must not cover the axis.
    places = apart([y for y, _, _ in ends], _LABEL_GAP, axes.y(0) - 14)
    parts = []
    for (_, role, (x, value)), y in zip(ends, places, strict=True):
        words = (tag("tspan", role, class_="strong"), tag("tspan", formats.percent(value), dx=6))
        parts.append(tag("text", *words, x=axes.x(x) + 12, y=y + 4, class_=f"end {_look(role)}"))
    return parts
