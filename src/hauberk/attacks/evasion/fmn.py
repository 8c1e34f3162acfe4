"""FMN: fast minimum-norm attack, for the smallest change in L-inf, L2 or L1.

Pintor, Roli, Brendel, Biggio 2021, "Fast Minimum-norm Adversarial Attacks through Adaptive Norm Constraints",
algorithm 1, with the paper's schedules. One difference: the first estimates of the distance are stretched.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar, Unpack

import numpy as np

from hauberk.attacks.attack import ATTACKS, Common, attack_ball
from hauberk.attacks.budget import Ball, Budget
from hauberk.attacks.evasion._losses import margin
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

_DUAL = {Norm.LINF: Norm.L1, Norm.L2: Norm.L2, Norm.L1: Norm.LINF}


@dataclass(frozen=True, slots=True)
class FmnParams:
    """The defaults are the paper's."""

    access: ClassVar[str] = "gradients"
    norms: ClassVar[tuple[Norm, ...]] = tuple(Norm)

    steps: int = field(default=100, metadata={"help": "gradient steps"})
    step: float = field(default=1.0, metadata={"help": "length of the first step in L2, in input units"})
    factor: float = field(default=0.05, metadata={"help": "how much the radius shrinks or grows at the first step"})

    def __post_init__(self) -> None:
        if self.steps < 1 or not self.step > 0 or not 0 < self.factor < 1:
            raise InvalidInput("expected steps >= 1, step above 0 and factor in (0, 1).")


@ATTACKS.register(
    "fmn",
    practice="2a",
    threats=("evasion",),
    summary="smallest change by a ball that follows the boundary (white box)",
    params=FmnParams,
    kinds=("image",),
)
def run(  # noqa: PLR0913 - the shape of an attack
    model: Differentiable,
    x: Floats,
    y: Labels,
    budget: Budget,
    params: FmnParams,
    *,
    rng: np.random.Generator,  # noqa: ARG001 - nothing is drawn
    task: Task,
    targets: Labels | None = None,
) -> Tried:
    """Estimate the distance to the boundary, then close in on it. Cost: steps gradients of each row."""
    ball = ball_of(budget, "fmn")
    return shrink(
        model, (x, y, targets), ball, margin, params.steps, lambda origin, _: _Fmn(origin, ball, params), task
    )


class _Fmn:
    """Steps along the gradient inside a ball whose radius is drawn to the boundary."""

    def __init__(self, origin: Tensor, ball: Ball, params: FmnParams) -> None:
        self._origin, self._ball, self._params = origin, ball, params
        self._radius = origin.new_zeros(len(origin))
        self._nearest = origin.new_full((len(origin),), math.inf)
        farthest = (ball.high - origin).maximum(origin - ball.low)
        self._farthest = lengths(farthest, ball.norm)

    def __call__(self, step: int, x: Tensor, seen: Slope, out: Tensor, distance: Tensor) -> Tensor:
        norm, cosine = self._ball.norm, (1 + math.cos(math.pi * step / self._params.steps)) / 2
        rate = self._params.step * (0.01 + 0.99 * cosine)
        factor = 0.001 + (self._params.factor - 0.001) * cosine
        self._nearest = self._nearest.where(~out, self._nearest.minimum(distance))
        gap = seen.loss.abs() / lengths(seen.gradient, _DUAL[norm]).clamp_min(1e-12)
        # Stretched like the radius: a step to the plane alone would come nearer for ever and never cross.
        outside = (self._radius * (1 + factor)).where(self._nearest.isfinite(), distance + gap * (1 + factor))
        inside = (self._radius * (1 - factor)).minimum(self._nearest)
        self._radius = inside.where(out, outside).minimum(self._farthest)
        along = seen.gradient / shaped(lengths(seen.gradient, Norm.L2).clamp_min(1e-12), x)
        return self._within(x - self._origin + rate * along)

    def _within(self, delta: Tensor) -> Tensor:
        """Put each change into its ball, then into the box; in L1 by one threshold for all coordinates, by sorting."""
        radius = shaped(self._radius, delta)
        if self._ball.norm is Norm.LINF:
            delta = delta.minimum(radius).maximum(-radius)
        elif self._ball.norm is Norm.L2:
            delta = delta * (radius / shaped(lengths(delta, Norm.L2).clamp_min(1e-12), delta)).clamp_max(1)
        else:
            size = delta.abs().flatten(1)
            ordered = size.sort(1, descending=True).values
            levels = (ordered.cumsum(1) - self._radius[:, None]) / (1 + size.new_ones(size.shape).cumsum(1) - 1)
            threshold = levels.gather(1, (ordered > levels).sum(1, keepdim=True).sub(1).clamp_min(0)).clamp_min(0)
            delta = delta.sign() * (size - threshold).clamp_min(0).reshape(delta.shape)
        return (self._origin + delta).clamp_(self._ball.low, self._ball.high)


def fmn(  # noqa: PLR0913 - each is a setting of the attack
    model: Any,  # noqa: ANN401 - what `as_model` takes
    x: Floats,
    y: Labels,
    *,
    norm: str,
    eps: float = math.inf,
    steps: int = 100,
    targets: Labels | None = None,
    **rest: Unpack[Common],
) -> Found:
    """Look for the smallest change in `norm` that fools; with a finite eps, for one inside that radius.

    model, x, y, targets, rest: as `evasion.pgd`. `verdicts.distance` tells how near each row's boundary was found; the
    true one may be nearer.
    """
    return attack_ball(run, model, x, y, FmnParams(steps), norm=norm, eps=eps, targets=targets, **rest)
