"""Poisoning: attacks of an adversary who controls some training rows, one file each, registered by name.

A poisoner is `run(victim, params, *, rng, task) -> Poisoned`: a pure function of arrays that changes or adds rows and
returns which rows it touched, so that a team can poison a copy of its own data and measure its defences.
"""

from __future__ import annotations

from hauberk.attacks.poisoning._victim import Poisoned, Victim
from hauberk.core.control import Algorithm
from hauberk.core.registry import Registry

__all__ = ["POISONERS", "Poisoned", "Victim"]


POISONERS: Registry[Algorithm[Victim, Poisoned]] = Registry("poisoner", "hauberk.attacks.poisoning")
