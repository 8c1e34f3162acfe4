"""The custody chain as a picture: stages as boxes with their digest and ledger indices, links as lines."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from markupsafe import Markup

from hauberk.report import formats
from hauberk.report.stages import Link, Stage
from hauberk.report.svg import tag

_WIDTH = 720.0
_BOX, _TALL, _STEP = 300.0, 66.0, 104.0
_LANES = {"left": 10.0, "centre": (_WIDTH - _BOX) / 2, "right": _WIDTH - _BOX - 10.0}
_PLACES: dict[str, tuple[str, int]] = {
    "data": ("centre", 0),
    "checks": ("centre", 1),
    "seal": ("centre", 2),
    "training-plain": ("left", 3),
    "training-hardened": ("right", 3),
    "attack-plain": ("left", 4),
    "attack-hardened": ("right", 4),
    "export": ("right", 5),
    "gate": ("centre", 6),
    "release": ("centre", 7),
}
_SHOWN_INDICES = 5

Point = tuple[float, float]


def picture(stages: Sequence[Stage], links: Sequence[Link]) -> Markup:
    """Return the chain as inline SVG whose ledger indices link to the rows of the ledger table."""
    repaired = any(stage.name == "repair" for stage in stages)
    places = _places(repaired=repaired)
    height = max(y for _, y in places.values()) + _TALL + 6
    # The exported model is drawn in the lane of the model from which it was exported.
    exported = "left" if any(link.start == "attack-plain" and link.end == "export" for link in links) else "right"
    places["export"] = (_LANES[exported], places["export"][1])
    told = "; ".join(_told(link, {stage.name: stage for stage in stages}) for link in links)
    return tag(
        "svg",
        tag("title", "Custody chain from data to release", id="chain-title"),
        tag("desc", told, id="chain-desc"),
        *(_line(link, places) for link in links),
        *(_box(stage, places[stage.name]) for stage in stages),
        viewBox=f"0 0 {_WIDTH:.0f} {height:.0f}",
        role="group",
        aria_labelledby="chain-title chain-desc",
        class_="chain",
    )


def _places(*, repaired: bool) -> dict[str, Point]:
    """Return the corner of each box; a repair is drawn below the data and moves the others down."""
    rows = {name: (lane, row + 1 if repaired and row else row) for name, (lane, row) in _PLACES.items()}
    if repaired:
        rows["repair"] = ("centre", 1)
    return {name: (_LANES[lane], 6 + row * _STEP) for name, (lane, row) in rows.items()}


def _told(link: Link, stages: dict[str, Stage]) -> str:
    start, end = stages[link.start], stages[link.end]
    proof = f"both name {link.by.name} {formats.short(link.by.sha256)}" if link.by else "in order only"
    return f"{start.title} to {end.title}: {proof}"


def _box(stage: Stage, corner: Point) -> Markup:
    x, y = corner
    parts = [
        tag("rect", x=x, y=y, width=_BOX, height=_TALL, rx=7),
        tag("text", stage.title, x=x + 14, y=y + 23, class_="strong"),
        tag("text", _cut(stage.says, 40), x=x + 14, y=y + 41),
    ]
    if stage.artifacts:
        artifact = stage.artifacts[0]
        words = f"{_cut(artifact.name, 22)} {formats.short(artifact.sha256)}"
        parts.append(tag("text", tag("title", artifact.sha256), words, x=x + 14, y=y + 57, class_="digest"))
    if stage.entries:
        parts.append(_indices(stage, x + _BOX - 14, y + 23))
    return tag("g", *parts, class_="stage" if stage.known else "stage missing")


def _indices(stage: Stage, x: float, y: float) -> Markup:
    shown = stage.entries[:_SHOWN_INDICES]
    parts: list[object] = []
    for place, entry in enumerate(shown):
        label = tag("tspan", f"#{entry.index}", dx=6 if place else None)
        parts.append(tag("a", label, href=f"#entry-{entry.index}"))
    if len(stage.entries) > len(shown):
        parts.append(tag("tspan", f"+{len(stage.entries) - len(shown)}", dx=6))
    return tag("text", *parts, x=x, y=y, text_anchor="end", class_="index")


def _line(link: Link, places: Mapping[str, Point]) -> Markup:
    """Draw an elbow from the bottom of one box to the top of the next, with the shared digest beside it."""
    (x0, y0), (x1, y1) = places[link.start], places[link.end]
    start, end = (x0 + _BOX / 2, y0 + _TALL), (x1 + _BOX / 2, y1)
    turn = end[1] - (_STEP - _TALL) / 2
    path = f"M{start[0]:.0f} {start[1]:.0f}V{turn:.0f}H{end[0]:.0f}V{end[1] - 6:.0f}"
    tip = f"M{end[0] - 4.5:.1f} {end[1] - 8:.1f}L{end[0]:.1f} {end[1] - 1:.1f}L{end[0] + 4.5:.1f} {end[1] - 8:.1f}Z"
    parts = [tag("path", d=path), tag("path", d=tip, class_="tip")]
    return tag("g", tag("title", _proof(link)), *parts, _beside(link, start, end, turn), class_=_look(link))


def _beside(link: Link, start: Point, end: Point, turn: float) -> Markup:
    """Write the proof of a link beside it, on the side that has room."""
    words = f"{_cut(link.by.name, 22)} {formats.short(link.by.sha256)}" if link.by else "order only"
    if start[0] == _WIDTH / 2 != end[0]:  # it branches from the middle: above its horizontal part
        left = end[0] < start[0]
        place = (end[0] + 8 if left else end[0] - 8, turn - 6)
        return tag("text", words, x=place[0], y=place[1], text_anchor="start" if left else "end", class_="digest")
    right = start[0] > _WIDTH / 2
    x, y = (start[0] - 10 if right else start[0] + 10), start[1] + (22 if start[0] == end[0] else 13)
    return tag("text", words, x=x, y=y, text_anchor="end" if right else "start", class_="digest")


def _look(link: Link) -> str:
    return "link" if link.by else "link unproven"


def _proof(link: Link) -> str:
    return f"both ends name {link.by.name}, SHA-256 {link.by.sha256}" if link.by else "no shared digest: order only"


def _cut(words: str, most: int) -> str:
    return words if len(words) <= most else words[: most - 1] + "\N{HORIZONTAL ELLIPSIS}"
