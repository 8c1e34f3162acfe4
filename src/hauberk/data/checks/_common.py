"""Shared by the checks: the severity of a share, the number of findings, the place of a row."""

from __future__ import annotations

import math

from hauberk.core.errors import InvalidInput
from hauberk.core.findings import Kind, Place, Severity
from hauberk.data.reading.dataset import Dataset

SHOWN = 20
TRAINING, TEST = "training", "test"


def check_share(name: str, value: float) -> None:
    """Raise InvalidInput unless `value` is a share."""
    if not (math.isfinite(value) and 0 <= value <= 1):
        raise InvalidInput(f"{name} must be a share from 0 to 1, found {value}.")


def judged(value: float, limit: float) -> Severity:
    """Return a severity: high above the limit, medium above a tenth of it, low above 0, else info."""
    if value > limit:
        return Severity.HIGH
    if value > limit / 10:
        return Severity.MEDIUM
    return Severity.LOW if value > 0 else Severity.INFO


def row_place(side: Dataset, index: int, word: str) -> Place:
    """Return the place of a row, by its number in the files; word: the side, TRAINING or TEST."""
    return Place(Kind.ROW, word, int(side.rows[index]))
