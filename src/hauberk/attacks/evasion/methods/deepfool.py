"""DeepFool: step to the nearest linearised class boundary until the class changes.

Moosavi-Dezfooli, Fawzi, Frossard 2016, "DeepFool: a simple and accurate method to fool deep neural networks", algorithm
2 and section 3.3 for other norms. Difference: from the second step to the tenth, only the four nearest boundaries are
considered, which halves the time. The steps ignore the box and are clipped to it; steps that respect the box need four
times as many passes and find changes that are a seventh smaller.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from hauberk.attacks.attack import ATTACKS
from hauberk.attacks.budget import Ball
from hauberk.attacks.evasion.methods._minimal import lengths, outcome
from hauberk.attacks.evasion.methods._slope import fell, on, rounding, shaped
from hauberk.attacks.params import Params
from hauberk.attacks.verdict import SearchResult
from hauberk.core.errors import InvalidInput
from hauberk.core.progress import Task
from hauberk.core.threats import Norm
from hauberk.models.port import Differentiable, Floats, Labels, passes

if TYPE_CHECKING:
    from torch import Tensor

_BEYOND = 1e-4  # smallest overshoot in logits; the paper's constant
_NEAR = 4  # boundaries that are considered after the first step
_PATIENCE = 10  # from this step on all are considered again: four of them may lead a row in a circle
_DUAL = {Norm.LINF: Norm.L1, Norm.L2: Norm.L2, Norm.L1: Norm.LINF}


@dataclass(frozen=True, slots=True)
class DeepfoolParams(Params):
    """The defaults are the paper's."""

    access: ClassVar[str] = "gradients"
    norms: ClassVar[tuple[Norm, ...]] = tuple(Norm)
    minimal: ClassVar[bool] = True
    trial: ClassVar[Mapping[str, Any]] = {"steps": 10}
    anytime: ClassVar[str] = "steps"
    shares_passes: ClassVar[bool] = True

    steps: int = field(default=50, metadata={"help": "largest number of steps to a boundary"})
    overshoot: float = field(
        default=0.02, metadata={"help": "overshoot beyond the boundary, as a share of the change"}
    )
    classes: int = field(default=9, metadata={"help": "likeliest other classes whose boundaries are considered"})

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
    budget: Ball,
    params: DeepfoolParams,
    *,
    rng: np.random.Generator,  # noqa: ARG001 - nothing is drawn
    task: Task,
) -> SearchResult:
    """Step to the nearest linearised boundary until the class changes; with a finite eps, inside that radius.

    Fast and coarse: `fmn` and `ddn` find smaller changes. Cost: at most steps * (classes + 1) gradients for each row; two
    to four steps are common.
    """
    tried = SearchResult(x.copy(), np.zeros(len(x), np.int64), np.zeros(len(x), np.int64))
    for part in passes(x.shape, model.device):
        found, spent = _walk(model, on(model, x[part]), on(model, y[part]), budget, params)
        tried.x[part], tried.gradients[part] = found.cpu().numpy(), spent.cpu().numpy()
        tried.queries[part] = 1  # the pass that finds it fooled, or the pass of the last step
        task.update(part.stop / len(x))
    return tried


def _walk(
    model: Differentiable, origin: Tensor, y: Tensor, ball: Ball, params: DeepfoolParams
) -> tuple[Tensor, Tensor]:
    import torch

    classes = min(params.classes, model.classes - 1)
    x, here = origin.clone(), torch.arange(len(origin), device=origin.device)
    nearest, total, spent = origin.clone(), torch.zeros_like(origin), torch.zeros_like(y)
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
        if others is None:  # as in the paper: the likeliest classes of the unchanged row
            others = logits.detach().scatter(1, label[:, None], -torch.inf).topk(classes).indices
            near = others
        looked = others if step == 0 or step >= _PATIENCE else near
        spent[here] += looked.shape[1] + 1
        best = _nearest_plane(logits, point, label, looked, ball)
        if step == 0 and classes > _NEAR:  # a boundary that is far away rarely becomes the nearest
            near = others.gather(1, best[2].topk(_NEAR, largest=False).indices)
        stays = ~out
        x, here, others, near, total = x[stays], here[stays], others[stays], near[stays], total[stays]
        rise, normal = best[0][stays], best[1][stays]
        total = total + _to_plane(normal, rise, ball.norm)
        x = (start[stays] + (1 + params.overshoot) * total).clamp(ball.low, ball.high)
    kept = outcome(ball, origin, nearest, distance, spent, spent)
    return kept.x, spent


def _to_plane(normal: Tensor, rise: Tensor, norm: Norm) -> Tensor:
    """Return the smallest step in the norm that raises normal . x by `rise`, ignoring the box."""
    slope = lengths(normal, _DUAL[norm]).clamp_min(1e-12)
    if norm is Norm.LINF:
        return normal.sign() * shaped(rise / slope, normal)
    if norm is Norm.L2:
        return normal * shaped(rise / slope.square(), normal)
    steepest = (normal.abs() >= shaped(slope, normal)).to(normal.dtype)
    count = steepest.flatten(1).sum(1).clamp_min(1)
    return normal.sign() * steepest * shaped(rise / (slope * count), normal)


def _nearest_plane(
    logits: Tensor, x: Tensor, y: Tensor, others: Tensor, ball: Ball
) -> tuple[Tensor, Tensor, Tensor]:
    """Return the rise that the gap to the nearest other class needs, its gradient, and the distance to each class."""
    import torch

    own = logits.gather(1, y[:, None])
    gaps = logits.gather(1, others) - own  # below 0 while the row is right
    shortest = torch.full_like(own[:, 0], torch.inf).detach()
    rise, normal = torch.zeros_like(shortest), torch.zeros_like(x).detach()
    ways: list[Tensor] = []
    for number in range(others.shape[1]):
        (gradient,) = torch.autograd.grad(gaps[:, number].sum(), x, retain_graph=True)
        gradient = gradient.nan_to_num(0.0, 0.0, 0.0)
        lift = -gaps[:, number].detach()
        way = lift / lengths(gradient, _DUAL[ball.norm]).clamp_min(1e-12)
        ways.append(way)
        nearer = way < shortest
        shortest = way.where(nearer, shortest)
        rise = lift.where(nearer, rise)
        normal = torch.where(shaped(nearer, x), gradient, normal)
    beyond = 2 * rounding(logits).clamp_min(_BEYOND / 2)  # a step that ends on the boundary has not crossed it
    return rise + beyond, normal, torch.stack(ways, dim=1)
