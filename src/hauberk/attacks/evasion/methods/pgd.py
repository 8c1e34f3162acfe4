"""PGD: projected gradient descent on a loss, the standard white-box attack; with momentum, MI-FGSM.

Madry, Makelov, Schmidt, Tsipras, Vladu 2018, "Towards Deep Learning Models Resistant to Adversarial Attacks", with
random restarts; momentum as in Dong et al. 2018, "Boosting Adversarial Attacks with Momentum", algorithm 1. On tables
only number columns move, because categories have no gradient.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from hauberk.attacks.attack import ATTACKS
from hauberk.attacks.budget import Ball, Budget, ColumnBox
from hauberk.attacks.draws import Draws
from hauberk.attacks.evasion.methods import _losses
from hauberk.attacks.evasion.methods._rounds import Gathered, Outcome, Tick, pack, search
from hauberk.attacks.evasion.methods._slope import look, on, parts, put, reached, shaped, slope
from hauberk.attacks.params import Params
from hauberk.attacks.verdict import SearchResult
from hauberk.core.errors import InvalidInput
from hauberk.core.progress import Task
from hauberk.core.threats import Norm
from hauberk.models.port import Differentiable, Floats, Labels

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True, slots=True)
class PgdParams(Params):
    """step 0 means 2.5 / steps of the radius, which is enough to cross the ball and come back (Madry et al.)."""

    access: ClassVar[str] = "gradients"
    regions: ClassVar[tuple[type[Any], ...]] = (Ball, ColumnBox)
    norms: ClassVar[tuple[Norm, ...]] = tuple(Norm)
    targeted: ClassVar[bool] = True
    evaluation: ClassVar[Mapping[str, Mapping[str, Any]]] = {"image": {}}
    trial: ClassVar[Mapping[str, Any]] = {"steps": 10}
    anytime: ClassVar[str] = "restarts"

    steps: int = field(default=40, metadata={"help": "gradient steps of each restart"})
    restarts: int = field(default=1, metadata={"help": "random starts; the first success is kept"})
    step: float = field(default=0.0, metadata={"help": "step as a fraction of the radius; 0: 2.5 / steps"})
    loss: str = field(
        default="cross-entropy", metadata={"help": "loss that is maximised: cross-entropy, margin or dlr"}
    )
    momentum: float = field(
        default=0.0, metadata={"help": "share of the previous direction that each step keeps; 0: none"}
    )
    start: str = field(default="random", metadata={"help": "starting point: random, or origin"})

    def __post_init__(self) -> None:
        if self.steps < 1 or self.restarts < 1 or not 0 <= self.step <= 2 or not 0 <= self.momentum <= 1:
            raise InvalidInput(
                "expected steps >= 1, restarts >= 1, step between 0 and 2, momentum between 0 and 1."
            )
        if self.start not in {"random", "origin"}:
            raise InvalidInput(f"expected `start` to be random or origin, found {self.start!r}.")
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
) -> SearchResult:
    """Maximise a loss by projected gradient steps inside the budget.

    Returns for each row the first point that fools the model, else the point of highest loss. Answers an adversary who
    knows the model. Does not detect masked gradients: compare the result with a black-box attack. Cost:
    steps * restarts gradients for each row that is not fooled.
    """
    draws, ascent = Draws.of(rng, x, y), _Ascent(model, budget, params)

    def go(rows: NDArray[np.intp], number: int, tick: Tick) -> Outcome:
        uniform = draws.rows(rows).uniform(x.shape[1:], step=number) if params.start == "random" else None
        return ascent.climb((x[rows], y[rows], None if targets is None else targets[rows]), uniform, tick)

    return search(x, params.restarts, go, task)


@dataclass(frozen=True, slots=True)
class _State:
    """The rows that are not fooled yet.

    here: their indices among all rows. best, highest: the point of highest loss and that loss, infinite if the point
    fools the model. fell_at: the step at which a row was fooled. No step reads a value back from a GPU, because that
    would wait for all queued work.
    """

    here: Tensor
    x: Tensor
    origin: Tensor
    y: Tensor
    targets: Tensor | None
    velocity: Tensor | None
    best: Tensor
    highest: Tensor
    fell_at: Tensor


@dataclass(frozen=True, slots=True)
class _Ascent:
    """Projected ascents on one model, in one budget."""

    model: Differentiable
    budget: Budget
    params: PgdParams

    def climb(self, rows: tuple[Floats, Labels, Labels | None], uniform: Floats | None, tick: Tick) -> Outcome:
        """Ascend from one start; return for each row the first fooling point, else the point of highest loss.

        rows: inputs, labels and targets. uniform: (n, ...) random numbers of the start, None to start at the rows.
        """
        import torch

        model, steps = self.model, self.params.steps
        origin = on(model, rows[0])
        start = origin.clone() if uniform is None else self.budget.start(origin, on(model, uniform))
        here = torch.arange(len(origin), device=model.device)
        targets = None if rows[2] is None else on(model, rows[2])
        velocity = torch.zeros_like(origin) if self.params.momentum else None
        highest, fell_at = torch.full((len(origin),), -torch.inf, device=model.device), torch.full_like(here, steps)
        state = _State(here, start, origin, on(model, rows[1]), targets, velocity, start.clone(), highest, fell_at)
        gathered = Gathered(start, highest, fell_at)
        for step in range(steps + 1):
            for part in parts(state.x):
                point, loss = self._step(state, part, last=step == steps)
                better = loss > state.highest[part]
                put(state.best[part], better, point)
                put(state.highest[part], better, loss)
                state.fell_at[part] = torch.where(better & loss.isposinf(), step, state.fell_at[part])
            state = pack(state, state.highest < torch.inf, step, gathered)
            tick(step / steps)
            if not len(state.here):
                break
        return gathered.outcome(state, steps)

    def _step(self, state: _State, part: slice, *, last: bool) -> tuple[Tensor, Tensor]:
        """Evaluate some rows and, except in the last step, move them; return points and losses, infinite if fooled.

        Loss, success and gradient come from one pass.
        """
        x, origin, y = state.x[part], state.origin[part], state.y[part]
        targets = None if state.targets is None else state.targets[part]
        loss_of = _losses.LOSSES[self.params.loss]
        if last:
            logits = look(self.model, x)
            loss = loss_of(logits, y, targets)
        else:
            logits, loss, gradient = slope(self.model, x, loss_of, y, targets)
        if isinstance(self.budget, Ball):
            point = x.clone()
        else:
            point = self.budget.project(x, origin)  # success is judged on whole numbers; the ascent keeps fractions
            logits = look(self.model, point)
        score = reached(logits, loss, y, targets)
        if not last:
            velocity = None if state.velocity is None else state.velocity[part]
            x.copy_(self._moved(x, origin, gradient, velocity))
        return point, score

    def _moved(self, x: Tensor, origin: Tensor, gradient: Tensor, velocity: Tensor | None) -> Tensor:
        if velocity is not None:
            scale = gradient.abs().flatten(1).mean(1).clamp_min(1e-12)
            gradient = velocity.mul_(self.params.momentum).add_(gradient / shaped(scale, gradient))
        moved = x + self.budget.step(gradient, self.params.step or 2.5 / self.params.steps)
        return self.budget.project(moved, origin, whole=False)  # type: ignore[no-any-return]  # of either library
