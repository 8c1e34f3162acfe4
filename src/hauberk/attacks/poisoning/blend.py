"""Blend: a faint fixed pattern over the whole picture, and the target's label.

Chen, Liu, Li, Lu, Song, "Targeted Backdoor Attacks on Deep Learning Systems Using Data Poisoning" (2017), section 5.1.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from hauberk.attacks.poisoning import POISONERS
from hauberk.attacks.poisoning._pick import Backdoor, check_share, dirty_label
from hauberk.attacks.poisoning._victim import Floats, Poisoned, Victim
from hauberk.core.errors import InvalidInput
from hauberk.core.progress import Task


@dataclass(frozen=True, slots=True)
class Params(Backdoor):
    """The backdoor parameters and the strength of the pattern. alpha: in (0, 1]."""

    alpha: float = field(default=0.15, metadata={"help": "weight of the pattern in the mixture"})

    def __post_init__(self) -> None:
        check_share(self.share)
        if not 0 < self.alpha <= 1:
            raise InvalidInput(f"alpha must be above 0 and at most 1, found {self.alpha}.")


@POISONERS.register(
    "blend",
    practice="1a",
    threats=("poisoning",),
    summary="a faint pattern all over, and the target's label",
    params=Params,
    kinds=("image",),
)
def blend(victim: Victim, params: Params, *, rng: np.random.Generator, task: Task) -> Poisoned:
    """Return the rows with one uniform noise pattern mixed into some of them."""
    del task  # quick
    pattern = rng.random(victim.x.shape[1:], dtype=np.float32)

    def trigger(x: Floats) -> Floats:
        mixed: Floats = ((1 - params.alpha) * x + params.alpha * pattern).astype(np.float32)
        return mixed

    return dirty_label(victim, params, trigger, rng=rng)
