"""Sampling: which rows make each batch of an epoch. The default shuffles; a private training may draw at random.

Imports torch when it is imported.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor


class Sampling(Protocol):
    """Draws the batches of an epoch."""

    def batches(self, rows: int) -> int:
        """Return the number of batches in an epoch over `rows` rows."""

    def epoch(self, rows: int, rng: torch.Generator) -> Iterator[Tensor]:
        """Yield that many batches: (n,) int64 row numbers in [0, rows), on the CPU; n may be 0 and may vary."""


@dataclass(frozen=True, slots=True)
class Shuffled:
    """Every row once an epoch, in random order, in batches of `size`.

    A last batch of a single row is left out when there are others, because batch norm has no statistics of one row.
    """

    size: int

    def batches(self, rows: int) -> int:
        """Return the number of batches."""
        return len(self._bounds(rows))

    def epoch(self, rows: int, rng: torch.Generator) -> Iterator[Tensor]:
        """Yield the batches of one shuffle."""
        shuffled = torch.randperm(rows, generator=rng)
        for start, stop in self._bounds(rows):
            yield shuffled[start:stop]

    def _bounds(self, rows: int) -> list[tuple[int, int]]:
        bounds = [(start, min(start + self.size, rows)) for start in range(0, rows, self.size)]
        if len(bounds) > 1 and bounds[-1][1] - bounds[-1][0] == 1:
            bounds.pop()
        return bounds
