"""Attacks: the adversary, as pure functions of arrays and a model.

`evasion` holds the attacks on inputs and `poisoning` the attacks on training rows. `budget`, `columnbox` and `shapes` define
what an adversary may change, `evaluation` and `campaign` measure a model under attack, `backdoor` measures what a
poisoned model has learned. The names below are the room's public surface; they are imported when they are used.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from hauberk.core.lifting import lifted

if TYPE_CHECKING:
    from hauberk.attacks.attack import ATTACKS as ATTACKS
    from hauberk.attacks.backdoor import BeforeAfter as BeforeAfter
    from hauberk.attacks.backdoor import Effect as Effect
    from hauberk.attacks.backdoor import before_and_after as before_and_after
    from hauberk.attacks.backdoor import effect as effect
    from hauberk.attacks.budget import Ball as Ball
    from hauberk.attacks.budget import Budget as Budget
    from hauberk.attacks.budget import Region as Region
    from hauberk.attacks.budget import budget_of as budget_of
    from hauberk.attacks.campaign import Campaign as Campaign
    from hauberk.attacks.campaign import Chosen as Chosen
    from hauberk.attacks.columnbox import ColumnBox as ColumnBox
    from hauberk.attacks.evaluation import evaluate as evaluate
    from hauberk.attacks.evasion.methods.corruptions import Corrupted as Corrupted
    from hauberk.attacks.params import Params as Params
    from hauberk.attacks.poisoning import POISONERS as POISONERS
    from hauberk.attacks.poisoning import Poisoned as Poisoned
    from hauberk.attacks.poisoning import Victim as Victim
    from hauberk.attacks.shapes import Affine as Affine
    from hauberk.attacks.shapes import Patch as Patch
    from hauberk.attacks.verdict import AttackResult as AttackResult
    from hauberk.attacks.verdict import Verdicts as Verdicts

_HOMES = {
    "ATTACKS": "attack",
    "Affine": "shapes",
    "AttackResult": "verdict",
    "Ball": "budget",
    "BeforeAfter": "backdoor",
    "Budget": "budget",
    "Campaign": "campaign",
    "Chosen": "campaign",
    "ColumnBox": "columnbox",
    "Effect": "backdoor",
    "Corrupted": "evasion.methods.corruptions",
    "POISONERS": "poisoning",
    "Params": "params",
    "Patch": "shapes",
    "Poisoned": "poisoning",
    "Region": "budget",
    "Verdicts": "verdict",
    "Victim": "poisoning",
    "before_and_after": "backdoor",
    "budget_of": "budget",
    "effect": "backdoor",
    "evaluate": "evaluation",
}
__all__ = sorted(_HOMES)  # noqa: PLE0605 - the table is the list


def __getattr__(name: str) -> Any:  # noqa: ANN401 - one of the names above
    return lifted(__name__, _HOMES, name)
