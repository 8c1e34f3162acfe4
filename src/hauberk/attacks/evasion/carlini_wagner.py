"""Carlini-Wagner: the smallest L2 change by optimising change and margin together; slow, thorough.

Carlini and Wagner 2017, "Towards Evaluating the Robustness of Neural Networks", section VI.A: a change of variables
that keeps to the box, Adam, and a binary search over the weight of the margin.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar, Unpack

import numpy as np

from hauberk.attacks.attack import ATTACKS, Common, attack_ball
from hauberk.attacks.budget import Ball, Budget
from hauberk.attacks.evasion._losses import margin
from hauberk.attacks.evasion._minimal import ball_of, shrink
from hauberk.attacks.evasion._slope import shaped
from hauberk.attacks.verdict import Found, Tried
from hauberk.core.errors import InvalidInput
from hauberk.core.progress import Task
from hauberk.core.threats import Norm
from hauberk.models.port import Differentiable, Floats, Labels

if TYPE_CHECKING:
    from torch import Tensor

    from hauberk.attacks.evasion._slope import Slope

_INSIDE = 1 - 1e-6  # of the box: its border is infinitely far away in the changed variables
_FAR = 1e10  # no upper bound on the weight is known yet


@dataclass(frozen=True, slots=True)
class CarliniWagnerParams:
    """The paper uses 1,000 steps and 9 searches; a faster rate needs fewer."""

    access: ClassVar[str] = "gradients"
    norms: ClassVar[tuple[Norm, ...]] = (Norm.L2,)

    steps: int = field(default=200, metadata={"help": "gradient steps of each search"})
    searches: int = field(default=6, metadata={"help": "weights of the margin that are tried"})
    rate: float = field(default=0.05, metadata={"help": "learning rate of Adam"})
    weight: float = field(default=0.1, metadata={"help": "first weight of the margin"})
    confidence: float = field(default=0.0, metadata={"help": "margin that is aimed at beyond the boundary"})

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
    budget: Budget,
    params: CarliniWagnerParams,
    *,
    rng: np.random.Generator,  # noqa: ARG001 - nothing is drawn
    task: Task,
    targets: Labels | None = None,
) -> Tried:
    """Minimise the change and the margin. Cost: steps * searches gradients of each row."""
    ball = ball_of(budget, "carlini-wagner")
    passes = params.steps * params.searches
    return shrink(
        model, (x, y, targets), ball, margin, passes, lambda origin, _: _Search(origin, ball, params), task
    )


class _Search:
    """Adam on w, where x = low + (high - low) (tanh w + 1) / 2; each search begins at the row itself."""

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

    def __call__(self, step: int, x: Tensor, seen: Slope, out: Tensor, distance: Tensor) -> Tensor:  # noqa: ARG002 - as all
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
        """Less weight where the search fooled, more where it did not (binary search; tenfold until first success)."""
        self._most = self._weight.where(self._found, self._most)
        self._least = self._least.where(self._found, self._weight)
        middle = (self._least + self._most) / 2
        self._weight = middle.where(self._most < _FAR, self._weight * 10)


def carlini_wagner(  # noqa: PLR0913 - each is a setting of the attack
    model: Any,  # noqa: ANN401 - what `as_model` takes
    x: Floats,
    y: Labels,
    *,
    norm: str = "l2",
    eps: float = math.inf,
    steps: int = 200,
    searches: int = 6,
    rate: float = 0.05,
    confidence: float = 0.0,
    targets: Labels | None = None,
    **rest: Unpack[Common],
) -> Found:
    """Look for the smallest L2 change that fools; with a finite eps, for one inside that radius.

    model, x, y, targets, rest: as `evasion.pgd`. confidence: margin to aim at beyond the boundary, in logits.
    `verdicts.distance` tells how near each row's boundary was found; the true one may be nearer.
    """
    params = CarliniWagnerParams(steps, searches, rate, confidence=confidence)
    return attack_ball(run, model, x, y, params, norm=norm, eps=eps, targets=targets, **rest)
