"""FMN: fast minimum-norm attack; the smallest change in L-inf, L2 or L1.

Pintor, Roli, Brendel, Biggio 2021, "Fast Minimum-norm Adversarial Attacks through Adaptive Norm Constraints",
algorithm 1, with the paper's schedules. One difference: the first estimates of the distance are enlarged.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from hauberk.attacks.attack import ATTACKS
from hauberk.attacks.budget import Ball
from hauberk.attacks.evasion.methods._losses import margin
from hauberk.attacks.evasion.methods._minimal import lengths, shrink
from hauberk.attacks.evasion.methods._slope import shaped
from hauberk.attacks.params import Params
from hauberk.attacks.verdict import SearchResult
from hauberk.core.errors import InvalidInput
from hauberk.core.progress import Task
from hauberk.core.threats import Norm
from hauberk.models.port import Differentiable, Floats, Labels

if TYPE_CHECKING:
    from torch import Tensor

    from hauberk.attacks.evasion.methods._slope import Slope

_DUAL = {Norm.LINF: Norm.L1, Norm.L2: Norm.L2, Norm.L1: Norm.LINF}


@dataclass(frozen=True, slots=True)
class FmnParams(Params):
    """The defaults are the paper's."""

    access: ClassVar[str] = "gradients"
    norms: ClassVar[tuple[Norm, ...]] = tuple(Norm)
    targeted: ClassVar[bool] = True
    minimal: ClassVar[bool] = True
    trial: ClassVar[Mapping[str, Any]] = {"steps": 15}

    steps: int = field(default=100, metadata={"help": "gradient steps"})
    step: float = field(default=1.0, metadata={"help": "length of the first step in L2, in input units"})
    factor: float = field(default=0.05, metadata={"help": "relative change of the radius at the first step"})

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
    budget: Ball,
    params: FmnParams,
    *,
    rng: np.random.Generator,  # noqa: ARG001 - nothing is drawn
    task: Task,
    targets: Labels | None = None,
) -> SearchResult:
    """Search for the smallest change: estimate the distance to the boundary, then shrink a ball around the row to it.

    With a finite eps, a row stops at a fooling point inside that radius. `verdicts.distance` is the distance of the
    nearest fooling point found, an upper bound on the distance to the boundary. Cost: steps gradients for each row.
    """
    return shrink(
        model, (x, y, targets), budget, margin, params.steps, lambda origin, _: _Fmn(origin, budget, params), task
    )


class _Fmn:
    """Steps along the gradient inside a ball whose radius follows the boundary."""

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
        # Enlarged like the radius: a step that ends on the linearised boundary would approach it and never cross.
        outside = (self._radius * (1 + factor)).where(self._nearest.isfinite(), distance + gap * (1 + factor))
        inside = (self._radius * (1 - factor)).minimum(self._nearest)
        self._radius = inside.where(out, outside).minimum(self._farthest)
        along = seen.gradient / shaped(lengths(seen.gradient, Norm.L2).clamp_min(1e-12), x)
        return self._within(x - self._origin + rate * along)

    def _within(self, delta: Tensor) -> Tensor:
        """Project each change into its ball, then into the box; in L1 by one threshold for all coordinates, by sorting."""
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
