"""The trade-off of hardening as one picture: clean accuracy against accuracy under attack, a point for each epoch.

Both were measured on the same held-out rows during training, with a short attack: they show which epoch was kept and
how it compares with the others. A release is decided by the figures of the evaluation, not by these.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from markupsafe import Markup

from hauberk.records.view import Measured
from hauberk.report import formats
from hauberk.report.field import WIDTH, Field, apart
from hauberk.report.reading import Reading
from hauberk.report.svg import picture, tag

_CLEAN, _ROBUST = "held_out_clean_accuracy", ("held_out_robust_accuracy", "held_out_pgd_accuracy")
_FIELD = Field(340.0, right=205.0)
_LABEL_GAP = 34.0


@dataclass(frozen=True, slots=True)
class Epoch:
    """Accuracy on the held-out rows after an epoch: clean, and under attack."""

    number: float
    clean: float
    robust: float

    @property
    def shown(self) -> tuple[str, str, str]:
        """The three numbers as text."""
        return formats.number(self.number), formats.percent(self.clean), formats.percent(self.robust)


@dataclass(frozen=True, slots=True)
class Tradeoff:
    """The picture, a sentence on the kept epoch, the points, notes of the training, and the index of the entry."""

    plot: Markup
    sentence: str
    epochs: tuple[Epoch, ...]
    notes: tuple[str, ...]
    index: int


def read(reading: Reading) -> Tradeoff | None:
    """Return the trade-off of the hardened model's training, or None if its evidence lacks one of the series."""
    measured = reading.find("training", "hardened")
    epochs = _epochs(measured) if measured else ()
    if measured is None or len(epochs) < 2:
        return None
    number = measured.metrics.get("best_epoch", epochs[-1].number)
    kept = next((epoch for epoch in epochs if epoch.number == number), None)
    if kept is None:
        return None
    return Tradeoff(
        _draw(epochs, kept), _sentence(epochs[-1], kept), epochs, tuple(measured.notes), measured.entry.index
    )


def _epochs(measured: Measured) -> tuple[Epoch, ...]:
    clean = dict(measured.series(_CLEAN))
    robust = next((dict(points) for points in map(measured.series, _ROBUST) if points), {})
    both = [(number, clean[number], robust[number]) for number in sorted(clean.keys() & robust.keys())]
    return tuple(Epoch(*each) for each in both if all(0 <= share <= 1 for share in each[1:]))


def _sentence(last: Epoch, kept: Epoch) -> str:
    told = (
        f"Epoch {kept.shown[0]} was kept: then the model was right on {kept.shown[1]} of the held-out rows as they are, "
        f"and on {kept.shown[2]} under attack."
    )
    if kept == last:
        return f"{told} It was the last."
    return f"{told} After the last, epoch {last.shown[0]}, it was right on {last.shown[1]} and {last.shown[2]}."


def _draw(epochs: Sequence[Epoch], kept: Epoch) -> Markup:
    across, up = _ticks(epoch.clean for epoch in epochs), _ticks(epoch.robust for epoch in epochs)
    places = [(_place(epoch.clean, across), _place(epoch.robust, up)) for epoch in epochs]
    roles: dict[Epoch, list[str]] = {}
    for name, epoch in (("first", epochs[0]), ("kept", kept), ("last", epochs[-1])):
        roles.setdefault(epoch, []).append(name)
    named = {epoch: " and ".join(names) for epoch, names in roles.items()}
    topmost = sorted(zip(epochs, places, strict=True), key=lambda each: (each[0] in named, each[0] == kept))
    dots = [_dot(epoch, at, named.get(epoch, "")) for epoch, at in topmost]
    told = (
        f"{name}, epoch {e.shown[0]}: {e.shown[1]} clean and {e.shown[2]} under attack" for e, name in named.items()
    )
    return picture(
        *_FIELD.grid(_written(across), _written(up), names=("clean accuracy on held-out rows", "under attack")),
        *_labels([(at, e, named[e]) for e, at in zip(epochs, places, strict=True) if e in named]),
        tag("g", tag("polyline", points=_FIELD.path(places)), *dots, class_="line hardened epochs"),
        identity="tradeoff-plot",
        title="Clean accuracy against accuracy under attack, epoch by epoch",
        told="; ".join(told),
        size=(WIDTH, _FIELD.height),
        look="plot",
    )


def _ticks(shares: Iterable[float]) -> list[float]:
    """Return at most seven round shares that enclose these; the axis does not start at 0, so that differences are visible."""
    found = sorted(shares)
    step = next(step for step in (0.02, 0.05, 0.1, 0.2) if found[-1] - found[0] <= 5 * step)
    first, last = math.floor(found[0] / step + 1e-9), math.ceil(found[-1] / step - 1e-9)
    if first == last:
        first, last = (first - 1, last) if first else (0, 1)
    return [round(number * step, 2) for number in range(first, last + 1)]


def _place(share: float, ticks: Sequence[float]) -> float:
    return (share - ticks[0]) / (ticks[-1] - ticks[0])


def _written(ticks: Sequence[float]) -> list[tuple[float, str]]:
    return [(_place(tick, ticks), f"{tick * 100:.0f} %") for tick in ticks]


def _dot(epoch: Epoch, at: tuple[float, float], name: str) -> Markup:
    number, clean, robust = epoch.shown
    words = tag("title", f"epoch {number}: {clean} clean, {robust} under attack")
    size, look = (6.5, "kept") if "kept" in name else (4.5, "ring") if name else (2.5, None)
    return tag("circle", words, cx=_FIELD.x(at[0]), cy=_FIELD.y(at[1]), r=size, class_=look)


def _labels(named: Sequence[tuple[tuple[float, float], Epoch, str]]) -> list[Markup]:
    """Label points to the right of the field, each with a line to its point."""
    parts = []
    ends = sorted(named, key=lambda each: -each[0][1])
    places = apart([_FIELD.y(at[1]) for at, _, _ in ends], _LABEL_GAP, _FIELD.y(0) - 16)
    edge = _FIELD.x(1)
    for (at, epoch, name), y in zip(ends, places, strict=True):
        x, own = _FIELD.x(at[0]), _FIELD.y(at[1])
        parts.append(tag("polyline", points=f"{x:.1f},{own:.1f} {edge:.1f},{y:.1f}", class_="thread"))
        words = (tag("tspan", name, class_="strong"), tag("tspan", f"epoch {epoch.shown[0]}", dx=6))
        look = "end hardened" if "kept" in name else "end"
        parts.append(tag("text", *words, x=edge + 10, y=y - 2, class_=look))
        parts.append(tag("text", f"{epoch.shown[1]} clean, {epoch.shown[2]} attacked", x=edge + 10, y=y + 13))
    return parts
