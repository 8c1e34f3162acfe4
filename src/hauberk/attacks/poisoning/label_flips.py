"""Label flips: unchanged rows with wrong labels, any other class (symmetric) or always the next one (pairs)."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from hauberk.attacks.poisoning import POISONERS
from hauberk.attacks.poisoning._pick import changed, check_share, take
from hauberk.attacks.poisoning._victim import Poisoned, Victim
from hauberk.core.progress import Task


@dataclass(frozen=True, slots=True)
class Params:
    """The number of flips. share: in (0, 0.5)."""

    share: float = field(default=0.1, metadata={"help": "share of all rows that get a wrong label"})

    def __post_init__(self) -> None:
        check_share(self.share)


@POISONERS.register(
    "symmetric-flips",
    practice="1a",
    threats=("poisoning",),
    summary="labels changed to any other class",
    params=Params,
)
def symmetric(victim: Victim, params: Params, *, rng: np.random.Generator, task: Task) -> Poisoned:
    """Return the rows with some labels replaced by another class, each other class equally likely."""
    del task  # quick
    rows = take(victim, params.share, np.ones(len(victim.y), np.bool_), rng)
    y = victim.y.copy()
    y[rows] = (y[rows] + rng.integers(1, victim.classes, len(rows))) % victim.classes
    return changed(victim.x.copy(), y, rows)


@POISONERS.register(
    "pair-flips",
    practice="1a",
    threats=("poisoning",),
    summary="labels changed to the class after their own",
    params=Params,
)
def pairs(victim: Victim, params: Params, *, rng: np.random.Generator, task: Task) -> Poisoned:
    """Return the rows with some labels moved to the next class, like annotators who confuse two classes."""
    del task  # quick
    rows = take(victim, params.share, np.ones(len(victim.y), np.bool_), rng)
    y = victim.y.copy()
    y[rows] = (y[rows] + 1) % victim.classes
    return changed(victim.x.copy(), y, rows)
