"""Victim: the honest rows; and Poisoned: what became of them, with the answers that a detector is not told."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from hauberk.core.columns import Column
from hauberk.core.errors import InvalidInput

Floats = npt.NDArray[np.float32]
Labels = npt.NDArray[np.int64]
Mask = npt.NDArray[np.bool_]


@dataclass(frozen=True, slots=True, eq=False)
class Victim:
    """Honest training rows.

    x: (n, channels, height, width) float32 in [0, 1], or (n, d) float32 as `columns` describe it (a category is its
    code). y: (n,) int64 in [0, classes). columns: of a table, () for pictures and embeddings.
    """

    x: Floats
    y: Labels
    classes: int
    columns: tuple[Column, ...] = ()

    def __post_init__(self) -> None:
        if len(self.x) != len(self.y):
            raise InvalidInput(f"{len(self.x)} rows and {len(self.y)} labels do not belong together.")
        if self.classes < 2:
            raise InvalidInput(f"poisoning needs two classes, found {self.classes}.")


@dataclass(frozen=True, slots=True, eq=False)
class Poisoned:
    """Training rows after the attack.

    x, y: as in `Victim`, with changed or added rows. poison: (m,) the rows that the adversary touched. origin: (m,)
    int64, which honest row each was, or was copied from. trigger: puts the backdoor's trigger on inputs of shape
    (k, ...), None where the attack has none. target: the class that a triggered input should get; None where it has
    none or is not one class (all-to-all: the next class, (y + 1) mod classes).
    """

    x: Floats
    y: Labels
    poison: Mask
    origin: Labels
    trigger: Callable[[Floats], Floats] | None = None
    target: int | None = None
