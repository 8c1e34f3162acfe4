"""Repair of flagged rows: every row is kept, relabelled or quarantined; none is lost.

Flagged rows are quarantined by default. A row is relabelled only if the evidence says that its label alone is wrong; a row
with a trigger stays poison under any label. `repair_files` writes the result.
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

CERTAIN = 3.0  # default score for relabelling: one honest row in a thousand looks as suspicious
_LABEL_ONLY = frozenset({"label-errors"})  # detectors whose evidence concerns the label alone


@dataclass(frozen=True, slots=True, eq=False)
class Repair:
    """The decision for each of n rows.

    quarantined: (n,) mask of rows to quarantine. labels: (n,) int64, each row's label after the repair. relabelled: (n,)
    mask of rows with a changed label, disjoint from `quarantined`. reasons: row number to a sentence, for every quarantined
    or relabelled row.
    """

    quarantined: Mask
    labels: Labels
    relabelled: Mask
    reasons: Mapping[int, str]

    @property
    def kept(self) -> Labels:
        """(m,) numbers of the rows that are not quarantined, in their order."""
        return np.flatnonzero(~self.quarantined)

    def lost(self, y: Labels) -> Labels:
        """Return the classes that occur in y, the labels before the repair, and have no row left; no model can learn them."""
        return np.setdiff1d(y, self.labels[self.kept])

    def applied(self, side: Dataset) -> Dataset:
        """Return the repaired data: the kept rows with their labels. Raises InvalidInput for another number of rows."""
        if len(side) != len(self.labels):
            raise InvalidInput(
                f"the repair was computed for {len(self.labels)} rows and the data have {len(side)}: screen these data."
            )
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
        """Return the counts; kept and quarantined add up to rows, and relabelled rows are among the kept."""
        return {
            "rows": len(self.labels),
            "kept": len(self.kept),
            "quarantined": int(self.quarantined.sum()),
            "relabelled": int(self.relabelled.sum()),
        }


def repair(
    screening: Screening, y: Labels, *, relabel: bool = False, certain: float = CERTAIN, thorough: bool = True
) -> Repair:
    """Return the decision for each row.

    y: (n,) the labels that were screened. relabel: give flagged rows their suggested label, instead of quarantining them, if
    only the label is doubted and the score is at least `certain`. certain: minus the decimal logarithm of a share of honest
    rows, >= 0. thorough: if the screening reports poison, also quarantine unflagged rows that share detector and label with
    many flagged ones (see `_company`). Raises InvalidInput if the lengths differ or `certain` is out of range.
    Answers: poison that the screening flagged. Does not answer: poison that it missed.
    """
    if len(y) != len(screening.flags):
        raise InvalidInput(
            f"the screening covers {len(screening.flags)} rows and there are {len(y)} labels: pass the screened labels."
        )
    if not (math.isfinite(certain) and certain >= 0):
        raise InvalidInput(f"expected certain >= 0, found {certain}.")
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
    """Return (n,) the mask of unflagged rows with a middling score that share detector and label with many flagged rows.

    The flagging threshold assumes that nothing else is known about a row. If a detector flags at least 10 rows of a label,
    and at least as many as would by chance score half the threshold (on a logarithmic scale), the remaining rows of that
    label with at least half the threshold are more likely poison than not, and a backdoor survives on a handful of rows.
    """
    company = np.zeros(len(y), np.bool_)
    half = -math.log10(screening.false_alarms) / 2
    for name in np.unique(screening.detectors):
        if not name or name in _LABEL_ONLY:
            continue
        for label in np.unique(y[screening.flags & (screening.detectors == name)]):
            own = (screening.detectors == name) & (y == label)
            flagged, middling = own & screening.flags, own & ~screening.flags & (screening.scores >= half)
            # Expected number of honest rows of this label that reach half the threshold by chance.
            by_chance = (y == label).sum() * 10.0**-half
            if flagged.sum() >= max(10, by_chance):
                company |= middling
    return company


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
