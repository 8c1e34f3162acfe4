"""Poisoning: what an adversary who controls some training rows does to them, one file each, found by name.

A poisoner is `run(victim, params, *, rng, task) -> Poisoned`: a pure function of arrays that changes or adds rows and says
which, so that a team can poison a copy of its own data and see what its defences would have caught.
"""

from __future__ import annotations

from hauberk.attacks.poisoning._victim import Poisoned, Victim
from hauberk.core.control import Algorithm
from hauberk.core.registry import Registry

__all__ = ["POISONERS", "Poisoned", "Victim"]


POISONERS: Registry[Algorithm[Victim, Poisoned]] = Registry("poisoner", "hauberk.attacks.poisoning")
