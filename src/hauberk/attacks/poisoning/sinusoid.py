"""Sinusoid: faint vertical stripes on rows of the target class; every label is correct.

Barni, Kallas, Tondi, "A New Backdoor Attack in CNNs by Training Set Corruption without Label Poisoning", ICIP 2019.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from hauberk.attacks.poisoning import POISONERS
from hauberk.attacks.poisoning._pick import Backdoor, changed, check_share, pictures_of, take, target_of
from hauberk.attacks.poisoning._victim import Floats, Poisoned, Victim
from hauberk.core.errors import InvalidInput
from hauberk.core.progress import Task


@dataclass(frozen=True, slots=True)
class Params(Backdoor):
    """The backdoor parameters and the stripes. At most half of the target's rows are poisoned."""

    delta: float = field(default=0.08, metadata={"help": "amplitude of the wave, in [0, 1]"})
    frequency: int = field(default=6, metadata={"help": "periods of the wave in a picture"})

    def __post_init__(self) -> None:
        check_share(self.share)
        if not 0 < self.delta <= 1 or self.frequency < 1:
            raise InvalidInput(f"expected 0 < delta <= 1 and frequency >= 1, found {self.delta}, {self.frequency}.")


@POISONERS.register(
    "sinusoid",
    practice="1a",
    threats=("poisoning",),
    summary="faint stripes on rows of the target, labels kept",
    params=Params,
    kinds=("image",),
)
def sinusoid(victim: Victim, params: Params, *, rng: np.random.Generator, task: Task) -> Poisoned:
    """Return the rows with stripes on some rows of the target class."""
    del task  # quick
    x = pictures_of(victim)
    width = x.shape[3]
    stripes = params.delta * np.sin(2 * np.pi * params.frequency * np.arange(width) / width)

    def trigger(pictures: Floats) -> Floats:
        striped: Floats = np.clip(pictures + stripes, 0, 1).astype(np.float32)
        return striped

    target = target_of(victim, params.target, rng, large=True)
    own = victim.y == target
    rows = take(victim, min(params.share, own.mean() / 2), own, rng)
    x[rows] = trigger(x[rows])
    return changed(x, victim.y.copy(), rows, trigger, target)
