"""Attack and augment: fit, attack the training rows, add the successful points with their true labels, fit again.

For models without gradients, such as tree ensembles. Source: Kantchelian, Tygar, Joseph 2016, "Evasion and
Hardening of Tree Ensemble Classifiers", section 6. Here the attack is a registered black-box attack rather than the
exact mixed-integer one, and `training.rounds` keeps the round that is best on held-out rows.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import ClassVar

import numpy as np

from hauberk.attacks.attack import ATTACKS, attack
from hauberk.attacks.budget import Budget, ColumnBox
from hauberk.core.errors import InvalidInput
from hauberk.models.port import Floats, Labels, Model
from hauberk.training.adversarial import HARDENING, Traits

AUTO = "auto"
_TABLES, _IMAGES = "coordinate-search", "square"


@dataclass(frozen=True, slots=True)
class Augment:
    """Settings of attack-and-augment; the budget is the threat's."""

    traits: ClassVar[Traits] = Traits(framework="sklearn", default=True)

    rounds: int = field(default=8, metadata={"help": "rounds of attack, add and fit again"})
    rows: int = field(default=2000, metadata={"help": "training rows attacked in each round, at most"})
    attack: str = field(default=AUTO, metadata={"help": "registered black-box attack; auto: one for the data"})

    def __post_init__(self) -> None:
        if self.rounds < 1 or self.rows < 1:
            raise InvalidInput(f"augment needs `rounds` >= 1 and `rows` >= 1, found {self.rounds} and {self.rows}.")
        if self.attack != AUTO:
            ATTACKS[self.attack]


@HARDENING.register(
    "augment",
    practice="2a",
    threats=("evasion",),
    summary="attack and augment (Kantchelian 2016): for scikit-learn estimators, trees included",
    params=Augment,
)
def augment(  # noqa: PLR0913 - the signature of the family for estimators
    model: Model, x: Floats, y: Labels, budget: Budget, params: Augment, *, rng: np.random.Generator
) -> Floats:
    """Return the adversarial form of each row, like x; rows that an independent check rejects are unchanged.

    Answers: attackers who see scores or can estimate them, within the budget. Does not answer: an exact search over
    a tree ensemble, which may succeed where this attack fails.
    """
    entry = ATTACKS[_chosen(params.attack, budget)]
    found = attack(entry.run, model, x, y, budget, entry.make({}), rng=rng)
    # A row outside the budget would train the model against an adversary that was not declared.
    return np.where(found.verdicts.allowed.reshape(-1, *(1,) * (x.ndim - 1)), found.x, x)


def _chosen(name: str, budget: Budget) -> str:
    if name != AUTO:
        return name
    return _TABLES if isinstance(budget, ColumnBox) else _IMAGES
