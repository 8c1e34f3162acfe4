"""Transfer: attack models that the adversary has, and show the model that is wanted only what came of it.

Papernot, McDaniel, Goodfellow 2016, "Transferability in Machine Learning"; from several surrogates at once, a row's
gradient is that of their mean loss (Liu, Chen, Liu, Song 2017, "Delving into Transferable Adversarial Examples").
It needs another model, so it is a function and stands in no registry.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Unpack

import numpy as np

from hauberk.attacks.attack import Common, attack_ball
from hauberk.attacks.budget import Budget
from hauberk.attacks.evasion import _losses
from hauberk.attacks.evasion._slope import on, shaped, slope
from hauberk.attacks.verdict import Found, Tried
from hauberk.core.errors import InvalidInput
from hauberk.core.progress import Task
from hauberk.core.threats import Norm
from hauberk.models.adapting import as_model
from hauberk.models.port import Differentiable, Floats, Labels, Model

if TYPE_CHECKING:
    from torch import Tensor

_ROWS = 256  # rows of one ascent


class Ensemble:
    """Several differentiable models as one: the logarithm of their mean probability."""

    def __init__(self, models: Sequence[Differentiable]) -> None:
        """Raises InvalidInput for none, or for models of different numbers of classes or on different devices."""
        counts = {model.classes for model in models}
        places = {model.device for model in models}
        if len(counts) != 1 or len(places) != 1:
            raise InvalidInput(
                f"surrogates have to agree: found {len(models)} models with {sorted(counts)} classes on {sorted(places)}."
            )
        self._models, self.classes, self.device = list(models), models[0].classes, models[0].device

    def logits(self, x: Tensor) -> Tensor:
        """Return log-probabilities, differentiable by x."""
        import torch

        shares = torch.stack([model.logits(x).log_softmax(1) for model in self._models])
        return torch.logsumexp(shares, 0) - float(np.log(len(self._models)))

    def scores(self, x: Floats) -> Floats:
        """Return log-probabilities."""
        logs = []
        for model in self._models:
            scores = model.scores(x).astype(np.float64)
            scores -= scores.max(axis=1, keepdims=True)
            logs.append(scores - np.log(np.exp(scores).sum(axis=1, keepdims=True)))
        return np.asarray(np.logaddexp.reduce(logs, axis=0) - np.log(len(logs)), dtype=np.float32)


@dataclass(frozen=True, slots=True)
class TransferParams:
    """surrogate: what is attacked in the model's place."""

    access: ClassVar[str] = "labels"
    norms: ClassVar[tuple[Norm, ...]] = tuple(Norm)

    surrogate: Differentiable
    steps: int = 40
    momentum: float = 1.0

    def __post_init__(self) -> None:
        if self.steps < 1 or not 0 <= self.momentum <= 1:
            raise InvalidInput("expected steps >= 1 and momentum between 0 and 1.")


def run(  # noqa: PLR0913 - the shape of an attack
    model: Model,  # noqa: ARG001 - it is not asked
    x: Floats,
    y: Labels,
    budget: Budget,
    params: TransferParams,
    *,
    rng: np.random.Generator,
    task: Task,
) -> Tried:
    """Climb the surrogate's loss to the end of the steps: to stop where it is fooled would be too little to carry over."""
    import torch

    rng.integers(1 << 32)  # nothing is drawn; the generator moves on as for every attack
    surrogate, found = params.surrogate, x.copy()
    for first in range(0, len(x), _ROWS):
        rows = slice(first, first + _ROWS)
        origin, label = on(surrogate, x[rows]), on(surrogate, y[rows])
        here, velocity = origin.clone(), torch.zeros_like(origin)
        for _ in range(params.steps):
            gradient = slope(surrogate, here, _losses.cross_entropy, label).gradient
            scale = gradient.abs().flatten(1).mean(1).clamp_min(1e-12)
            velocity = params.momentum * velocity + gradient / shaped(scale, gradient)
            here = budget.project(here + budget.step(velocity, 2.5 / params.steps), origin)
        found[rows] = here.cpu().numpy()
        task.update(min(1.0, (first + _ROWS) / len(x)))
    return Tried(found, np.zeros(len(x), np.int64), np.zeros(len(x), np.int64))


def transfer(  # noqa: PLR0913 - each is a setting of the attack
    model: Any,  # noqa: ANN401 - what `as_model` takes
    x: Floats,
    y: Labels,
    *,
    surrogates: Sequence[Any],
    norm: str,
    eps: float,
    steps: int = 40,
    momentum: float = 1.0,
    **rest: Unpack[Common],
) -> Found:
    """Attack `model` with what fools its surrogates, asking it nothing.

    surrogates: torch modules or differentiable models of the same classes, one or more. momentum: of the steps, which
    carries over better than plain steps do (Dong et al. 2018). Answers an adversary who has trained a model of their
    own on data alike and may not ask yours; one who may ask does better with hop-skip-jump or square.
    """
    found = [as_model(one, sample=x[:1]) for one in surrogates]
    for one in found:
        if not isinstance(one, Differentiable):
            raise InvalidInput(
                "a surrogate has to be differentiable: pass torch modules, not functions or estimators."
            )
    surrogate = Ensemble([one for one in found if isinstance(one, Differentiable)])
    return attack_ball(run, model, x, y, TransferParams(surrogate, steps, momentum), norm=norm, eps=eps, **rest)
