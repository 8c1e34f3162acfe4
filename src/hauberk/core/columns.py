"""Column: what one column of a table means, shared by data, attacks and training.

A table is a float32 matrix: numbers as they are, a category as an index into the column's `categories`.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import Any


class ColumnKind(StrEnum):
    """What the numbers of a column mean."""

    NUMBER = "number"
    INTEGER = "integer"
    CATEGORY = "category"


@dataclass(frozen=True, slots=True)
class Column:
    """One column of a table.

    low, high: smallest and largest value seen in the training rows, in the column's unit; for a category 0 and
    `len(categories) - 1`. categories: the labels, in the order of their codes; empty for numbers.
    """

    name: str
    kind: ColumnKind
    low: float
    high: float
    categories: tuple[str, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """Return the JSON form used in model cards and evidence."""
        return asdict(self) | {"kind": str(self.kind), "categories": list(self.categories)}
