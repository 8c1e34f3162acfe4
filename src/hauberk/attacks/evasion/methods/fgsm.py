"""FGSM: one step of the full radius along the gradient; the cheapest white-box attack, and the weakest.

Goodfellow, Shlens, Szegedy 2015, "Explaining and Harnessing Adversarial Examples", section 4.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, ClassVar

import numpy as np

from hauberk.attacks.attack import ATTACKS
from hauberk.attacks.budget import Ball, Budget, ColumnBox
from hauberk.attacks.evasion.methods import _losses
from hauberk.attacks.evasion.methods.pgd import PgdParams
from hauberk.attacks.evasion.methods.pgd import run as climb
from hauberk.attacks.params import Params
from hauberk.attacks.verdict import SearchResult
from hauberk.core.progress import Task
from hauberk.core.threats import Norm
from hauberk.models.port import Differentiable, Floats, Labels


@dataclass(frozen=True, slots=True)
class FgsmParams(Params):
    """The step length is the radius."""

    access: ClassVar[str] = "gradients"
    regions: ClassVar[tuple[type[Any], ...]] = (Ball, ColumnBox)
    norms: ClassVar[tuple[Norm, ...]] = tuple(Norm)
    targeted: ClassVar[bool] = True

    loss: str = field(
        default="cross-entropy", metadata={"help": "loss that is maximised: cross-entropy, margin or dlr"}
    )

    def __post_init__(self) -> None:
        _losses.check(self.loss)


@ATTACKS.register(
    "fgsm",
    practice="2a",
    threats=("evasion",),
    summary="one gradient step of the full radius (white box)",
    params=FgsmParams,
)
def run(  # noqa: PLR0913 - the shape of an attack
    model: Differentiable,
    x: Floats,
    y: Labels,
    budget: Budget,
    params: FgsmParams,
    *,
    rng: np.random.Generator,
    task: Task,
    targets: Labels | None = None,
) -> SearchResult:
    """Take one gradient step of the full radius, starting at the row.

    Answers an unskilled adversary. A row that withstands it may be fooled by any longer attack. Cost: one gradient and
    one query for each row.
    """
    one = PgdParams(steps=1, step=1.0, loss=params.loss, start="origin")
    aim = {} if targets is None else {"targets": targets}
    return climb(model, x, y, budget, one, rng=rng, task=task, **aim)
