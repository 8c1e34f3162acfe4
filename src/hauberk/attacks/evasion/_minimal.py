"""What attacks for the smallest change share: lengths, the way to a plane inside the box, and their outcome."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from hauberk.attacks.budget import Ball, Budget
from hauberk.attacks.evasion._rounds import Outcome
from hauberk.attacks.evasion._slope import shaped
from hauberk.core.errors import InvalidInput
from hauberk.core.threats import Norm

if TYPE_CHECKING:
    from torch import Tensor

ORDER = {Norm.LINF: math.inf, Norm.L2: 2.0, Norm.L1: 1.0}
_NEWTON = 16  # the function is concave and piecewise linear: most rows are there after four or five
_CLOSE = 1e-5  # of the way that is left


def ball_of(budget: Budget, name: str) -> Ball:
    """Return the budget as a ball. Raises InvalidInput for another."""
    if not isinstance(budget, Ball):
        raise InvalidInput(f"{name} needs a ball: for tables use pgd or coordinate-search.")
    return budget


def lengths(delta: Tensor, norm: Norm) -> Tensor:
    """Return (n,): the size of each row in the norm."""
    import torch

    return torch.linalg.vector_norm(delta.flatten(1), ORDER[norm], dim=1)


def to_plane(x: Tensor, normal: Tensor, rise: Tensor, ball: Ball) -> Tensor:
    """Return the smallest step, in the ball's norm, that raises normal . x by `rise` and stays in the box.

    x, normal: (n, ...). rise: (n,), of either sign. Where the box holds no such point, the step goes as far as it can.
    The projections of Croce and Hein 2020, "Minimally distorted adversarial examples with a fast adaptive boundary
    attack", section 3.1; they sort, here the multiplier is found by Newton's method, which ends after finitely many
    steps as the function is concave and piecewise linear. L1 is greedy: the steepest coordinates first.
    """
    import torch

    slope = normal.abs().flatten(1)
    sign = normal.sign() * shaped(rise.sign(), normal)
    room = torch.where(sign > 0, ball.high - x, x - ball.low).flatten(1)
    wanted = rise.abs()
    size = _greedy(slope, room, wanted) if ball.norm is Norm.L1 else _newton(slope, room, wanted, ball.norm)
    return sign * size.reshape(x.shape)


def _newton(slope: Tensor, room: Tensor, wanted: Tensor, norm: Norm) -> Tensor:
    """Each coordinate goes min(t * rate, room); find t."""
    import torch

    rate = torch.ones_like(slope) if norm is Norm.LINF else slope
    gain = slope * rate
    t = wanted.new_zeros(len(wanted), 1)
    size = torch.zeros_like(slope)
    for _ in range(_NEWTON):
        free = size < room
        missing = (wanted - torch.linalg.vecdot(slope, size))[:, None]
        steep = torch.linalg.vecdot(gain, free.to(gain.dtype))[:, None]
        if not bool(((missing > _CLOSE * wanted[:, None]) & (steep > 0)).any()):
            break
        t = torch.where(steep > 0, t + missing.clamp_min(0) / steep, t)
        size = torch.minimum(t * rate, room)
    return size


def _greedy(slope: Tensor, room: Tensor, wanted: Tensor) -> Tensor:
    import torch

    steep, order = slope.sort(dim=1, descending=True)
    wide = room.gather(1, order)
    gained = (steep * wide).cumsum(1)
    size = ((wanted[:, None] - gained) / steep.clamp_min(1e-12) + wide).clamp_min(0)
    size = torch.minimum(size, wide)
    return torch.zeros_like(slope).scatter(1, order, size)


def outcome(  # noqa: PLR0913, PLR0917 - what was found, and where
    ball: Ball, origin: Tensor, nearest: Tensor, distance: Tensor, queries: Tensor, gradients: Tensor
) -> Outcome:
    """Return the nearest finds; those beyond the radius are drawn back to it. distance: infinite for none."""
    import torch

    near = distance <= ball.eps
    kept = torch.where(shaped(near, origin), nearest, ball.project(nearest, origin))
    done = near if math.isfinite(ball.eps) else torch.zeros_like(near)
    return Outcome(kept, -distance, done, queries, gradients)
