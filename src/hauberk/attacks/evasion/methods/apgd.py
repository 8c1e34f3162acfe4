"""APGD: projected gradient descent that adapts its step size; APGD-CE, APGD-DLR and APGD-T.

Croce and Hein 2020, "Reliable evaluation of adversarial robustness with an ensemble of diverse parameter-free attacks",
algorithm 1, with the checkpoints of section 3.2; in L1 as in Croce and Hein 2021, "Mind the box: l1-APGD for sparse
adversarial attacks on image classifiers", without its phases of larger radii. Two differences from the authors' code:
the first window starts at the first loss, and a row leaves the search as soon as it is fooled.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from hauberk.attacks.attack import ATTACKS
from hauberk.attacks.budget import Ball
from hauberk.attacks.draws import Draws
from hauberk.attacks.evasion.methods import _losses
from hauberk.attacks.evasion.methods._rounds import Gathered, Outcome, Tick, pack, search
from hauberk.attacks.evasion.methods._slope import goals_of, look, on, parts, put, reached, shaped, slope
from hauberk.attacks.params import Params
from hauberk.attacks.verdict import SearchResult
from hauberk.core.errors import InvalidInput
from hauberk.core.progress import Task
from hauberk.core.threats import Norm
from hauberk.models.port import Differentiable, Floats, Labels

if TYPE_CHECKING:
    from torch import Tensor

_RISES = 0.75  # the step is halved if a smaller share of a window's steps raised the loss (rho)
_MOMENTUM = 0.75  # share of the new step; the rest is the previous step (alpha)
_SPARSER = 1.5  # L1: factor by which the share of moved pixels and the step shrink at a checkpoint
_SMALLEST = 0.1  # L1: the smallest step, as a share of the first


@dataclass(frozen=True, slots=True)
class ApgdParams(Params):
    """`classes` 0 is the untargeted attack; above 0, that many of the likeliest other classes are targeted in turn."""

    access: ClassVar[str] = "gradients"
    norms: ClassVar[tuple[Norm, ...]] = tuple(Norm)
    targeted: ClassVar[bool] = True
    campaign: ClassVar[tuple[str, ...]] = ("image",)
    trial: ClassVar[Mapping[str, Any]] = {"steps": 12}
    anytime: ClassVar[str] = "restarts"

    steps: int = field(default=100, metadata={"help": "gradient steps of each restart and target"})
    restarts: int = field(default=1, metadata={"help": "random starts; the first success is kept"})
    loss: str = field(
        default="cross-entropy", metadata={"help": "loss that is maximised: cross-entropy, dlr or margin"}
    )
    classes: int = field(default=0, metadata={"help": "likeliest other classes that are targeted in turn; 0: none"})

    def __post_init__(self) -> None:
        if self.steps < 1 or self.restarts < 1 or self.classes < 0:
            raise InvalidInput("expected steps >= 1, restarts >= 1 and classes >= 0.")
        _losses.check(self.loss)


@ATTACKS.register(
    "apgd",
    practice="2a",
    threats=("evasion",),
    summary="projected gradient descent that chooses its step (white box)",
    params=ApgdParams,
    kinds=("image",),
)
def run(  # noqa: PLR0913 - the shape of an attack
    model: Differentiable,
    x: Floats,
    y: Labels,
    budget: Ball,
    params: ApgdParams,
    *,
    rng: np.random.Generator,
    task: Task,
    targets: Labels | None = None,
) -> SearchResult:
    """Maximise a loss inside the ball by gradient steps whose size adapts to progress.

    Loss "cross-entropy" is APGD-CE, "dlr" is APGD-DLR, and "dlr" with classes=9 is APGD-T. Answers an adversary with the
    model's gradients, without a step size to tune. Does not detect masked gradients. Cost:
    steps * restarts * max(1, classes) gradients for each row that is not fooled.
    """
    if not np.isfinite(budget.eps):
        raise InvalidInput("apgd needs a ball of finite radius: use fmn for the smallest change.")
    draws = Draws.of(rng, x, y)
    goals = goals_of(model, x, y, targets, params.classes)
    each = max(1, len(goals))

    def go(rows: NDArray[np.intp], number: int, tick: Tick) -> Outcome:
        goal = goals[number % each][rows] if goals else None
        start = _start(draws.rows(rows), x.shape[1:], budget, number)
        return _climb(
            model, _begin(model, (x[rows], y[rows], goal), start, budget, params.steps), budget, params, tick
        )

    return search(x, params.restarts * each, go, task)


def _start(draws: Draws, shape: tuple[int, ...], ball: Ball, number: int) -> Floats:
    """Return random changes of length eps: scaled points of a cube (L-inf), or uniform directions (L2, L1)."""
    if ball.norm is Norm.LINF:
        delta = 2 * draws.uniform(shape, step=number) - 1
        reach = np.abs(delta).reshape(len(delta), -1).max(axis=1)
    else:
        delta = draws.normal(shape, step=number)
        order = 2 if ball.norm is Norm.L2 else 1
        reach = np.linalg.norm(delta.reshape(len(delta), -1), ord=order, axis=1)
    scaled: Floats = delta * np.float32(ball.eps) / np.maximum(reach, 1e-12).reshape(-1, *(1,) * len(shape))
    return scaled.astype(np.float32)


@dataclass(frozen=True, slots=True)
class _State:
    """The rows that are not fooled yet, each with its own step size.

    rises: number of steps in this window that raised the loss. best, highest, fell_at: as in `_rounds.Climbing`.
    """

    here: Tensor
    origin: Tensor
    y: Tensor
    targets: Tensor | None
    x: Tensor
    before: Tensor
    gradient: Tensor
    loss: Tensor
    best: Tensor
    best_gradient: Tensor
    highest: Tensor
    size: Tensor
    rises: Tensor
    checked_loss: Tensor
    halved: Tensor
    moved_share: Tensor
    moved_before: Tensor
    fell_at: Tensor


def _begin(
    model: Differentiable, rows: tuple[Floats, Labels, Labels | None], start: Floats, ball: Ball, steps: int
) -> _State:
    import torch

    origin, y = on(model, rows[0]), on(model, rows[1])
    x = ball.project(origin + on(model, start), origin)
    n, features = len(x), x[0].numel() if len(x) else 1
    floats = {"device": x.device, "dtype": x.dtype}
    first = 1.0 if ball.norm is Norm.L1 else 2.0
    return _State(
        here=torch.arange(n, device=x.device),
        origin=origin,
        y=y,
        targets=None if rows[2] is None else on(model, rows[2]),
        x=x,
        before=x.clone(),
        gradient=torch.zeros_like(x),
        loss=torch.zeros(n, **floats),
        best=x.clone(),
        best_gradient=torch.zeros_like(x),
        highest=torch.full((n,), -torch.inf, **floats),
        size=torch.full((n,), first * ball.eps, **floats),
        rises=torch.zeros(n, **floats),
        checked_loss=torch.full((n,), -torch.inf, **floats),
        halved=torch.ones(n, device=x.device, dtype=torch.bool),
        moved_share=torch.full((n,), 0.2, **floats),
        moved_before=torch.full((n,), float(features), **floats),
        fell_at=torch.full((n,), steps, device=x.device),
    )


def _climb(model: Differentiable, state: _State, ball: Ball, params: ApgdParams, tick: Tick) -> Outcome:
    """Ascend from one start; return for each row the first fooling point, else the point of highest loss."""
    import torch

    gathered = Gathered(state.best, state.highest, state.fell_at)
    checkpoint, window, shorter, shortest = _windows(params.steps, ball.norm)
    for step in range(params.steps + 1):
        for part in parts(state.x):
            if step:
                _move(state, part, ball, first=step == 1)
            _look(model, state, part, params, step)
        if step == checkpoint and step < params.steps:
            _check_l1(state, ball) if ball.norm is Norm.L1 else _check(state, window)
            window = max(window - shorter, shortest)
            checkpoint += window
        state = pack(state, state.highest < torch.inf, step, gathered)
        tick(step / params.steps)
        if not len(state.here):
            break
    return gathered.outcome(state, params.steps)


def _windows(steps: int, norm: Norm) -> tuple[int, int, int, int]:
    """Return the first checkpoint, its window, the decrease from window to window, and the shortest (section 3.2)."""
    if norm is Norm.L1:
        window = max(int(0.04 * steps), 1)
        return window, window, 0, window
    window = max(int(0.22 * steps), 1)
    return window, window, max(int(0.03 * steps), 1), max(int(0.06 * steps), 1)


def _look(model: Differentiable, state: _State, part: slice, params: ApgdParams, step: int) -> None:
    """Evaluate loss, success and gradient in one pass and keep the best point; a fooling point stays the best."""
    import torch

    x, y = state.x[part], state.y[part]
    targets = None if state.targets is None else state.targets[part]
    loss_of = _losses.LOSSES[params.loss]
    if step == params.steps:
        logits = look(model, x)
        loss = loss_of(logits, y, targets)
    else:
        logits, loss, state.gradient[part] = slope(model, x, loss_of, y, targets)
    if step:
        state.rises[part] += loss > state.loss[part]
    else:
        state.checked_loss[part] = loss
    state.loss[part] = loss
    score = reached(logits, loss, y, targets)
    better = score > state.highest[part]
    put(state.best[part], better, x)
    put(state.best_gradient[part], better, state.gradient[part])
    put(state.highest[part], better, score)
    state.fell_at[part] = torch.where(better & score.isposinf(), step, state.fell_at[part])


def _move(state: _State, part: slice, ball: Ball, *, first: bool) -> None:
    """Step along the gradient, then along the previous step (equation 3)."""
    x, origin = state.x[part], state.origin[part]
    along = _direction(state.gradient[part], state.moved_share[part], ball.norm)
    moved = ball.project(x + shaped(state.size[part], x) * along, origin)
    if ball.norm is not Norm.L1 and not first:
        moved = ball.project(x + _MOMENTUM * (moved - x) + (1 - _MOMENTUM) * (x - state.before[part]), origin)
    state.before[part] = x
    state.x[part] = moved


def _direction(gradient: Tensor, share: Tensor, norm: Norm) -> Tensor:
    """Return the steepest step of length 1; in L1, along the signs of the largest `share` of coordinates."""
    if norm is Norm.LINF:
        return gradient.sign()
    flat = gradient.flatten(1)
    if norm is Norm.L2:
        return gradient / shaped(flat.norm(dim=1) + 1e-12, gradient)
    size = flat.abs()
    rank = ((1 - share) * size.shape[1]).clamp(0, size.shape[1] - 1).long()
    least = size.sort(1).values.gather(1, rank[:, None])
    signs = (flat.sign() * (size >= least)).reshape(gradient.shape)
    return signs / shaped(signs.abs().flatten(1).sum(1) + 1e-10, signs)


def _check(state: _State, window: int) -> None:
    """Halve the step and return to the best point if the loss rose too rarely or not at all (conditions 1 and 2)."""
    rare = state.rises <= _RISES * window
    still = ~state.halved & (state.checked_loss >= state.highest)
    halve = rare | still
    state.halved.copy_(halve)
    state.checked_loss.copy_(state.highest)
    state.rises.zero_()
    state.size[halve] /= 2
    _return(state, halve)


def _check_l1(state: _State, ball: Ball) -> None:
    """Move fewer pixels if the best change became sparser, else shorten the step (Mind the box, algorithm 1)."""
    moved = (state.best != state.origin).flatten(1).sum(1).to(state.size.dtype)
    sparser = moved / state.moved_before < 0.95
    state.moved_share.copy_(moved / state.x[0].numel() / _SPARSER)
    state.size[sparser] = ball.eps
    state.size[~sparser] /= _SPARSER
    state.size.clamp_(_SMALLEST * ball.eps, ball.eps)
    state.moved_before.copy_(moved)
    _return(state, sparser)


def _return(state: _State, rows: Tensor) -> None:
    state.x[rows], state.gradient[rows] = state.best[rows], state.best_gradient[rows]
