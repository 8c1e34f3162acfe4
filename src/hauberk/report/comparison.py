"""Plain and hardened models side by side: each figure with the ledger entry from which it was read."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from hauberk.records.view import Measured
from hauberk.report import formats
from hauberk.report.reading import ROLES, Reading, Threat


@dataclass(frozen=True, slots=True)
class Figure:
    """A measured number: value, text, and index of the entry that states it."""

    value: float
    shown: str
    index: int


@dataclass(frozen=True, slots=True)
class Row:
    """One measure of both models; None: no evidence. better: whether hardening improved it, None if unknown."""

    name: str
    note: str
    plain: Figure | None
    hardened: Figure | None
    change: str
    better: bool | None


def rows(reading: Reading) -> tuple[Row, ...]:
    """Return clean accuracy, accuracy under each declared attack and certified, and training time."""
    threats = reading.threats
    found = _clean(threats) if threats else [_shares("Clean accuracy", "", *_exported(reading))]
    for threat in threats:
        note = formats.threat(threat.declared)
        name = f"Under attack: {threat.label}"
        found.append(_shares(name, note, _figure(threat, "plain"), _figure(threat, "hardened")))
        proven = [_figure(threat, role, "certified_accuracy") for role in ("plain", "hardened")]
        if any(proven):
            found.append(_shares(f"Certified: {threat.label}", note, *proven))
    if not threats:
        found.append(_shares("Under attack", "", None, None))
    plain, hardened = (_seconds(reading.find("training", role)) for role in ROLES)
    found.append(_row("Training time", "", plain, hardened, _longer, lower_is_better=True))
    return tuple(found)


def _clean(threats: tuple[Threat, ...]) -> list[Row]:
    """Return one row, or one for each threat if the evaluations used different rows and so differ."""
    pairs = {threat.label: tuple(_figure(threat, role, "clean_accuracy") for role in ROLES) for threat in threats}
    if len({tuple(figure and figure.value for figure in pair) for pair in pairs.values()}) > 1:
        return [_shares("Clean accuracy", label, *pair) for label, pair in pairs.items()]
    return [_shares("Clean accuracy", "", *next(iter(pairs.values())))]


def _exported(reading: Reading) -> tuple[Figure | None, ...]:
    """Return the clean accuracy of models that were not attacked, which was measured at export."""
    found = (reading.find("export", role) for role in ROLES)
    return tuple(_read(measured, "clean_accuracy", formats.percent) for measured in found)


def _figure(threat: Threat, role: str, metric: str = "robust_accuracy") -> Figure | None:
    measured = threat.by_role.get(role)
    return _read(measured, metric, formats.percent)


def _seconds(measured: Measured | None) -> Figure | None:
    return _read(measured, "seconds", formats.seconds)


def _read(measured: Measured | None, metric: str, write: Callable[[float], str]) -> Figure | None:
    if measured is None or metric not in measured.metrics:
        return None
    value = measured.metrics[metric]
    return Figure(value, write(value), measured.entry.index)


def _shares(name: str, note: str, plain: Figure | None, hardened: Figure | None) -> Row:
    return _row(name, note, plain, hardened, lambda a, b: formats.points(b - a), lower_is_better=False)


def _longer(plain: float, hardened: float) -> str:
    return formats.factor(hardened / plain) if plain > 0 else ""


def _row(  # noqa: PLR0913 - a row has this many cells
    name: str,
    note: str,
    plain: Figure | None,
    hardened: Figure | None,
    change: Callable[[float, float], str],
    *,
    lower_is_better: bool,
) -> Row:
    if plain is None or hardened is None:
        return Row(name, note, plain, hardened, "", None)
    gain = plain.value - hardened.value if lower_is_better else hardened.value - plain.value
    # A change that rounds to zero is neither better nor worse.
    better = None if abs(gain) < 5e-4 else gain > 0
    return Row(name, note, plain, hardened, change(plain.value, hardened.value), better)


def sentences(reading: Reading) -> tuple[str, ...]:
    """Return sentences, from the same figures, on what hardening gained under each threat and what it cost."""
    told = []
    for threat in reading.threats:
        plain, hardened = _figure(threat, "plain"), _figure(threat, "hardened")
        if plain is None or hardened is None:
            continue
        gain = hardened.value - plain.value
        told.append(
            f"Attacked within the declared budget ({formats.threat(threat.declared) or threat.label}), "
            f"the plain model is right on {plain.shown} of the inputs "
            f"and the hardened one on {hardened.shown}{_gained(gain)}."
        )
    cost = _cost(reading)
    return (*told, cost) if told and cost else tuple(told)


def _gained(gain: float) -> str:
    if abs(gain) < 5e-4:
        return ": hardening made no difference here"
    return f": {abs(gain) * 100:.1f} points {'more' if gain > 0 else 'fewer'}"


def _cost(reading: Reading) -> str:
    """Return the cost of hardening in clean accuracy and in time, as far as both were measured."""
    parts = []
    for row in rows(reading):
        if row.plain is None or row.hardened is None:
            continue
        if row.name == "Clean accuracy" and not row.note:
            lost = row.plain.value - row.hardened.value
            points = f"{abs(lost) * 100:.1f} points"
            gained = f"no clean accuracy ({points} gained)" if lost < -5e-4 else "no clean accuracy"
            parts.append(f"{points} of clean accuracy" if lost > 5e-4 else gained)
        if row.name == "Training time" and row.change:
            parts.append(f"{row.change} the training time")
    return f"The price: {' and '.join(parts)}." if parts else ""
