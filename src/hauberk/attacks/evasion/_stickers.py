"""Stickers: put one on a picture as a camera may see it, and shape it by gradient. On torch tensors."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from hauberk.attacks.draws import Draws
from hauberk.attacks.evasion import _losses
from hauberk.attacks.evasion._patch_params import PatchParams
from hauberk.attacks.evasion._slope import on
from hauberk.attacks.shapes import Patch
from hauberk.core.progress import Task
from hauberk.models.port import Differentiable, Floats, Labels

_TURN, _SHIFT, _SIZE, _LIGHT = 12.0, 0.04, 0.1, 0.15  # degrees, share of the side, share, of the range
_CHECK = 10  # steps between looks at the sticker as it is
_FIXED = 4  # views that it is looked at from, the same ones each time


class View(NamedTuple):
    """How stickers are seen, each (n,): degrees, shares of the picture's side down and right, size, added light."""

    turn: Tensor
    down: Tensor
    right: Tensor
    size: Tensor
    light: Tensor


@dataclass(frozen=True, slots=True)
class Made:
    """x: pictures with their stickers as they are. gradients, queries: asked of each row."""

    x: Floats
    gradients: int
    queries: int


def view(uniform: Tensor, jitter: float) -> View:
    """Return views from (n, 5) numbers in [0, 1); jitter 0: the sticker as it is."""
    way = (2 * uniform - 1) * jitter
    return View(
        way[:, 0] * _TURN, way[:, 1] * _SHIFT, way[:, 2] * _SHIFT, 1 + way[:, 3] * _SIZE, way[:, 4] * _LIGHT
    )


def paste(x: Tensor, sticker: Tensor, corner: Tensor, seen: View | None, shape: Patch) -> Tensor:
    """Return pictures with stickers on them. sticker: (n, channels, tall, wide); corner: (n, 2) of its place.

    seen None puts every pixel of the sticker where it belongs; a view is sampled bilinearly.
    """
    canvas, mask = _laid(x, sticker, corner)
    if seen is not None:
        grid = _grid(x, sticker, corner, seen)
        canvas = functional.grid_sample(canvas, grid, mode="bilinear", padding_mode="zeros", align_corners=True)
        mask = functional.grid_sample(mask, grid, mode="bilinear", padding_mode="zeros", align_corners=True)
        canvas = canvas + mask * seen.light[:, None, None, None]
    return (x * (1 - mask) + canvas).clamp(shape.low, shape.high)


def _laid(x: Tensor, sticker: Tensor, corner: Tensor) -> tuple[Tensor, Tensor]:
    """Return stickers on an empty picture, and 1 where they lie."""
    tall, wide = sticker.shape[2:]
    down = torch.arange(x.shape[2], device=x.device)[None] - corner[:, :1]
    right = torch.arange(x.shape[3], device=x.device)[None] - corner[:, 1:]
    inside = ((down >= 0) & (down < tall))[:, None, :, None] & ((right >= 0) & (right < wide))[:, None, None, :]
    rows = torch.arange(len(x), device=x.device)[:, None, None, None]
    channels = torch.arange(x.shape[1], device=x.device)[None, :, None, None]
    picked = sticker[
        rows, channels, down.clamp(0, tall - 1)[:, None, :, None], right.clamp(0, wide - 1)[:, None, None, :]
    ]
    mask = inside.to(x.dtype)
    return picked * mask, mask


def _grid(x: Tensor, sticker: Tensor, corner: Tensor, seen: View) -> Tensor:
    """Return where each pixel of the view was on the canvas, about the sticker's middle; in grid_sample's units."""
    height, width = x.shape[2:]
    middle = corner + torch.tensor([(side - 1) / 2 for side in sticker.shape[2:]], device=x.device)
    angle = seen.turn * torch.pi / 180
    down = torch.arange(height, device=x.device)[None, :, None] - (middle[:, 0] + seen.down * height)[:, None, None]
    right = torch.arange(width, device=x.device)[None, None, :] - (middle[:, 1] + seen.right * width)[:, None, None]
    cos, sin = (f(angle)[:, None, None] / seen.size[:, None, None] for f in (torch.cos, torch.sin))
    there = (
        middle[:, 0, None, None] + cos * down - sin * right,
        middle[:, 1, None, None] + sin * down + cos * right,
    )
    scaled = [2 * place / max(1, side - 1) - 1 for place, side in zip(there, (height, width), strict=True)]
    return torch.stack([scaled[1], scaled[0]], dim=-1)


