"""Repair: what is done about the rows that a screening flagged. Every row is kept, relabelled or quarantined; none is lost.

Quarantine is the default. A new label is proposed only where the evidence is of the kind that a label is wrong and
nothing else is: a row with a trigger in it stays poison under any label. `repair_files` writes the result.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from hauberk.core.errors import InvalidInput
from hauberk.data.poison.screening import Screening
from hauberk.data.reading.dataset import Dataset, Labels, Mask

CERTAIN = 3.0  # one honest row in a thousand looks as bad
_LABEL_ONLY = frozenset({"label-errors"})


@dataclass(frozen=True, slots=True, eq=False)
class Repair:
    """What becomes of n rows.

    quarantined: (n,) rows that are set aside. labels: (n,) int64, the label that each row has after the repair.
    relabelled: (n,) rows, never quarantined ones, whose label was changed. reasons: row to a sentence, for every row
    that was touched.
    """

    quarantined: Mask
    labels: Labels
    relabelled: Mask
    reasons: Mapping[int, str]

    @property
    def kept(self) -> Labels:
        """The rows that are left, in their order."""
        return np.flatnonzero(~self.quarantined)

    def lost(self, y: Labels) -> Labels:
        """Return the classes of y, the labels before, of which no row is left: a model cannot learn them any more."""
        return np.setdiff1d(y, self.labels[self.kept])

    def applied(self, side: Dataset) -> Dataset:
        """Return the repaired side: the kept rows, with their labels."""
        if len(side) != len(self.labels):
            raise InvalidInput(f"this repair is of {len(self.labels)} rows, and the data have {len(side)}.")
        kept = side.take(self.kept)
        return Dataset(
            kept.kind,
            kept.x,
            self.labels[self.kept],
            kept.classes,
            kept.columns,
            kept.rows,
            kept.groups,
            kept.sources,
        )

    def to_json(self) -> dict[str, Any]:
        """Return the counts; they add up."""
        return {
            "rows": len(self.labels),
            "kept": len(self.kept),
            "quarantined": int(self.quarantined.sum()),
            "relabelled": int(self.relabelled.sum()),
        }


def repair(
    screening: Screening, y: Labels, *, relabel: bool = False, certain: float = CERTAIN, thorough: bool = True
) -> Repair:
    """Return what to do with each row.

    y: (n,) the labels that were screened. relabel: whether flagged rows get the label they seem to have, in place of
    quarantine, where only the label is doubted and the score is `certain` (minus the decimal logarithm of a share of
    honest rows) or more. thorough: where poison was found, rows are also quarantined that do not reach the false-alarm
    rate alone and share detector and label with many that do (see `_company`).
    Raises InvalidInput when the lengths differ. Answers: poison that was found. Does not answer: poison that was not.
    """
    if len(y) != len(screening.flags):
        raise InvalidInput(f"the screening is of {len(screening.flags)} rows, and there are {len(y)} labels.")
    if not (math.isfinite(certain) and certain >= 0):
        raise InvalidInput(f"certain is a score of 0 or more, found {certain}.")
    bad = screening.flags.copy()
    company = _company(screening, y) if thorough and screening.found else np.zeros(len(y), np.bool_)
    sure = np.isin(screening.detectors, list(_LABEL_ONLY)) & (screening.scores >= certain)
    changed = bad & sure & (screening.suggested >= 0) & (screening.suggested != y) & relabel
    labels = np.where(changed, screening.suggested, y).astype(np.int64)
    quarantined = (bad | company) & ~changed
    reasons = {
        int(row): _reason(screening, y, int(row), bool(changed[row]))
        for row in np.flatnonzero(quarantined | changed)
    }
    return Repair(quarantined, labels, changed, reasons)


def _company(screening: Screening, y: Labels) -> Mask:
    """Return unflagged rows whose own score is middling and that share detector and label with a crowd that is flagged.

    The false-alarm rate is set for rows of which nothing else is known. Where a quarter as many rows as those of a
    label that a detector gives any weight to are flagged by it, a row of the same kind is more likely poison than not,
    and a backdoor lives on a handful of rows that are left.
    """
    found = np.zeros(len(y), np.bool_)
    half = -math.log10(screening.false_alarms) / 2
    for name in np.unique(screening.detectors):
        if not name or name in _LABEL_ONLY:
            continue
        for label in np.unique(y[screening.flags & (screening.detectors == name)]):
            own = (screening.detectors == name) & (y == label)
            flagged, middling = own & screening.flags, own & ~screening.flags & (screening.scores >= half)
            # Honest rows of this label that would score so by chance, against those that are flagged.
            by_chance = (y == label).sum() * 10.0**-half
            if flagged.sum() >= max(10, by_chance):
                found |= middling
    return found


def _reason(screening: Screening, y: Labels, row: int, changed: bool) -> str:  # noqa: FBT001 - what was done to the row
    why = screening.reasons.get(row, "")
    if changed:
        old, new = screening.classes[y[row]], screening.classes[screening.suggested[row]]
        return f"label {old!r} was changed to {new!r}: {why}" if why else f"label {old!r} was changed to {new!r}"
    if not screening.flags[row]:
        return why or f"like many rows labelled {screening.classes[y[row]]!r} that {screening.detectors[row]} flags"
    if why:
        return why
    name = str(screening.detectors[row])
    return f"flagged by {name}" if name else "flagged for its source"
