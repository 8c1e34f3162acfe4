"""Carlini-Wagner: the smallest L2 change, found by optimising change and margin together; slow and thorough.

Carlini and Wagner 2017, "Towards Evaluating the Robustness of Neural Networks", section VI.A: a change of variables
that stays inside the box, Adam, and a binary search over the weight of the margin.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from hauberk.attacks.attack import ATTACKS
from hauberk.attacks.budget import Ball
from hauberk.attacks.evasion.methods._losses import margin
from hauberk.attacks.evasion.methods._minimal import shrink
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

_INSIDE = 1 - 1e-6  # share of the box: its border is infinitely far away in the changed variables
_FAR = 1e10  # no upper bound on the weight is known yet


@dataclass(frozen=True, slots=True)
class CarliniWagnerParams(Params):
    """The paper uses 1,000 steps and 9 searches; a faster rate needs fewer."""

    access: ClassVar[str] = "gradients"
    norms: ClassVar[tuple[Norm, ...]] = (Norm.L2,)
    targeted: ClassVar[bool] = True
    minimal: ClassVar[bool] = True
    trial: ClassVar[Mapping[str, Any]] = {"steps": 10, "searches": 2}

    steps: int = field(default=200, metadata={"help": "gradient steps of each search"})
    searches: int = field(default=6, metadata={"help": "number of weights of the margin that are tried"})
    rate: float = field(default=0.05, metadata={"help": "learning rate of Adam"})
    weight: float = field(default=0.1, metadata={"help": "first weight of the margin"})
    confidence: float = field(default=0.0, metadata={"help": "margin beyond the boundary to aim at, in logits"})

    def __post_init__(self) -> None:
        if (
            self.steps < 1
            or self.searches < 1
            or not self.rate > 0
            or not self.weight > 0
            or not self.confidence >= 0
        ):
            raise InvalidInput(
                "expected steps and searches of 1 or more, rate and weight above 0, confidence >= 0."
            )


@ATTACKS.register(
    "carlini-wagner",
    practice="2a",
    threats=("evasion",),
    summary="smallest L2 change by optimisation (white box, slow)",
    params=CarliniWagnerParams,
    kinds=("image",),
)
def run(  # noqa: PLR0913 - the shape of an attack
    model: Differentiable,
    x: Floats,
    y: Labels,
    budget: Ball,
    params: CarliniWagnerParams,
    *,
    rng: np.random.Generator,  # noqa: ARG001 - nothing is drawn
    task: Task,
    targets: Labels | None = None,
) -> SearchResult:
    """Minimise a weighted sum of the change's L2 length and the margin; with a finite eps, stop inside that radius.

    `verdicts.distance` is the distance of the nearest fooling point found, an upper bound on the distance to the
    boundary. Cost: steps * searches gradients for each row.
    """
    passes = params.steps * params.searches
    return shrink(
        model, (x, y, targets), budget, margin, passes, lambda origin, _: _Search(origin, budget, params), task
    )


class _Search:
    """Adam on w with x = low + (high - low) (tanh w + 1) / 2; each search starts at the row."""

    def __init__(self, origin: Tensor, ball: Ball, params: CarliniWagnerParams) -> None:
        self._origin, self._params = origin, params
        self._middle, self._half = (ball.high + ball.low) / 2, (ball.high - ball.low) / 2
        self._first = ((origin - self._middle) / self._half * _INSIDE).atanh()
        self._weight = origin.new_full((len(origin),), params.weight)
        self._least, self._most = origin.new_zeros(len(origin)), origin.new_full((len(origin),), _FAR)
        self._restart()

    def _restart(self) -> None:
        self._w = self._first.clone()
        self._mean, self._square = self._w.new_zeros(self._w.shape), self._w.new_zeros(self._w.shape)
        self._found = self._weight < 0

    def __call__(self, step: int, x: Tensor, seen: Slope, out: Tensor, distance: Tensor) -> Tensor:  # noqa: ARG002 - the shape of a mover
        self._found |= out
        if (step + 1) % self._params.steps == 0:
            self._weigh()
            self._restart()
            return self._origin
        reached = seen.loss >= self._params.confidence
        pull = shaped(self._weight.where(~reached, self._weight.new_zeros(())), x)
        inner = (x - self._middle) / self._half
        slope = (2 * (x - self._origin) - pull * seen.gradient) * (self._half * (1 - inner.square()))
        self._adam(slope, step % self._params.steps + 1)
        return self._w.tanh().mul_(self._half).add_(self._middle)

    def _adam(self, slope: Tensor, number: int) -> None:
        self._mean.lerp_(slope, 0.1)
        self._square.mul_(0.999).addcmul_(slope, slope, value=0.001)
        scale = (self._square / (1 - 0.999**number)).sqrt_().add_(1e-8)
        self._w.addcdiv_(self._mean, scale, value=-self._params.rate / (1 - 0.9**number))

    def _weigh(self) -> None:
        """Lower the weight after a success, raise it after a failure (binary search; tenfold until the first success)."""
        self._most = self._weight.where(self._found, self._most)
        self._least = self._least.where(self._found, self._weight)
        middle = (self._least + self._most) / 2
        self._weight = middle.where(self._most < _FAR, self._weight * 10)
