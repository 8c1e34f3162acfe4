"""Spec: the description of the data that a team's builder receives, so that its model has the right shape."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

from hauberk.core.columns import Column, ColumnKind


@dataclass(frozen=True, slots=True)
class Spec:
    """Kind, shape and classes of the data.

    kind: "image" or "table". shape: of one row, (channels, height, width) or (columns,). classes: number of classes.
    columns: of a table, in the order of the matrix; empty for images.
    """

    kind: Literal["image", "table"]
    shape: tuple[int, ...]
    classes: int
    columns: tuple[Column, ...] = ()

    @property
    def features(self) -> int:
        """Number of features of one row: for a table after encoding, for an image all pixels."""
        if self.kind == "image":
            return math.prod(self.shape)
        return sum(width(column) for column in self.columns)


def width(column: Column) -> int:
    """Return the number of features of a column: 1, or one for each category."""
    return len(column.categories) if column.kind is ColumnKind.CATEGORY else 1