def make(  # noqa: PLR0913, PLR0917 - pictures, and how a sticker for them is made
    model: Differentiable,
    x: Floats,
    y: Labels,
    targets: Labels | None,
    corners: Any,  # noqa: ANN401 - (n, 2)
    shape: Patch,
    params: PatchParams,
    draws: Draws,
    task: Task,
) -> Made:
    """Return each picture with the sticker that fools it in most views, or one sticker for all."""
    picture, label = on(model, x), on(model, y)
    goal = None if targets is None else on(model, targets)
    corner = on(model, np.asarray(corners, np.int64))
    tall, wide = shape.size(*x.shape[2:])
    own = draws.rows(slice(0, 1)) if params.universal else draws
    sticker = on(model, own.uniform((x.shape[1], tall, wide))) * (shape.high - shape.low) + shape.low
    velocity = torch.zeros_like(sticker)
    looks = len({*range(0, params.steps, _CHECK), params.steps}) * (1 + (_FIXED if params.jitter else 0))
    best, highest = sticker.clone(), torch.full((len(sticker),), -torch.inf, device=sticker.device)
    for step in range(params.steps + 1):
        if step % _CHECK == 0 or step == params.steps:
            worth = _worth(model, picture, label, goal, sticker, corner, shape, params, draws)
            better = worth > highest
            best[better], highest[better] = sticker[better], worth[better]
            task.update(step / params.steps, text=f"margin {float(highest.mean()):.2f}")
        if step == params.steps:
            break
        gradient = _climb(model, picture, label, goal, sticker, corner, shape, params, draws, 10 + step)
        scale = gradient.abs().flatten(1).mean(1).clamp_min(1e-12)[:, None, None, None]
        velocity = 0.8 * velocity + gradient / scale
        size = (shape.high - shape.low) * 0.1 * (1 - 0.9 * step / params.steps)
        sticker = (sticker + size * velocity.sign()).clamp(shape.low, shape.high)
    whole = best.expand(len(picture), -1, -1, -1)
    return Made(paste(picture, whole, corner, None, shape).cpu().numpy(), params.steps * params.views, looks)


def _climb(  # noqa: PLR0913, PLR0917 - as make
    model: Differentiable, x: Tensor, y: Tensor, goal: Tensor | None, sticker: Tensor, corner: Tensor,
    shape: Patch, params: PatchParams, draws: Draws, step: int,
) -> Tensor:  # fmt: skip
    """Return the gradient of the mean margin over random views, by the sticker."""
    leaf = sticker.detach().requires_grad_()
    total = torch.zeros_like(sticker)
    uniform = on(model, draws.uniform((params.views, 5), step=step))
    for number in range(params.views):
        seen = view(uniform[:, number], params.jitter) if params.jitter else None
        with torch.enable_grad():
            shown = paste(x, leaf.expand(len(x), -1, -1, -1), corner, seen, shape)
            # Rows that are fooled by far in a view have nothing to add: others get their share of a universal sticker.
            loss = _losses.margin(model.logits(shown), y, goal).clamp_max(2.0).sum()
            (gradient,) = torch.autograd.grad(loss, leaf)
        total += gradient.nan_to_num(0.0, 0.0, 0.0)
    return total


def _worth(  # noqa: PLR0913, PLR0917 - as make
    model: Differentiable, x: Tensor, y: Tensor, goal: Tensor | None, sticker: Tensor, corner: Tensor,
    shape: Patch, params: PatchParams, draws: Draws,
) -> Tensor:  # fmt: skip
    """Return how good each sticker is, (n,) or (1,): fooling as it is counts most, then the share of fixed views."""
    whole = sticker.expand(len(x), -1, -1, -1)
    uniform = on(model, draws.uniform((_FIXED, 5), step=2))
    with torch.no_grad():
        views = [None, *((view(uniform[:, n], params.jitter) for n in range(_FIXED)) if params.jitter else ())]
        margin = [_losses.margin(model.logits(paste(x, whole, corner, seen, shape)), y, goal) for seen in views]
    fooled = torch.stack([(m > 0).to(x.dtype) for m in margin])
    worth = 4 * fooled[0] + fooled.mean(0) + 0.01 * torch.stack(margin).clamp(-10, 10).mean(0)
    return worth.mean(0, keepdim=True) if params.universal else worth
