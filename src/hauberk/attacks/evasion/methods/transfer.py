"""Transfer: attack surrogate models that the adversary owns, and show only the results to the attacked model.

Papernot, McDaniel, Goodfellow 2016, "Transferability in Machine Learning"; with several surrogates, the gradient is that
of their ensemble's loss (Liu, Chen, Liu, Song 2017, "Delving into Transferable Adversarial Examples"). It is not
registered, because it needs other models, which no project file can name.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from hauberk.attacks.budget import Budget
from hauberk.attacks.evasion._functions import function_of
from hauberk.attacks.evasion.methods import _losses
from hauberk.attacks.evasion.methods._slope import on, shaped, slope
from hauberk.attacks.params import Params
from hauberk.attacks.verdict import SearchResult
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
        """Raise InvalidInput for no models, and for models with different classes or on different devices."""
        counts = {model.classes for model in models}
        places = {model.device for model in models}
        if len(counts) != 1 or len(places) != 1:
            raise InvalidInput(
                f"surrogates must have the same classes and device: found {len(models)} models with {sorted(counts)} "
                f"classes on {sorted(places)}."
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
class TransferParams(Params):
    """surrogates: torch modules or differentiable models with the classes of the attacked model, one or more."""

    access: ClassVar[str] = "labels"
    norms: ClassVar[tuple[Norm, ...]] = tuple(Norm)

    surrogates: Sequence[object] = field(metadata={"help": "differentiable models that are attacked instead"})
    steps: int = field(default=40, metadata={"help": "gradient steps"})
    momentum: float = field(default=1.0, metadata={"help": "share of the previous direction that each step keeps"})

    def __post_init__(self) -> None:
        if self.steps < 1 or not 0 <= self.momentum <= 1:
            raise InvalidInput("expected steps >= 1 and momentum between 0 and 1.")


def run(  # noqa: PLR0913 - the shape of an attack
    model: Model,  # noqa: ARG001 - the attacked model is not asked
    x: Floats,
    y: Labels,
    budget: Budget,
    params: TransferParams,
    *,
    rng: np.random.Generator,  # noqa: ARG001 - nothing is drawn
    task: Task,
) -> SearchResult:
    """Attack surrogates and return inputs that fool them; the attacked model is not asked.

    All steps are taken, because an input that barely fools the surrogates transfers worse. Momentum transfers better than
    plain steps (Dong et al. 2018). Answers an adversary who trained a model on similar data and may not ask yours; an
    adversary who may ask does better with hop-skip-jump or square. Cost: steps gradients of each surrogate.
    """
    import torch

    surrogate, found = _ensemble(params.surrogates, x), x.copy()
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
    return SearchResult(found, np.zeros(len(x), np.int64), np.zeros(len(x), np.int64))


def _ensemble(surrogates: Sequence[object], x: Floats) -> Ensemble:
    found = [as_model(one, sample=x[:1]) for one in surrogates]
    usable = [one for one in found if isinstance(one, Differentiable)]
    if len(usable) < len(found):
        raise InvalidInput("a surrogate must be differentiable: pass torch modules, not functions or estimators.")
    return Ensemble(usable)


transfer = function_of("transfer", run, TransferParams, summary="attack surrogate models instead")
