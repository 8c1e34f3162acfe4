"""PGD: projected gradient descent on a loss, the standard white-box attack; with momentum, MI-FGSM.

Madry, Makelov, Schmidt, Tsipras, Vladu 2018, "Towards Deep Learning Models Resistant to Adversarial Attacks", with
random restarts; momentum as Dong et al. 2018, "Boosting Adversarial Attacks with Momentum", algorithm 1. For tables
the steps go through number columns alone; categories have no gradient.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar, Unpack

import numpy as np

from hauberk.attacks.attack import ATTACKS, Common, attack_ball
from hauberk.attacks.budget import Ball, Budget
from hauberk.attacks.draws import Draws
from hauberk.attacks.evasion import _losses
from hauberk.attacks.evasion._slope import SPARSE, blocks, fell, look, on, parts, shaped, slope
from hauberk.attacks.model import Differentiable, Floats, Labels
from hauberk.attacks.verdict import Found, Tried
from hauberk.core.errors import InvalidInput
from hauberk.core.progress import Task
from hauberk.core.threats import Norm

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True, slots=True)
class PgdParams:
    """step 0 means 2.5 / steps of the radius: enough to cross the ball and come back (Madry et al.)."""

    access: ClassVar[str] = "gradients"
    norms: ClassVar[tuple[Norm, ...]] = tuple(Norm)

    steps: int = field(default=40, metadata={"help": "gradient steps of each restart"})
    restarts: int = field(default=1, metadata={"help": "random starts; the first success counts"})
    step: float = field(default=0.0, metadata={"help": "step as a fraction of the radius; 0: 2.5 / steps"})
    loss: str = field(default="cross-entropy", metadata={"help": "what is climbed: cross-entropy, margin or dlr"})
    momentum: float = field(default=0.0, metadata={"help": "share of the last direction that is kept; 0: none"})
    start: str = field(default="random", metadata={"help": "where to begin: random, or origin"})

    def __post_init__(self) -> None:
        if self.steps < 1 or self.restarts < 1 or not 0 <= self.step <= 2 or not 0 <= self.momentum <= 1:
            raise InvalidInput(
                "expected steps >= 1, restarts >= 1, step between 0 and 2, momentum between 0 and 1."
            )
        if self.start not in {"random", "origin"}:
            raise InvalidInput(f"`start` is random or origin, found {self.start!r}.")
        _losses.check(self.loss)


@ATTACKS.register(
    "pgd",
    practice="2a",
    threats=("evasion",),
    summary="projected gradient descent (white box)",
    params=PgdParams,
)
def run(  # noqa: PLR0913 - the shape of an attack
    model: Differentiable,
    x: Floats,
    y: Labels,
    budget: Budget,
    params: PgdParams,
    *,
    rng: np.random.Generator,
    task: Task,
    targets: Labels | None = None,
) -> Tried:
    """Climb the loss inside the budget. Cost: steps * restarts gradients of each row that stands."""
    draws = Draws.of(rng, x, y)
    tried = Tried(x.copy(), np.zeros(len(x), np.int64), np.zeros(len(x), np.int64))
    highest = np.full(len(x), -np.inf, np.float32)
    for block in blocks(x):
        rows = np.arange(block.start, block.stop)
        for restart in range(params.restarts):
            if not len(rows):
                break
            uniform = draws.rows(rows).uniform(x.shape[1:], step=restart) if params.start == "random" else None
            climb = _Climb(model, x[rows], y[rows], None if targets is None else targets[rows], budget, params)
            climb.begin(uniform)
            for step in range(params.steps + 1):
                climb.step(step)
                done = (restart + step / params.steps) / params.restarts * len(rows)
                task.update(min(1.0, (block.start + done) / len(x)), text=f"{len(climb.here)} rows stand")
            found, loss = climb.found.cpu().numpy(), climb.highest.cpu().numpy()
            better = loss > highest[rows]
            tried.x[rows[better]], highest[rows[better]] = found[better], loss[better]
            spent = climb.fell_at.cpu().numpy()
            tried.gradients[rows] += np.minimum(spent + 1, params.steps)
            tried.queries[rows] += spent == params.steps
            rows = rows[np.isfinite(loss)]
    return tried


class _Climb:
    """One ascent of a block of rows, which leave when they fall.

    found: the first fooling point of each row, else that of highest loss. highest: that loss, infinite for those that
    fell. fell_at: the step at which a row fell, or the last. here: which rows are in the state still.
    """

    def __init__(  # noqa: PLR0913, PLR0917 - rows and how to move them
        self,
        model: Differentiable,
        x: Floats,
        y: Labels,
        targets: Labels | None,
        budget: Budget,
        params: PgdParams,
    ) -> None:
        import torch

        self._model, self._budget, self._params = model, budget, params
        self._loss = _losses.LOSSES[params.loss]
        self._size = params.step or 2.5 / params.steps
        self._origin, self._y = on(model, x), on(model, y)
        self._targets = None if targets is None else on(model, targets)
        self._velocity = torch.zeros_like(self._origin) if params.momentum else None
        self.here = torch.arange(len(x), device=model.device)
        self.highest = torch.full((len(x),), -torch.inf, device=model.device)
        self.fell_at = torch.full_like(self.here, params.steps)

    def begin(self, uniform: Floats | None) -> None:
        """Start at a random allowed point, or at the rows themselves."""
        origin = self._origin
        self._x = origin.clone() if uniform is None else self._budget.start(origin, on(self._model, uniform))
        self.found = self._budget.project(self._x, origin)

    def step(self, number: int) -> None:
        """Look at the rows that stand, and, but for the last time, move them."""
        down = [self._part(part, number) for part in parts(len(self.here))]
        if not down:
            return
        import torch

        up = ~torch.cat(down)
        if int(up.sum()) < SPARSE * len(up):
            self._keep(up)

    def _part(self, part: slice, number: int) -> Tensor:
        """Do one step of the rows of a part; return (n,) bool, which of them have fallen."""
        import torch

        x, origin, y, here = self._x[part], self._origin[part], self._y[part], self.here[part]
        targets = None if self._targets is None else self._targets[part]
        if number == self._params.steps:
            logits, gradient = look(self._model, x), None
            loss = self._loss(logits, y, targets)
        else:
            logits, loss, gradient = slope(self._model, x, self._loss, y, targets)
        if not isinstance(self._budget, Ball):
            x = self._budget.project(x, origin)  # whole numbers and categories decide; the loop goes on in between
            logits = look(self._model, x)
        down = fell(logits, y, targets)
        loss = torch.where(down, torch.inf, loss)
        better = loss > self.highest[here]
        self.found[here[better]] = x[better]
        self.highest[here[better]] = loss[better]
        self.fell_at[here[better & down]] = number
        if gradient is not None:
            self._move(part, gradient)
        return down

    def _move(self, part: slice, gradient: Tensor) -> None:
        if self._velocity is not None:
            scale = gradient.abs().flatten(1).mean(1).clamp_min(1e-12)
            gradient = self._velocity[part].mul_(self._params.momentum).add_(gradient / shaped(scale, gradient))
        moved = self._x[part] + self._budget.step(gradient, self._size)
        self._x[part] = self._budget.project(moved, self._origin[part], whole=False)

    def _keep(self, up: Tensor) -> None:
        self.here, self._x, self._origin, self._y = self.here[up], self._x[up], self._origin[up], self._y[up]
        self._targets = None if self._targets is None else self._targets[up]
        self._velocity = None if self._velocity is None else self._velocity[up]


def pgd(  # noqa: PLR0913 - each is a setting of the attack
    model: Any,  # noqa: ANN401 - what `as_model` takes
    x: Floats,
    y: Labels,
    *,
    norm: str,
    eps: float,
    steps: int = 40,
    restarts: int = 1,
    step: float = 0.0,
    loss: str = "cross-entropy",
    momentum: float = 0.0,
    targets: Labels | None = None,
    **rest: Unpack[Common],
) -> Found:
    """Attack x by projected gradient descent in a ball of `norm` ("linf", "l2", "l1") and radius `eps`.

    model, x, y, targets: as `attacks.attack.attack`. step: as a share of eps. rest: low and high of the box (0 and 1),
    generator (a numpy Generator or a seed), task. Returns the first fooling point of each row, else that of highest
    loss. Answers how a model withstands an adversary who knows it; not one who defeats masked gradients: hold the
    result against a black-box attack.
    """
    params = PgdParams(steps, restarts, step, loss, momentum)
    return attack_ball(run, model, x, y, params, norm=norm, eps=eps, targets=targets, **rest)
