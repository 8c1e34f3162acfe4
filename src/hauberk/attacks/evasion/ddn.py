"""DDN: decoupled direction and norm, a fast attack for the smallest L2 change.

Rony, Hafemann, Oliveira, Ben Ayed, Sabourin, Granger 2019, "Decoupling Direction and Norm for Efficient Gradient-Based
L2 Adversarial Attacks and Defenses", algorithm 1, without its rounding to 256 levels.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar, Unpack

import numpy as np

from hauberk.attacks.attack import ATTACKS, Common, attack_ball
from hauberk.attacks.budget import Ball, Budget
from hauberk.attacks.evasion._losses import cross_entropy
from hauberk.attacks.evasion._minimal import ball_of, lengths, shrink
from hauberk.attacks.evasion._slope import shaped
from hauberk.attacks.verdict import Found, Tried
from hauberk.core.errors import InvalidInput
from hauberk.core.progress import Task
from hauberk.core.threats import Norm
from hauberk.models.port import Differentiable, Floats, Labels

if TYPE_CHECKING:
    from torch import Tensor

    from hauberk.attacks.evasion._slope import Slope


@dataclass(frozen=True, slots=True)
class DdnParams:
    """The defaults are the paper's."""

    access: ClassVar[str] = "gradients"
    norms: ClassVar[tuple[Norm, ...]] = (Norm.L2,)

    steps: int = field(default=100, metadata={"help": "gradient steps"})
    factor: float = field(default=0.05, metadata={"help": "how much the radius shrinks or grows at each step"})
    first: float = field(default=1.0, metadata={"help": "radius of the first step, in input units"})

    def __post_init__(self) -> None:
        if self.steps < 1 or not 0 < self.factor < 1 or not self.first > 0:
            raise InvalidInput("expected steps >= 1, factor in (0, 1) and first above 0.")


@ATTACKS.register(
    "ddn",
    practice="2a",
    threats=("evasion",),
    summary="smallest L2 change by a radius that follows success (white box)",
    params=DdnParams,
    kinds=("image",),
)
def run(  # noqa: PLR0913 - the shape of an attack
    model: Differentiable,
    x: Floats,
    y: Labels,
    budget: Budget,
    params: DdnParams,
    *,
    rng: np.random.Generator,  # noqa: ARG001 - nothing is drawn
    task: Task,
    targets: Labels | None = None,
) -> Tried:
    """Shrink the radius while fooled, grow it while not. Cost: steps gradients of each row."""
    ball = ball_of(budget, "ddn")
    return shrink(
        model,
        (x, y, targets),
        ball,
        cross_entropy,
        params.steps,
        lambda origin, _: _Ddn(origin, ball, params),
        task,
    )


class _Ddn:
    """Steps of cosine length along the gradient, put back onto a sphere."""

    def __init__(self, origin: Tensor, ball: Ball, params: DdnParams) -> None:
        self._origin, self._ball, self._params = origin, ball, params
        self._radius = origin.new_full((len(origin),), params.first)

    def __call__(self, step: int, x: Tensor, seen: Slope, out: Tensor, distance: Tensor) -> Tensor:  # noqa: ARG002 - as all
        rate = 0.01 + 0.99 * (1 + math.cos(math.pi * step / self._params.steps)) / 2
        along = seen.gradient / shaped(lengths(seen.gradient, Norm.L2).clamp_min(1e-12), x)
        delta = x - self._origin + rate * along
        self._radius *= 1 + self._params.factor * (1 - 2 * out.to(x.dtype))
        delta *= shaped(self._radius / lengths(delta, Norm.L2).clamp_min(1e-12), x)
        return (self._origin + delta).clamp_(self._ball.low, self._ball.high)


def ddn(  # noqa: PLR0913 - each is a setting of the attack
    model: Any,  # noqa: ANN401 - what `as_model` takes
    x: Floats,
    y: Labels,
    *,
    norm: str = "l2",
    eps: float = math.inf,
    steps: int = 100,
    targets: Labels | None = None,
    **rest: Unpack[Common],
) -> Found:
    """Look for the smallest L2 change that fools; with a finite eps, for one inside that radius.

    model, x, y, targets, rest: as `evasion.pgd`. `verdicts.distance` tells how near each row's boundary was found; the
    true one may be nearer.
    """
    return attack_ball(run, model, x, y, DdnParams(steps), norm=norm, eps=eps, targets=targets, **rest)
