"""The plotting area: maps values to picture coordinates, and draws grid lines, ticks and axis names."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from markupsafe import Markup

from hauberk.report.svg import tag

WIDTH, TOP = 720.0, 30.0
_LEFT, _BOTTOM = 58.0, 56.0

Points = list[tuple[float, float]]
Ticks = Iterable[tuple[float, str]]
QUARTERS = [(step / 100, f"{step} %") for step in range(0, 101, 25)]
"""The ticks of an axis of shares from 0 to 1."""


@dataclass(frozen=True, slots=True)
class Field:
    """A plotting area in a picture of WIDTH by `height`; `right` is the margin for labels.

    Positions are shares in [0, 1] of its width and height, from the lower left corner.
    """

    height: float
    right: float

    def x(self, place: float) -> float:
        """Return the horizontal coordinate of a position, in the picture's units."""
        return _LEFT + place * (WIDTH - _LEFT - self.right)

    def y(self, place: float) -> float:
        """Return the vertical coordinate of a position, in the picture's units; positions outside are moved to the edge."""
        return self.height - _BOTTOM - min(1.0, max(0.0, place)) * (self.height - TOP - _BOTTOM)

    def path(self, places: Points) -> str:
        """Return the `points` attribute of a polyline."""
        return " ".join(f"{self.x(x):.1f},{self.y(y):.1f}" for x, y in places)

    def grid(self, across: Ticks, up: Ticks, *, names: tuple[str, str]) -> list[Markup]:
        """Draw a grid line for each vertical tick, a mark for each horizontal tick, and both axes' names, horizontal first."""
        parts = []
        left, right, floor = self.x(0), self.x(1), self.y(0)
        for place, words in up:
            y = self.y(place)
            parts.append(tag("line", x1=left, x2=right, y1=y, y2=y, class_="rule" if place else "axis"))
            parts.append(tag("text", words, x=left - 10, y=y + 4, text_anchor="end"))
        for place, words in across:
            x = self.x(place)
            parts.append(tag("line", x1=x, x2=x, y1=floor, y2=floor + 5, class_="axis"))
            parts.append(tag("text", words, x=x, y=floor + 20, text_anchor="middle"))
        parts.append(tag("text", names[1], x=left - 48, y=TOP - 14, class_="name"))
        middle = (left + right) / 2
        parts.append(tag("text", names[0], x=middle, y=floor + 44, text_anchor="middle", class_="name"))
        return parts


def apart(heights: Sequence[float], gap: float, lowest: float = float("inf")) -> list[float]:
    """Return label heights from the top: each near its wanted height, `gap` apart, and above `lowest` if there is room."""
    found: list[float] = []
    for place, height in enumerate(heights):
        room = lowest - gap * (len(heights) - 1 - place)
        found.append(max(min(height, room), found[-1] + gap if found else 0.0))
    return found
