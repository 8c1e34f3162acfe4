"""FGSM: one step of the full radius along the gradient; the cheapest white-box attack, and the weakest.

Goodfellow, Shlens, Szegedy 2015, "Explaining and Harnessing Adversarial Examples", section 4.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, ClassVar, Unpack

import numpy as np

from hauberk.attacks.attack import ATTACKS, Common, attack_ball
from hauberk.attacks.budget import Budget
from hauberk.attacks.evasion import _losses
from hauberk.attacks.evasion.pgd import PgdParams
from hauberk.attacks.evasion.pgd import run as climb
from hauberk.attacks.verdict import Found, Tried
from hauberk.core.progress import Task
from hauberk.core.threats import Norm
from hauberk.models.port import Differentiable, Floats, Labels


@dataclass(frozen=True, slots=True)
class FgsmParams:
    """The step is the radius: there is nothing else to choose."""

    access: ClassVar[str] = "gradients"
    norms: ClassVar[tuple[Norm, ...]] = tuple(Norm)

    loss: str = field(default="cross-entropy", metadata={"help": "what is climbed: cross-entropy, margin or dlr"})

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
) -> Tried:
    """Take one step from the rows themselves. Cost: one gradient and one query of each row."""
    one = PgdParams(steps=1, step=1.0, loss=params.loss, start="origin")
    aim = {} if targets is None else {"targets": targets}
    return climb(model, x, y, budget, one, rng=rng, task=task, **aim)


def fgsm(  # noqa: PLR0913 - each is a setting of the attack
    model: Any,  # noqa: ANN401 - what `as_model` takes
    x: Floats,
    y: Labels,
    *,
    norm: str,
    eps: float,
    loss: str = "cross-entropy",
    targets: Labels | None = None,
    **rest: Unpack[Common],
) -> Found:
    """Attack x by one step of the full radius. model, x, y, targets, rest: as `evasion.pgd`.

    A quick look at what an unskilled adversary does; what withstands it may fall to any longer attack.
    """
    return attack_ball(run, model, x, y, FgsmParams(loss), norm=norm, eps=eps, targets=targets, **rest)
