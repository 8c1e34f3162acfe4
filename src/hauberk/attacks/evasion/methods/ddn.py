"""DDN: decoupled direction and norm, a fast attack for the smallest L2 change.

Rony, Hafemann, Oliveira, Ben Ayed, Sabourin, Granger 2019, "Decoupling Direction and Norm for Efficient Gradient-Based
L2 Adversarial Attacks and Defenses", algorithm 1, without its rounding to 256 levels.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from hauberk.attacks.attack import ATTACKS
from hauberk.attacks.budget import Ball
from hauberk.attacks.evasion.methods._losses import cross_entropy
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


@dataclass(frozen=True, slots=True)
class DdnParams(Params):
    """The defaults are the paper's."""

    access: ClassVar[str] = "gradients"
    norms: ClassVar[tuple[Norm, ...]] = (Norm.L2,)
    targeted: ClassVar[bool] = True
    minimal: ClassVar[bool] = True
    trial: ClassVar[Mapping[str, Any]] = {"steps": 15}

    steps: int = field(default=100, metadata={"help": "gradient steps"})
    factor: float = field(default=0.05, metadata={"help": "relative change of the radius at each step"})
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
    budget: Ball,
    params: DdnParams,
    *,
    rng: np.random.Generator,  # noqa: ARG001 - nothing is drawn
    task: Task,
    targets: Labels | None = None,
) -> SearchResult:
    """Search for the smallest L2 change: shrink the radius after a success, grow it after a failure.

    With a finite eps, a row stops at a fooling point inside that radius. `verdicts.distance` is the distance of the
    nearest fooling point found, an upper bound on the distance to the boundary. Cost: steps gradients for each row.
    """
    return shrink(
        model,
        (x, y, targets),
        budget,
        cross_entropy,
        params.steps,
        lambda origin, _: _Ddn(origin, budget, params),
        task,
    )


class _Ddn:
    """Steps along the gradient with a cosine schedule, each projected onto a sphere."""

    def __init__(self, origin: Tensor, ball: Ball, params: DdnParams) -> None:
        self._origin, self._ball, self._params = origin, ball, params
        self._radius = origin.new_full((len(origin),), params.first)

    def __call__(self, step: int, x: Tensor, seen: Slope, out: Tensor, distance: Tensor) -> Tensor:  # noqa: ARG002 - the shape of a mover
        rate = 0.01 + 0.99 * (1 + math.cos(math.pi * step / self._params.steps)) / 2
        along = seen.gradient / shaped(lengths(seen.gradient, Norm.L2).clamp_min(1e-12), x)
        delta = x - self._origin + rate * along
        self._radius *= 1 + self._params.factor * (1 - 2 * out.to(x.dtype))
        delta *= shaped(self._radius / lengths(delta, Norm.L2).clamp_min(1e-12), x)
        return (self._origin + delta).clamp_(self._ball.low, self._ball.high)
