"""Suspects by source as one picture: a bar for the number from each source, a mark for the number that its rows explain."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from markupsafe import Markup

from hauberk.records.view import finite, text
from hauberk.report import formats
from hauberk.report.svg import picture, tag

_WIDTH, _LEFT, _RIGHT, _TOP, _STEP, _TALL = 720.0, 150.0, 190.0, 26.0, 34.0, 18.0
_NAME = 20  # characters of a source's name that fit beside its bar


def suspects_by_source(sources: Sequence[Mapping[str, Any]]) -> Markup | None:
    """Return inline SVG of the sources, or None if none has numbers."""
    known = [(source, finite(source.get("suspects")), finite(source.get("expected"))) for source in sources]
    rows = [
        (source, seen, expected) for source, seen, expected in known if seen is not None and expected is not None
    ]
    most = max((max(seen, expected) for _, seen, expected in rows), default=0.0)
    if most <= 0:
        return None
    scale = (_WIDTH - _LEFT - _RIGHT) / most
    parts = [_row(at, *row, scale=scale) for at, row in enumerate(rows)]
    told = "; ".join(
        f"{text(source, 'source')}: {seen:.0f}, expected {expected:.0f}" for source, seen, expected in rows
    )
    return picture(
        tag("text", "suspects, and | how many its share of the rows explains", x=_LEFT, y=14, class_="soft"),
        *parts,
        identity="sources",
        title="Suspects by source",
        told=told,
        size=(_WIDTH, _TOP + len(rows) * _STEP),
        look="plot bars",
    )


def _row(at: int, source: Mapping[str, Any], seen: float, expected: float, *, scale: float) -> Markup:
    y, name = _TOP + at * _STEP, text(source, "source") or "?"
    cut = name if len(name) <= _NAME else name[: _NAME - 1] + "\N{HORIZONTAL ELLIPSIS}"
    guilty = source.get("guilty") is True
    mark, end = _LEFT + expected * scale, _LEFT + max(seen, expected) * scale
    words = formats.number(seen)
    if guilty and expected > 0:
        words += f", {seen / expected:.1f} \N{MULTIPLICATION SIGN} its share"
    return tag(
        "g",
        tag("title", f"{name}: {formats.number(seen)} suspects, {formats.number(round(expected))} expected"),
        tag("text", cut, x=_LEFT - 12, y=y + _TALL - 4, text_anchor="end", class_="strong" if guilty else None),
        tag("rect", x=_LEFT, y=y, width=max(1.0, seen * scale), height=_TALL, rx=2),
        tag("line", x1=mark, x2=mark, y1=y - 4, y2=y + _TALL + 4, class_="expected"),
        tag("text", words, x=end + 12, y=y + _TALL - 4, class_="strong" if guilty else None),
        class_="guilty" if guilty else None,
    )
