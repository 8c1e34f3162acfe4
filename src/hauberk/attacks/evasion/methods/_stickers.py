"""Stickers: paste one on a picture as a camera may see it, and optimise it by gradient. On torch tensors."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional

from hauberk.attacks.draws import Draws
from hauberk.attacks.evasion.methods import _losses
from hauberk.attacks.evasion.methods._patch_params import PatchParams
from hauberk.attacks.evasion.methods._slope import on
from hauberk.attacks.shapes import Patch
from hauberk.core.progress import Task
from hauberk.models.port import Differentiable, Floats

_TURN, _SHIFT, _SIZE, _LIGHT = (
    12.0,
    0.04,
    0.1,
    0.15,
)  # degrees, share of the side, share of the size, added brightness
_CHECK = 10  # steps between two evaluations of the sticker
_FIXED = 4  # views of an evaluation, the same ones each time


class View(NamedTuple):
    """Transformations of stickers, each (n,): degrees, shift down and right in shares of the side, size, added light."""

    turn: Tensor
    down: Tensor
    right: Tensor
    size: Tensor
    light: Tensor


@dataclass(frozen=True, slots=True)
class Scene:
    """Pictures that get stickers, on the model's device.

    x: (n, channels, height, width). y: (n,) labels. targets: (n,) classes or None. corner: (n, 2) int64, the top left
    corner of each sticker.
    """

    model: Differentiable
    x: Tensor
    y: Tensor
    targets: Tensor | None
    corner: Tensor
    shape: Patch
    params: PatchParams
    draws: Draws

    def margin(self, sticker: Tensor, seen: View | None) -> Tensor:
        """Return (n,) margins of the pictures with `sticker`, (n, ...) or (1, ...), under one view."""
        shown = paste(self.x, sticker.expand(len(self.x), -1, -1, -1), self.corner, seen, self.shape)
        return _losses.margin(self.model.logits(shown), self.y, self.targets)


@dataclass(frozen=True, slots=True)
class Made:
    """x: pictures with untransformed stickers. gradients, queries: number of requests for each row."""

    x: Floats
    gradients: int
    queries: int


def view(uniform: Tensor, jitter: float) -> View:
    """Return views from (n, 5) numbers in [0, 1); jitter 0 transforms nothing."""
    way = (2 * uniform - 1) * jitter
    return View(
        way[:, 0] * _TURN, way[:, 1] * _SHIFT, way[:, 2] * _SHIFT, 1 + way[:, 3] * _SIZE, way[:, 4] * _LIGHT
    )


def paste(x: Tensor, sticker: Tensor, corner: Tensor, seen: View | None, shape: Patch) -> Tensor:
    """Return pictures with stickers. sticker: (n, channels, height, width); corner: (n, 2), its top left corner.

    With `seen` None the sticker's pixels are copied; a view is sampled bilinearly.
    """
    canvas, mask = _laid(x, sticker, corner)
    if seen is not None:
        grid = _grid(x, sticker, corner, seen)
        canvas = functional.grid_sample(canvas, grid, mode="bilinear", padding_mode="zeros", align_corners=True)
        mask = functional.grid_sample(mask, grid, mode="bilinear", padding_mode="zeros", align_corners=True)
        canvas = canvas + mask * seen.light[:, None, None, None]
    return (x * (1 - mask) + canvas).clamp(shape.low, shape.high)


def _laid(x: Tensor, sticker: Tensor, corner: Tensor) -> tuple[Tensor, Tensor]:
    """Return stickers on an empty picture, and a mask that is 1 inside them."""
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
    """Return the canvas position of each pixel of the view, in grid_sample's units; transformed about the centre."""
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


def make(scene: Scene, task: Task) -> Made:
    """Return each picture with the sticker that fools the model in most views, or one sticker for all pictures."""
    params, shape = scene.params, scene.shape
    own = scene.draws.rows(slice(0, 1)) if params.universal else scene.draws
    size = (scene.x.shape[1], *shape.size(*scene.x.shape[2:]))
    sticker = on(scene.model, own.uniform(size)) * (shape.high - shape.low) + shape.low
    velocity = torch.zeros_like(sticker)
    looks = len({*range(0, params.steps, _CHECK), params.steps}) * (1 + (_FIXED if params.jitter else 0))
    best, highest = sticker.clone(), torch.full((len(sticker),), -torch.inf, device=sticker.device)
    for step in range(params.steps + 1):
        if step % _CHECK == 0 or step == params.steps:
            worth = _worth(scene, sticker)
            better = worth > highest
            best[better], highest[better] = sticker[better], worth[better]
            task.update(step / params.steps, text=f"margin {float(highest.mean()):.2f}")
        if step == params.steps:
            break
        gradient = _gradient(scene, sticker, 10 + step)
        scale = gradient.abs().flatten(1).mean(1).clamp_min(1e-12)[:, None, None, None]
        velocity = 0.8 * velocity + gradient / scale
        length = (shape.high - shape.low) * 0.1 * (1 - 0.9 * step / params.steps)
        sticker = (sticker + length * velocity.sign()).clamp(shape.low, shape.high)
    whole = best.expand(len(scene.x), -1, -1, -1)
    shown = paste(scene.x, whole, scene.corner, None, shape)
    return Made(shown.cpu().numpy(), params.steps * params.views, looks)


def _gradient(scene: Scene, sticker: Tensor, step: int) -> Tensor:
    """Return the gradient by the sticker of the mean margin over random views."""
    params = scene.params
    leaf = sticker.detach().requires_grad_()
    total = torch.zeros_like(sticker)
    uniform = on(scene.model, scene.draws.uniform((params.views, 5), step=step))
    for number in range(params.views):
        seen = view(uniform[:, number], params.jitter) if params.jitter else None
        with torch.enable_grad():
            # Clamped, so that rows that are fooled clearly leave a universal sticker to the other rows.
            loss = scene.margin(leaf, seen).clamp_max(2.0).sum()
            (gradient,) = torch.autograd.grad(loss, leaf)
        total += gradient.nan_to_num(0.0, 0.0, 0.0)
    return total


def _worth(scene: Scene, sticker: Tensor) -> Tensor:
    """Return the quality of each sticker, (n,) or (1,): fooling untransformed counts most, then the fixed views."""
    params = scene.params
    uniform = on(scene.model, scene.draws.uniform((_FIXED, 5), step=2))
    with torch.no_grad():
        views = [None, *((view(uniform[:, n], params.jitter) for n in range(_FIXED)) if params.jitter else ())]
        margin = [scene.margin(sticker, seen) for seen in views]
    fooled = torch.stack([(m > 0).to(scene.x.dtype) for m in margin])
    worth = 4 * fooled[0] + fooled.mean(0) + 0.01 * torch.stack(margin).clamp(-10, 10).mean(0)
    return worth.mean(0, keepdim=True) if params.universal else worth
