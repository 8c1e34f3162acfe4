"""PGD: projected gradient descent on the loss, the standard white-box attack.

Madry, Makelov, Schmidt, Tsipras, Vladu 2018, "Towards Deep Learning Models Resistant to Adversarial Attacks",
with random restarts. For tables the steps go through number columns alone; categories have no gradient.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from hauberk.attacks.budget import Budget
from hauberk.attacks.evasion import ATTACKS
from hauberk.attacks.margin import BATCH, is_right
from hauberk.attacks.model import Differentiable, Floats, Labels, Model
from hauberk.core.errors import InvalidInput
from hauberk.core.progress import Task

_LOOK_EVERY = 10  # steps between looks at the predictions, so that rows that fell are left alone


@dataclass(frozen=True, slots=True)
class PgdParams:
    """step 0 means 2.5 / steps of the radius: enough to cross the ball and come back (Madry et al.)."""

    steps: int = field(default=40, metadata={"help": "gradient steps of each restart"})
    restarts: int = field(default=1, metadata={"help": "random starts; the first success counts"})
    step: float = field(default=0.0, metadata={"help": "step as a fraction of the radius; 0: 2.5 / steps"})

    def __post_init__(self) -> None:
        if self.steps < 1 or self.restarts < 1 or not 0 <= self.step <= 2:
            raise ValueError("expected steps >= 1, restarts >= 1 and step between 0 and 2")


@ATTACKS.register(
    "pgd",
    practice="2a",
    threats=("evasion",),
    summary="projected gradient descent (white box)",
    params=PgdParams,
)
def pgd(  # noqa: PLR0913 - the shape of an attack
    model: Model, x: Floats, y: Labels, budget: Budget, params: PgdParams, *, rng: np.random.Generator, task: Task
) -> Floats:
    """Return adversarial inputs found by ascending the cross-entropy inside the budget.

    Raises InvalidInput for a model without `loss_gradient`. Cost: steps * restarts gradients of each row that
    stands. Answers how a model withstands an adversary who knows it; not one who defeats masked gradients: hold the
    result against a black-box attack.
    """
    if not isinstance(model, Differentiable):
        raise InvalidInput(
            "pgd needs a model with gradients, and this one gives scores only: use a black-box attack."
        )
    best = x.copy()
    total = max(1, params.restarts * len(x))
    for restart in range(params.restarts):
        standing = np.flatnonzero(_standing(model, best, y))
        for first in range(0, len(standing), BATCH):
            rows = standing[first : first + BATCH]
            uniform = rng.random(x[rows].shape, dtype=np.float32)
            best[rows] = _ascend(model, x[rows], y[rows], budget, params, uniform)
            task.update((restart * len(x) + first) / total, text=f"{len(standing)} rows stand")
    return best


def _standing(model: Model, x: Floats, y: Labels) -> NDArray[np.bool_]:
    looked = [is_right(model, x[i : i + BATCH], y[i : i + BATCH]) for i in range(0, len(x), BATCH)]
    return np.concatenate(looked) if looked else np.zeros(0, dtype=np.bool_)


def _ascend(  # noqa: PLR0913, PLR0917 - the state of one batch
    model: Differentiable, origin: Floats, y: Labels, budget: Budget, params: PgdParams, uniform: Floats
) -> Floats:
    """Climb from one random start; return for each row the first fooling point seen, else that of highest loss."""
    size = params.step or 2.5 / params.steps
    x = np.asarray(budget.start(origin, uniform), dtype=np.float32)
    found = budget.project(x, origin)
    highest = np.full(len(x), -np.inf, dtype=np.float32)
    active = np.arange(len(x))
    for step in range(params.steps + 1):
        loss, gradient = model.loss_gradient(x[active], y[active])
        better = loss > highest[active]
        improved = active[better]
        found[improved] = budget.project(x[improved], origin[improved])
        highest[improved] = loss[better]
        if step % _LOOK_EVERY == 0 or step == params.steps:
            here = budget.project(x[active], origin[active])
            fell = ~is_right(model, here, y[active])
            found[active[fell]] = here[fell]
            active, gradient = active[~fell], gradient[~fell]
        if not len(active) or step == params.steps:
            break
        moved = x[active] + budget.step(gradient, size)
        x[active] = budget.project(moved, origin[active], whole=False)
    return np.asarray(found, dtype=np.float32)
