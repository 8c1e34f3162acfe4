"""Poisoning: every detector for this kind of data screens the training side; the findings list the worst rows.

The check measures and names rows; the project's policy (quarantine, stop, report) decides what is done with them.
Answers and does not answer: as `data.poison.screening`.
"""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np

from hauberk.attacks.pictures import picture
from hauberk.core import canonical
from hauberk.core.columns import ColumnKind
from hauberk.core.errors import InvalidInput
from hauberk.core.evidence import Measurement
from hauberk.core.findings import Finding, Kind, Place, Severity
from hauberk.core.progress import Task
from hauberk.data.checks import CHECKS
from hauberk.data.checks._common import SHOWN, TRAINING, row_place
from hauberk.data.poison.detectors import Rows
from hauberk.data.poison.screening import Screening, screen_rows
from hauberk.data.reading.dataset import Dataset, Split

SUSPECTS = "suspects.json"
_FEWEST = 50  # rows; with fewer, screening has too few to compare with each other
_PICTURED = 12  # worst rows that are shown, taken from each detector in turn


@dataclass(frozen=True, slots=True)
class Params:
    """false_alarms: share of honest rows that may be flagged, above 0 and at most 0.5."""

    false_alarms: float = field(default=0.005, metadata={"help": "share of honest rows that may be flagged"})

    def __post_init__(self) -> None:
        if not (math.isfinite(self.false_alarms) and 0 < self.false_alarms <= 0.5):
            raise InvalidInput(f"false_alarms is a share above 0 and at most 0.5, found {self.false_alarms}.")


@CHECKS.register(
    "poisoning",
    practice="1a",
    threats=("poisoning",),
    summary="rows that look like poison: wrong labels, backdoors, triggers, floods, guilty sources",
    params=Params,
)
def run(split: Split, params: Params, *, rng: np.random.Generator, task: Task) -> Measurement:
    """Screen the finite rows of the training side; the most suspect rows come first."""
    finite = np.isfinite(split.train.x).reshape(len(split.train), -1).all(axis=1)
    side = split.train.take(np.asarray(finite, np.bool_))
    if len(side) < _FEWEST or len(np.unique(side.y)) < 2:
        note = (
            f"{len(side)} finite rows of {len(np.unique(side.y))} classes are too few to compare with each other."
        )
        return Measurement({"poison_checked_rows": 0.0}, notes=(note,))
    found = screen_rows(
        Rows(side.kind, side, side.sources, seed=int(rng.integers(2**31))),
        false_alarms=params.false_alarms,
        task=task,
    )
    flagged = int(found.flags.sum())
    metrics = {
        "poison_suspect_rows": float(flagged),
        "poison_suspect_share": flagged / len(side),
        "poison_found": float(found.found),
        "poison_guilty_sources": float(sum(source.guilty for source in found.sources)),
        "poison_checked_rows": float(len(side)),
    }
    outputs = {SUSPECTS: canonical.encode(_document(side, found))}
    return Measurement(metrics, (*_guilty(found), *_rows(side, found)), outputs=outputs, notes=_notes(found))


def _document(side: Dataset, found: Screening) -> dict[str, Any]:
    """Return the flagged rows by their number in the files, their sources, and pictures or values of the worst."""
    listed = found.listed()
    shown = _by_turns([str(entry["detector"]) for entry in listed])
    for place, entry in enumerate(listed):
        row = int(entry["row"])
        entry.update(row=int(side.rows[row]), label=side.classes[side.y[row]])
        if side.sources is not None:
            entry["source"] = str(side.sources[row])
        if place in shown:
            entry.update(_shown(side, row))
    return {
        "version": 1,
        "kind": side.kind,
        "rows": len(side),
        "found": found.found,
        "false_alarms": found.false_alarms,
        "suspects": listed,
        "sources": [asdict(source) for source in found.sources],
    }


def _by_turns(detectors: list[str]) -> set[int]:
    """Return the indices of the rows that are shown: each detector's worst row before any detector's second."""
    turn: dict[str, int] = {}
    ranked = []
    for place, name in enumerate(detectors):
        turn[name] = turn.get(name, 0) + 1
        ranked.append((turn[name], place))
    return {place for _, place in sorted(ranked)[:_PICTURED]}


def _shown(side: Dataset, row: int) -> dict[str, Any]:
    if side.kind == "image":
        return {"png": picture(side.x[row])}
    values = {}
    for column, value in zip(side.columns, side.x[row].tolist(), strict=True):
        values[column.name] = column.categories[int(value)] if column.kind is ColumnKind.CATEGORY else f"{value:g}"
    return {"values": values}


def _guilty(found: Screening) -> list[Finding]:
    return [
        Finding(
            f"{source.suspects} of the most suspect rows came from {source.source!r}; {source.expected:.1f} were expected "
            f"from its {source.rows} rows",
            Place(Kind.SOURCE, source.source),
            Severity.HIGH,
            "Ask this source what it changed; leave its rows out until it is answered.",
            "poisoning",
            value=source.q,
            limit=0.01,
            unit="probability by chance, corrected for the number of sources",
        )
        for source in found.sources
        if source.guilty
    ]


def _rows(side: Dataset, found: Screening) -> list[Finding]:
    severity = Severity.HIGH if found.found else Severity.LOW
    return [
        Finding(
            _what(side.classes[side.y[row]], found.reasons.get(row, "suspect")),
            row_place(side, row, TRAINING),
            severity,
            "Look at the row, and correct, quarantine or keep it; suspects.json lists all of them.",
            "poisoning",
            value=10 ** -float(found.scores[row]),
            limit=found.false_alarms,
            unit="of honest rows look as suspect",
        )
        for row in [int(row) for row in found.ranked if found.flags[row]][:SHOWN]
    ]


def _what(label: str, reason: str) -> str:
    labelled = f"labelled {label!r}"
    return reason if reason.startswith(labelled) else f"{labelled}; {reason}"


def _notes(found: Screening) -> tuple[str, ...]:
    said = "more than false alarms explain" if found.found else "no more than false alarms explain"
    allowed = f"at most {found.false_alarms:.1%} of honest rows"
    return (f"{int(found.flags.sum())} rows are flagged, {said} ({allowed}).", *found.notes)
