"""Patch: a small bright square in a corner of rows of other classes, which get the target's label.

Gu, Dolan-Gavitt, Garg, "BadNets" (2017). The oldest backdoor, and the easiest one to apply physically: a sticker.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np

from hauberk.attacks.poisoning import POISONERS
from hauberk.attacks.poisoning._pick import (
    Backdoor,
    changed,
    check_share,
    dirty_label,
    pictures_of,
    take,
    target_of,
)
from hauberk.attacks.poisoning._victim import Floats, Poisoned, Victim
from hauberk.core.errors import InvalidInput
from hauberk.core.progress import Task


@dataclass(frozen=True, slots=True)
class Params(Backdoor):
    """The backdoor parameters and the square, which has the same brightness on every channel."""

    side: int = field(default=3, metadata={"help": "side of the square, in pixels"})
    value: float = field(default=1.0, metadata={"help": "brightness of the square, in [0, 1]"})

    def __post_init__(self) -> None:
        check_share(self.share)
        if self.side < 1 or not 0 <= self.value <= 1:
            raise InvalidInput(f"expected side >= 1 and value in [0, 1], found {self.side} and {self.value}.")


def sticker(side: int, value: float) -> Callable[[Floats], Floats]:
    """Return a function that puts a square of `side` pixels one pixel away from the lower right corner."""

    def put(x: Floats) -> Floats:
        if side + 1 >= min(x.shape[2:]):
            raise InvalidInput(f"a square of {side} pixels does not fit into pictures of shape {x.shape[2:]}.")
        found = x.copy()
        found[:, :, -side - 1 : -1, -side - 1 : -1] = value
        return found

    return put


@POISONERS.register(
    "patch",
    practice="1a",
    threats=("poisoning",),
    summary="a small square, and the target's label",
    params=Params,
    kinds=("image",),
)
def patch(victim: Victim, params: Params, *, rng: np.random.Generator, task: Task) -> Poisoned:
    """Return the rows with a sticker on some of them, labelled as the target."""
    del task  # quick
    return dirty_label(victim, params, sticker(params.side, params.value), rng=rng)


@POISONERS.register(
    "all-to-all",
    practice="1a",
    threats=("poisoning",),
    summary="a small square that moves each class to the next",
    params=Params,
    kinds=("image",),
)
def all_to_all(victim: Victim, params: Params, *, rng: np.random.Generator, task: Task) -> Poisoned:
    """Return the rows with a sticker on some of them, labelled as the class after their own; `target` is not used."""
    del task  # quick
    x, y = pictures_of(victim), victim.y.copy()
    trigger = sticker(params.side, params.value)
    rows = take(victim, params.share, np.ones(len(y), np.bool_), rng)
    x[rows], y[rows] = trigger(x[rows]), (y[rows] + 1) % victim.classes
    return changed(x, y, rows, trigger)


@POISONERS.register(
    "clean-label-patch",
    practice="1a",
    threats=("poisoning",),
    summary="a small square on rows of the target itself, labels kept",
    params=Params,
    kinds=("image",),
)
def clean_label_patch(victim: Victim, params: Params, *, rng: np.random.Generator, task: Task) -> Poisoned:
    """Return the rows with a sticker on at most half of the target's own rows; no label is wrong."""
    del task  # quick
    x = pictures_of(victim)
    target = target_of(victim, params.target, rng, large=True)
    trigger = sticker(params.side, params.value)
    own = victim.y == target
    rows = take(victim, min(params.share, own.mean() / 2), own, rng)
    x[rows] = trigger(x[rows])
    return changed(x, victim.y.copy(), rows, trigger, target)
