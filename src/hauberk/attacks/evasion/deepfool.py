"""DeepFool: step to the nearest of the planes that stand for the class boundaries, until the class changes.

Moosavi-Dezfooli, Fawzi, Frossard 2016, "DeepFool: a simple and accurate method to fool deep neural networks", algorithm
2 and section 3.3 for other norms. Difference: the steps know the box, so that none is lost where it cuts.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar, Unpack

import numpy as np

from hauberk.attacks.attack import ATTACKS, Common, attack_ball
from hauberk.attacks.budget import Ball, Budget
from hauberk.attacks.evasion._minimal import ball_of, lengths, outcome, to_plane
from hauberk.attacks.evasion._slope import fell, on, shaped
from hauberk.attacks.model import Differentiable, Floats, Labels, passes
from hauberk.attacks.verdict import Found, Tried
from hauberk.core.errors import InvalidInput
from hauberk.core.progress import Task
from hauberk.core.threats import Norm

if TYPE_CHECKING:
    from torch import Tensor

_DUAL = {Norm.LINF: Norm.L1, Norm.L2: Norm.L2, Norm.L1: Norm.LINF}


@dataclass(frozen=True, slots=True)
class DeepfoolParams:
    """The defaults are the paper's."""

    access: ClassVar[str] = "gradients"
    norms: ClassVar[tuple[Norm, ...]] = tuple(Norm)

    steps: int = field(default=50, metadata={"help": "steps to a plane, at most"})
    overshoot: float = field(
        default=0.02, metadata={"help": "how far beyond the boundary, as a share of the change"}
    )
    classes: int = field(default=9, metadata={"help": "likeliest other classes whose boundaries are looked at"})

    def __post_init__(self) -> None:
        if self.steps < 1 or self.classes < 1 or not self.overshoot >= 0:
            raise InvalidInput("expected steps and classes of 1 or more, and overshoot of 0 or more.")


@ATTACKS.register(
    "deepfool",
    practice="2a",
    threats=("evasion",),
    summary="small change by steps to the nearest boundary (white box, fast)",
    params=DeepfoolParams,
    kinds=("image",),
)
def run(  # noqa: PLR0913 - the shape of an attack
    model: Differentiable,
    x: Floats,
    y: Labels,
    budget: Budget,
    params: DeepfoolParams,
    *,
    rng: np.random.Generator,  # noqa: ARG001 - nothing is drawn
    task: Task,
) -> Tried:
    """Step until fooled. Cost: at most steps * (classes + 1) gradients of each row; two to four steps are common."""
    ball = ball_of(budget, "deepfool")
    tried = Tried(x.copy(), np.zeros(len(x), np.int64), np.zeros(len(x), np.int64))
    for part in passes(x.shape, model.device):
        found, spent = _walk(model, on(model, x[part]), on(model, y[part]), ball, params)
        tried.x[part], tried.gradients[part] = found.cpu().numpy(), spent.cpu().numpy()
        tried.queries[part] = 1  # the look that finds it fooled, or at its last step
        task.update(part.stop / len(x))
    return tried


def _walk(
    model: Differentiable, origin: Tensor, y: Tensor, ball: Ball, params: DeepfoolParams
) -> tuple[Tensor, Tensor]:
    import torch

    classes = min(params.classes, model.classes - 1)
    x, here = origin.clone(), torch.arange(len(origin), device=origin.device)
    nearest, spent = origin.clone(), torch.zeros_like(y)
    distance = torch.full((len(origin),), torch.inf, device=origin.device)
    others: Tensor | None = None
    for step in range(params.steps + 1):
        start, label = origin[here], y[here]
        with torch.enable_grad():
            point = x.requires_grad_()
            logits = model.logits(point)
        out = fell(logits.detach(), label)
        x = point.detach()
        gone = here[out]
        nearest[gone], distance[gone] = x[out], lengths(x[out] - start[out], ball.norm)
        if step == params.steps or bool(out.all()):
            break
        if others is None:  # the paper's choice: the likeliest classes of the row as it is
            others = logits.detach().scatter(1, label[:, None], -torch.inf).topk(classes).indices
        spent[here] += classes + 1
        best = _nearest_plane(logits, point, label, others, ball)
        stays = ~out
        x, here, others = x[stays], here[stays], others[stays]
        rise, normal = best[0][stays], best[1][stays]
        step_taken = to_plane(x, normal, rise, ball)
        x = (x + (1 + params.overshoot) * step_taken).clamp(ball.low, ball.high)
    kept = outcome(ball, origin, nearest, distance, spent, spent)
    return kept.x, spent


def _nearest_plane(logits: Tensor, x: Tensor, y: Tensor, others: Tensor, ball: Ball) -> tuple[Tensor, Tensor]:
    """Return how much the gap to the nearest other class has to rise, and its gradient."""
    import torch

    own = logits.gather(1, y[:, None])
    gaps = logits.gather(1, others) - own  # below 0 while the row is right
    shortest = torch.full_like(own[:, 0], torch.inf).detach()
    rise, normal = torch.zeros_like(shortest), torch.zeros_like(x).detach()
    for number in range(others.shape[1]):
        (gradient,) = torch.autograd.grad(gaps[:, number].sum(), x, retain_graph=True)
        gradient = gradient.nan_to_num(0.0, 0.0, 0.0)
        lift = -gaps[:, number].detach()
        way = lift / lengths(gradient, _DUAL[ball.norm]).clamp_min(1e-12)
        nearer = way < shortest
        shortest = way.where(nearer, shortest)
        rise = lift.where(nearer, rise)
        normal = torch.where(shaped(nearer, x), gradient, normal)
    return rise + 1e-4, normal  # the paper's constant: a step that ends on the boundary has not crossed it


def deepfool(  # noqa: PLR0913 - each is a setting of the attack
    model: Any,  # noqa: ANN401 - what `as_model` takes
    x: Floats,
    y: Labels,
    *,
    norm: str,
    eps: float = math.inf,
    steps: int = 50,
    overshoot: float = 0.02,
    classes: int = 9,
    **rest: Unpack[Common],
) -> Found:
    """Look for a small change in `norm` that fools; with a finite eps, for one inside that radius.

    model, x, y, rest: as `evasion.pgd`. Fast and coarse: `fmn` and `ddn` find smaller changes.
    """
    params = DeepfoolParams(steps, overshoot, classes)
    return attack_ball(run, model, x, y, params, norm=norm, eps=eps, **rest)
