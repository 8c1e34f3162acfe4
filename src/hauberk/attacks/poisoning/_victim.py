"""Victim: the honest rows. Poisoned: the rows after the attack, with the ground truth that detectors do not see."""

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
    code). y: (n,) int64 in [0, classes). columns: of a table; () for pictures and embeddings. Raises InvalidInput for
    arrays of different lengths and for fewer than two classes.
    """

    x: Floats
    y: Labels
    classes: int
    columns: tuple[Column, ...] = ()

    def __post_init__(self) -> None:
        if len(self.x) != len(self.y):
            raise InvalidInput(
                f"expected one label for each row, found {len(self.x)} rows and {len(self.y)} labels."
            )
        if self.classes < 2:
            raise InvalidInput(f"poisoning needs at least two classes, found {self.classes}.")


@dataclass(frozen=True, slots=True, eq=False)
class Poisoned:
    """Training rows after the attack.

    x, y: as in `Victim`, with changed or added rows. poison: (m,) bool, the rows that the adversary touched. origin: (m,)
    int64, index of the honest row that each row was or was copied from. trigger: function that puts the backdoor's trigger
    on inputs (k, ...), None if the attack has no trigger. target: class that a triggered input shall get; None without a
    trigger, and for all-to-all attacks, whose target is the next class, (y + 1) mod classes.
    """

    x: Floats
    y: Labels
    poison: Mask
    origin: Labels
    trigger: Callable[[Floats], Floats] | None = None
    target: int | None = None
