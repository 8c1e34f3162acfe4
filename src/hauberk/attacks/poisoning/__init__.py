"""Poisoning: what an adversary who controls some training rows does to them, one file each, found by name.

A poisoner is `run(victim, params, *, rng) -> Poisoned`: a pure function of arrays that changes or adds rows and says
which, so that a team can poison a copy of its own data and see what its defences would have caught.
"""

from __future__ import annotations

from typing import Any, Protocol

import numpy as np

from hauberk.attacks.poisoning._victim import Poisoned, Victim
from hauberk.core.registry import Registry

__all__ = ["POISONERS", "Poisoned", "Poisoner", "Victim"]


class Poisoner(Protocol):
    """Poisons a copy of some training rows."""

    def __call__(
        self,
        victim: Victim,
        params: Any,  # noqa: ANN401 - the poisoner's own params
        *,
        rng: np.random.Generator,
    ) -> Poisoned:
        """Return the poisoned copy; the victim's arrays are left as they are."""


POISONERS: Registry[Poisoner] = Registry("poisoner", "hauberk.attacks.poisoning")
