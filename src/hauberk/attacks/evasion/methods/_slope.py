"""Shared by white-box attacks: one pass for loss, success and gradient; blocks of rows; rounding tolerance."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from hauberk.attacks.evasion.methods._losses import margin
from hauberk.models.port import Differentiable, Floats, Labels, passes

if TYPE_CHECKING:
    from torch import Tensor

    from hauberk.attacks.evasion.methods._losses import Loss

_BLOCK = 1 << 25  # input values processed at once: 128 MiB for each of a handful of tensors
_ROUNDING = 1e-6, 1e-5  # absolute, and relative to the largest logit
_RULED_OUT = 1e3  # a logit this far below the largest has probability 0 in any precision
SPARSE = 0.9  # state is packed when fewer than this share of its rows remain


class Slope(NamedTuple):
    """One pass: logits and loss without their graph, and the gradient of the loss by x with NaN replaced by 0."""

    logits: Tensor
    loss: Tensor
    gradient: Tensor


def slope(model: Differentiable, x: Tensor, loss: Loss, y: Tensor, targets: Tensor | None = None) -> Slope:
    """Return logits, loss and gradient at x; one forward and one backward pass."""
    import torch

    with torch.enable_grad():
        point = x.detach().requires_grad_()
        logits = model.logits(point)
        value = loss(logits, y, targets)
        (gradient,) = torch.autograd.grad(value.sum(), point)
    return Slope(logits.detach(), value.detach(), gradient.nan_to_num(0.0, 0.0, 0.0))


def look(model: Differentiable, x: Tensor) -> Tensor:
    """Return logits; one forward pass."""
    import torch

    with torch.no_grad():
        return model.logits(x)


def put(values: Tensor, rows: Tensor, new: Tensor) -> None:
    """Set the rows, (n,) bool, of `values` to the same rows of `new`, in place."""
    import torch

    if values.device.type == "cpu":  # few rows change, and only these are written
        values[rows] = new[rows]
    else:  # indexing by a mask would wait for the GPU to count the rows
        values.copy_(torch.where(shaped(rows, values), new, values))


def fell(logits: Tensor, y: Tensor, targets: Tensor | None = None) -> Tensor:
    """Return (n,) bool: predicted other than y, or as the target, by more than rounding; NaN counts as fooled.

    The verdict asks the caller's own model, whose last bits differ from the copy that is searched: a row that left the
    search on a tie could be judged as not fooled.
    """
    return ~(margin(logits, y, targets) <= rounding(logits))


def reached(logits: Tensor, loss: Tensor, y: Tensor, targets: Tensor | None = None) -> Tensor:
    """Return (n,): the loss; infinity for fooled rows, and the largest float for rows fooled by no more than rounding.

    The latter stay in the search and are returned if nothing better is found, since the verdict may count them.
    """
    import torch

    lead = margin(logits, y, targets)
    ahead = torch.where(lead > 0, torch.finfo(loss.dtype).max, loss)
    return torch.where(lead <= rounding(logits), ahead, torch.inf)  # so that NaN counts as fooled, as in `fell`


def rounding(logits: Tensor) -> Tensor:
    """Return (n,): differences between logits that rounding may explain; an attack must cross a boundary by more.

    Proportional to the largest logit in size, ignoring classes that a huge negative number rules out.
    """
    import torch

    logits = logits.detach()
    possible = torch.where(logits < logits.amax(1, keepdim=True) - _RULED_OUT, 0.0, logits)
    return _ROUNDING[0] + _ROUNDING[1] * possible.abs().amax(1).nan_to_num(0.0, 0.0, 0.0)


def blocks(x: Floats) -> Iterator[slice]:
    """Yield slices of rows that fit into memory together. Rows are independent: the sizes change no result."""
    size = max(1, _BLOCK // max(1, int(np.prod(x.shape[1:]))))
    for first in range(0, len(x), size):
        yield slice(first, min(first + size, len(x)))


def parts(x: Tensor) -> Iterator[slice]:
    """Yield slices of one pass each."""
    return passes(tuple(x.shape), x.device.type)


def on(model: Differentiable, values: Floats | Labels) -> Tensor:
    """Return a copy of the array as a tensor on the model's device."""
    import torch

    return torch.tensor(values, device=model.device)


def shaped(values: Tensor, like: Tensor) -> Tensor:
    """Shape (n,) so that it multiplies `like` row by row."""
    return values.reshape(-1, *(1,) * (like.ndim - 1))


def goals_of(model: Differentiable, x: Floats, y: Labels, targets: Labels | None, classes: int) -> list[Labels]:
    """Return the target classes of each round: `targets`, or each row's likeliest, second likeliest ... other class."""
    if targets is not None:
        return [targets]
    if not classes or not len(x):
        return []
    scores = model.scores(x).astype(np.float64)
    scores[np.arange(len(y)), y] = -np.inf
    order = np.argsort(-scores, axis=1, kind="stable")
    return [order[:, number] for number in range(min(classes, model.classes - 1))]
