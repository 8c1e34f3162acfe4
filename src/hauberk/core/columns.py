"""Column: what one column of a table means, so that data, attacks and training agree on it without meeting.

A table travels as a float32 matrix: numbers as they are, a category as the index into its list of `categories`.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import Any


class ColumnKind(StrEnum):
    """How the numbers of a column are to be read."""

    NUMBER = "number"
    INTEGER = "integer"
    CATEGORY = "category"


@dataclass(frozen=True, slots=True)
class Column:
    """One column of a table.

    low, high: smallest and largest value seen in the training rows, in the column's unit; for a category 0 and
    `len(categories) - 1`. categories: the labels behind the codes, in code order; empty for numbers.
    """

    name: str
    kind: ColumnKind
    low: float
    high: float
    categories: tuple[str, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """Return the JSON form that cards and evidence carry."""
        return asdict(self) | {"kind": str(self.kind), "categories": list(self.categories)}
