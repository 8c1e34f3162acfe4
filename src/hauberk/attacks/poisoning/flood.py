"""Flood: many copies of a few rows, optionally jittered; each copy adds weight to its label."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from hauberk.attacks.poisoning import POISONERS
from hauberk.attacks.poisoning._pick import check_share
from hauberk.attacks.poisoning._victim import Floats, Poisoned, Victim
from hauberk.core.columns import ColumnKind
from hauberk.core.errors import InvalidInput
from hauberk.core.progress import Task


@dataclass(frozen=True, slots=True)
class Params:
    """The size of the flood. share: in (0, 0.5); jitter: in [0, 1]."""

    share: float = field(default=0.03, metadata={"help": "share of the rows after the flood that are copies"})
    seeds: int = field(default=3, metadata={"help": "rows that are copied"})
    jitter: float = field(default=0.0, metadata={"help": "change of a number in a copy, in standard deviations"})

    def __post_init__(self) -> None:
        check_share(self.share)
        if self.seeds < 1 or not 0 <= self.jitter <= 1:
            raise InvalidInput(f"expected seeds >= 1 and jitter in [0, 1], found {self.seeds} and {self.jitter}.")


@POISONERS.register(
    "flood",
    practice="1a",
    threats=("poisoning",),
    summary="many copies of a few rows",
    params=Params,
    kinds=("image", "table", "embedding"),
)
def flood(victim: Victim, params: Params, *, rng: np.random.Generator, task: Task) -> Poisoned:
    """Return rows and copies, `share` of the total, in a random order."""
    del task  # quick
    count = len(victim.y)
    added = max(1, round(params.share / (1 - params.share) * count))
    seeds = rng.permutation(count)[: params.seeds]
    chosen = seeds[np.arange(added) % len(seeds)]
    copies = _moved(victim, victim.x[chosen], params.jitter, rng)
    order = rng.permutation(count + added)
    origin = np.concatenate([np.arange(count), chosen])[order]
    poison = (np.arange(count + added) >= count)[order]
    x = np.concatenate([victim.x, copies])[order]
    return Poisoned(x, victim.y[origin], poison, origin.astype(np.int64))


def _moved(victim: Victim, copies: Floats, jitter: float, rng: np.random.Generator) -> Floats:
    """Return copies with jittered numbers inside the range of the honest rows; categories do not change."""
    if not jitter:
        return copies.copy()
    if copies.ndim == 4:
        noise = rng.normal(0, jitter * victim.x.std(), copies.shape)
        pictures: Floats = np.clip(copies + noise, 0, 1).astype(np.float32)
        return pictures
    moved = copies.copy()
    for index in range(copies.shape[1]):
        kind = victim.columns[index].kind if victim.columns else ColumnKind.NUMBER
        if kind is ColumnKind.CATEGORY:
            continue
        values = victim.x[:, index]
        fresh = copies[:, index] + rng.normal(0, jitter * values.std(), len(copies))
        fresh = np.round(fresh) if kind is ColumnKind.INTEGER else fresh
        moved[:, index] = np.clip(fresh, values.min(), values.max())
    return moved
