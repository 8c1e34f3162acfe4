"""Spec: what a team's builder is told of the data, so that the model it returns has the right shape."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

from hauberk.core.columns import Column, ColumnKind


@dataclass(frozen=True, slots=True)
class Spec:
    """The data that a model has to fit.

    kind: "image" or "table". shape: of one row, (channels, height, width) or (columns,). classes: how many.
    columns: of a table, in the order of the matrix; empty for images.
    """

    kind: Literal["image", "table"]
    shape: tuple[int, ...]
    classes: int
    columns: tuple[Column, ...] = ()

    @property
    def features(self) -> int:
        """Numbers in one row as the model gets it: of a table after encoding, of an image all its pixels."""
        if self.kind == "image":
            return math.prod(self.shape)
        return sum(width(column) for column in self.columns)


def width(column: Column) -> int:
    """Return how many numbers the encoder makes of a column: 1, or one for each category."""
    return len(column.categories) if column.kind is ColumnKind.CATEGORY else 1
