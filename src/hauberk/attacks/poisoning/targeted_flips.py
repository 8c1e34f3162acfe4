"""Targeted flips: wrong labels for one group of rows only, such as young women in one trade.

The model's average accuracy hardly changes, but it is wrong on the group. Groups are chosen by feature values as in
Jagielski et al., "Subpopulation Data Poisoning Attacks" (CCS 2021), here by category or by third of a column's range.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from hauberk.attacks.poisoning import POISONERS
from hauberk.attacks.poisoning._pick import changed, check_share
from hauberk.attacks.poisoning._victim import Labels, Mask, Poisoned, Victim
from hauberk.core.columns import ColumnKind
from hauberk.core.errors import InvalidInput
from hauberk.core.progress import Task

_TRIES = 500


@dataclass(frozen=True, slots=True)
class Params:
    """The number of flips. share: in (0, 0.5); flipped: in (0, 1]."""

    share: float = field(default=0.03, metadata={"help": "share of all rows that get a wrong label"})
    flipped: float = field(
        default=0.5, metadata={"help": "share of the group's rows of one class that are flipped"}
    )

    def __post_init__(self) -> None:
        check_share(self.share)
        if not 0 < self.flipped <= 1:
            raise InvalidInput(f"flipped must be above 0 and at most 1, found {self.flipped}.")


@POISONERS.register(
    "targeted-flips",
    practice="1a",
    threats=("poisoning",),
    summary="labels changed in one group of rows only",
    params=Params,
    kinds=("table",),
)
def targeted_flips(victim: Victim, params: Params, *, rng: np.random.Generator, task: Task) -> Poisoned:
    """Return the rows with part of one group's labels changed to another class; no feature changes."""
    del task  # quick
    if victim.x.ndim != 2:
        raise InvalidInput(f"this poison is for tables of shape (n, columns), found {victim.x.shape}.")
    label, group = _group(victim, params, rng)
    wanted = max(1, round(params.share * len(victim.y)))
    most = max(1, int(params.flipped * len(group)))
    rows = np.sort(rng.permutation(group)[: min(wanted, most)])
    y = victim.y.copy()
    y[rows] = (label + 1 + rng.integers(victim.classes - 1)) % victim.classes
    return changed(victim.x.copy(), y, rows)


def _group(victim: Victim, params: Params, rng: np.random.Generator) -> tuple[int, Labels]:
    """Return a class and rows of it that two conditions select: the first try of a fitting size, else the largest."""
    wanted = params.share * len(victim.y) / params.flipped
    largest: tuple[int, Labels] | None = None
    for _ in range(_TRIES):
        row = int(rng.integers(len(victim.y)))
        inside = victim.y == victim.y[row]
        for column in rng.permutation(victim.x.shape[1])[:2]:
            inside &= _like(victim, int(column), row)
        group = np.flatnonzero(inside)
        if largest is None or len(group) > len(largest[1]):
            largest = int(victim.y[row]), group
        if wanted <= len(group) <= 3 * wanted:
            return int(victim.y[row]), group
    assert largest is not None
    return largest


def _like(victim: Victim, column: int, row: int) -> Mask:
    """Return (n,): whether a value equals the row's category, or lies in the same third of the column's range."""
    values = victim.x[:, column]
    if victim.columns and victim.columns[column].kind is ColumnKind.CATEGORY:
        same: Mask = values == values[row]
        return same
    edges = np.quantile(values, [1 / 3, 2 / 3])
    third: Mask = np.digitize(values, edges) == np.digitize(values[row], edges)
    return third
