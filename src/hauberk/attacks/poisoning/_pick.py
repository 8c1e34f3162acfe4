"""Shared by the poisoners: the choice of rows and of the target class."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np

from hauberk.attacks.poisoning._victim import Floats, Labels, Mask, Poisoned, Victim
from hauberk.core.errors import InvalidInput


def check_share(share: float) -> None:
    """Raise InvalidInput unless `share` is above 0 and below a half."""
    if not (math.isfinite(share) and 0 < share < 0.5):
        raise InvalidInput(f"share must be above 0 and below 0.5, found {share}.")


@dataclass(frozen=True, slots=True)
class Backdoor:
    """The parameters of every backdoor attack. share: in (0, 0.5)."""

    share: float = field(default=0.05, metadata={"help": "share of all rows that is poisoned, in (0, 0.5)"})
    target: int = field(
        default=-1, metadata={"help": "class that a triggered input shall get; -1: drawn at random"}
    )

    def __post_init__(self) -> None:
        check_share(self.share)


def target_of(victim: Victim, wanted: int, rng: np.random.Generator, *, large: bool = False) -> int:
    """Return the target class: `wanted`, or a random class if it is -1.

    large: draw among the largest quarter of the classes, for attacks that poison the target's own rows and need enough of
    them. Raises InvalidInput if `wanted` is not one of the victim's classes.
    """
    if wanted >= victim.classes:
        raise InvalidInput(
            f"target {wanted} is not a class: expected 0 to {victim.classes - 1}, or -1 to draw one."
        )
    if wanted >= 0:
        return wanted
    present, counts = np.unique(victim.y, return_counts=True)
    if large:
        present = present[np.argsort(-counts, kind="stable")[: max(1, len(present) // 4)]]
    return int(rng.choice(present))


def pictures_of(victim: Victim) -> Floats:
    """Return a copy of the victim's pictures. Raises InvalidInput for anything else."""
    if victim.x.ndim != 4:
        raise InvalidInput(
            f"this poison is for pictures of shape (n, channels, height, width), found {victim.x.shape}."
        )
    return victim.x.copy()


def take(victim: Victim, share: float, among: Mask, rng: np.random.Generator) -> Labels:
    """Return sorted row indices drawn from the mask `among`: `share` of all rows, or all of `among` if it has fewer."""
    candidates = np.flatnonzero(among)
    if not len(candidates):
        raise InvalidInput(
            "no row can be poisoned like this: the target class has all rows or none. Choose another target."
        )
    return np.sort(rng.permutation(candidates)[: max(1, round(share * len(victim.y)))])


def dirty_label(
    victim: Victim, params: Backdoor, trigger: Callable[[Floats], Floats], *, rng: np.random.Generator
) -> Poisoned:
    """Return the rows with `trigger` and the target's label on some rows of other classes."""
    x, y = pictures_of(victim), victim.y.copy()
    target = target_of(victim, params.target, rng)
    rows = take(victim, params.share, victim.y != target, rng)
    x[rows], y[rows] = trigger(x[rows]), target
    return changed(x, y, rows, trigger, target)


def changed(
    x: Floats,
    y: Labels,
    rows: Labels,
    trigger: Callable[[Floats], Floats] | None = None,
    target: int | None = None,
) -> Poisoned:
    """Return a result in which `rows` were changed and no row was added."""
    poison = np.zeros(len(y), np.bool_)
    poison[rows] = True
    return Poisoned(x, y, poison, np.arange(len(y), dtype=np.int64), trigger, target)
