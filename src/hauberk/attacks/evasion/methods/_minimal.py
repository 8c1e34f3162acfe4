"""Shared by attacks for the smallest change: lengths, the step to a plane inside the box, the loop, the outcome."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TYPE_CHECKING, Protocol

import numpy as np

from hauberk.attacks.budget import Ball
from hauberk.attacks.evasion.methods._rounds import Outcome
from hauberk.attacks.evasion.methods._slope import Slope, fell, on, shaped, slope
from hauberk.attacks.verdict import SearchResult
from hauberk.core.progress import Task
from hauberk.core.threats import Norm
from hauberk.models.port import Differentiable, Floats, Labels, passes

if TYPE_CHECKING:
    from torch import Tensor

    from hauberk.attacks.evasion.methods._losses import Loss

ORDER = {Norm.LINF: math.inf, Norm.L2: 2.0, Norm.L1: 1.0}
_NEWTON = 16  # the function is concave and piecewise linear: most rows converge after four or five steps
_CLOSE = 1e-5  # tolerance, as a share of the wanted rise


def lengths(delta: Tensor, norm: Norm) -> Tensor:
    """Return (n,): the norm of each row."""
    import torch

    flat = delta.flatten(1)
    if norm is Norm.LINF:
        return flat.abs().amax(1)  # many times faster than the norm of infinite order
    length: Tensor = torch.linalg.vector_norm(flat, 2, dim=1) if norm is Norm.L2 else flat.abs().sum(1)
    return length


def to_plane(x: Tensor, normal: Tensor, rise: Tensor, ball: Ball) -> Tensor:
    """Return the smallest step, in the ball's norm, that raises normal . x by `rise` and stays in the box.

    x, normal: (n, ...). rise: (n,), of either sign. If the box holds no such point, the step goes as far as the box allows.
    The projections of Croce and Hein 2020, "Minimally distorted adversarial examples with a fast adaptive boundary
    attack", section 3.1. They sort; here Newton's method finds the multiplier, which ends after finitely many steps
    because the function is concave and piecewise linear. L1 is greedy: steepest coordinates first.
    """
    slope = normal.abs().flatten(1)
    sign = normal.sign() * shaped(rise.sign(), normal)
    middle, half = (ball.high + ball.low) / 2, (ball.high - ball.low) / 2
    room = (sign * (middle - x) + half).flatten(1)  # distance to the box in the direction of the sign
    wanted = rise.abs()
    size = _greedy(slope, room, wanted) if ball.norm is Norm.L1 else _newton(slope, room, wanted, ball.norm)
    return sign * size.reshape(x.shape)


def _newton(slope: Tensor, room: Tensor, wanted: Tensor, norm: Norm) -> Tensor:
    """Return step sizes min(t * rate, room) with the t that reaches the wanted rise."""
    import torch

    gain = slope if norm is Norm.LINF else slope * slope
    t = wanted.new_zeros(len(wanted), 1)
    close = _CLOSE * wanted
    for _ in range(_NEWTON):
        asked = t.expand_as(slope) if norm is Norm.LINF else t * slope
        size = torch.minimum(asked, room)
        missing = wanted - torch.linalg.vecdot(slope, size)
        # The gain of coordinates with room left, by a kernel without branches, which is faster than `where`.
        steep = torch.ops.aten.threshold_backward(gain, room - asked, 0).sum(1)
        further = (missing > close) & (steep > 0)
        if not bool(further.any()):
            break
        t = t + (further * missing / steep.clamp_min(1e-30))[:, None]
    else:
        size = torch.minimum(t.expand_as(slope) if norm is Norm.LINF else t * slope, room)
    return size


def _greedy(slope: Tensor, room: Tensor, wanted: Tensor) -> Tensor:
    import torch

    steep, order = slope.sort(dim=1, descending=True)
    wide = room.gather(1, order)
    gained = (steep * wide).cumsum(1)
    size = ((wanted[:, None] - gained) / steep.clamp_min(1e-12) + wide).clamp_min(0)
    size = torch.minimum(size, wide)
    return torch.zeros_like(slope).scatter(1, order, size)


def outcome(  # noqa: PLR0913, PLR0917 - results of one search
    ball: Ball, origin: Tensor, nearest: Tensor, distance: Tensor, queries: Tensor, gradients: Tensor
) -> Outcome:
    """Return the nearest fooling points, projected to the radius if they lie beyond it. distance: infinite for none."""
    import torch

    near = distance <= ball.eps
    kept = torch.where(shaped(near, origin), nearest, ball.project(nearest, origin))
    done = near if math.isfinite(ball.eps) else torch.zeros_like(near)
    return Outcome(kept, -distance, done, queries, gradients)


class Mover(Protocol):
    """The step rule of an attack for the smallest change; created anew for each part of the rows."""

    def __call__(self, step: int, x: Tensor, seen: Slope, out: Tensor, distance: Tensor) -> Tensor:
        """Return the next points. seen: the pass at x. out: (n,) rows fooled at x. distance: (n,) from the origin."""


def shrink(  # noqa: PLR0913, PLR0917 - rows and the step rule
    model: Differentiable,
    rows: tuple[Floats, Labels, Labels | None],
    ball: Ball,
    loss: Loss,
    steps: int,
    begin: Callable[[Tensor, slice], Mover],
    task: Task,
) -> SearchResult:
    """Move each row for `steps` passes and keep its nearest fooling point. begin: (origin, rows) to the step rule.

    Parts of the rows are processed one after the other, from first step to last, so that their state stays in the cache.
    With a finite radius a part ends when each of its rows has a fooling point inside.
    """
    import torch

    found, queries, gradients = rows[0].copy(), np.zeros(len(rows[0]), np.int64), np.zeros(len(rows[0]), np.int64)
    for part in passes(found.shape, model.device):
        origin, y = on(model, rows[0][part]), on(model, rows[1][part])
        targets = None if rows[2] is None else on(model, rows[2][part])
        move, x, nearest = begin(origin, part), origin.clone(), origin.clone()
        best = torch.full((len(x),), torch.inf, device=x.device)
        spent = torch.zeros_like(y)
        for step in range(steps):
            standing = (best > ball.eps) | (ball.eps == math.inf)
            if not bool(standing.any()):
                break
            spent += standing
            seen = slope(model, x, loss, y, targets)
            out, distance = fell(seen.logits, y, targets), lengths(x - origin, ball.norm)
            better = out & (distance < best)
            nearest = torch.where(shaped(better, x), x, nearest)
            best = torch.where(better, distance, best)
            x = move(step, x, seen, out, distance)
            task.update(min(1.0, (part.start + (part.stop - part.start) * step / steps) / len(found)))
        kept = outcome(ball, origin, nearest, best, spent, spent)
        found[part], gradients[part] = kept.x.cpu().numpy(), spent.cpu().numpy()
    return SearchResult(found, queries, gradients)
