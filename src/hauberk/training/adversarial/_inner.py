"""Shared by the gradient methods: the gradient of the loss by the input, starting points, the projected ascent."""

from __future__ import annotations

import math
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Protocol

from hauberk.attacks.budget import Budget, ColumnBox
from hauberk.core.columns import ColumnKind
from hauberk.core.errors import InvalidInput
from hauberk.core.extras import need
from hauberk.training.batch import Batch

if TYPE_CHECKING:
    import torch
    from torch import Tensor, nn

_DRAWS = 4  # random starts for each row if categories may change: categories have no gradient


def share(name: str, value: float) -> None:
    """Raise InvalidInput unless `value` is in [0, 1]."""
    if not (math.isfinite(value) and 0 <= value <= 1):
        raise InvalidInput(f"`{name}` is a share from 0 to 1, found {value}.")


def evaluating(module: nn.Module) -> AbstractContextManager[None]:
    """Hold the module in evaluation mode, with frozen weights, inside the block.

    The attacked model is the model that will be served: no dropout, and batch norm's running statistics. Crafting in
    training mode would also let attacked batches update those statistics in every step.
    """
    from hauberk.models.network import frozen

    return frozen(module)


def gradient(module: nn.Module, x: Tensor, loss: Callable[[Tensor], Tensor]) -> Tensor:
    """Return the gradient by x of `loss(scores)`, summed over rows; the gradients of the weights are not touched."""
    torch = need("torch")
    x = x.detach().requires_grad_(True)
    with torch.enable_grad():
        (slope,) = torch.autograd.grad(loss(module(x.clone())).sum(), x)  # the first layer may work in place
    return slope.detach()  # type: ignore[no-any-return]  # torch arrives by name


def cross_entropy(y: Tensor) -> Callable[[Tensor], Tensor]:
    """Return the function from scores (n, classes) to the cross-entropy of each row (n,) with `y`."""
    functional = need("torch").nn.functional
    return lambda scores: functional.cross_entropy(scores, y, reduction="none")


class Ascent(Protocol):
    """Settings of a projected ascent: `steps` of them, each a `step` fraction of the radius long."""

    @property
    def steps(self) -> int:
        """Number of steps."""

    @property
    def step(self) -> float:
        """Length of one step, as a fraction of the radius."""


def ascend(  # noqa: PLR0913, PLR0917 - a member's own arguments, and the loss to climb
    module: nn.Module,
    batch: Batch[Tensor],
    budget: Budget,
    loss: Callable[[Tensor], Tensor],
    params: Ascent,
    rng: torch.Generator,
) -> Tensor:
    """Return allowed points of high `loss(scores)`: a random start, then `params.steps` projected ascents."""
    point = start(module, batch, budget, rng)
    for _ in range(params.steps):
        moved = point + budget.step(gradient(module, point, loss), params.step)
        point = budget.project(moved, batch.x, whole=False)
    return budget.project(point, batch.x)  # type: ignore[no-any-return]  # arrays of either library


def check_ascent(name: str, *, steps: int, step: float, warmup: float) -> None:
    """Raise InvalidInput for settings of a projected ascent that are out of range."""
    if steps < 1:
        raise InvalidInput(f"{name} `steps` must be 1 or more, found {steps}.")
    if not 0 < step <= 2:
        raise InvalidInput(f"{name} `step` is a fraction of the radius in (0, 2], found {step}.")
    share("warmup", warmup)


def start(module: nn.Module, batch: Batch[Tensor], budget: Budget, rng: torch.Generator) -> Tensor:
    """Return a random allowed point for each row; if categories may change, the worst of a few draws."""
    torch, x, y = need("torch"), batch.x, batch.y

    def draw() -> Tensor:
        uniform = torch.rand(x.shape, generator=rng, device=x.device, dtype=x.dtype)
        return budget.start(x, uniform)  # type: ignore[no-any-return]  # arrays of either library

    point = draw()
    if not _has_categories(budget):
        return point
    with torch.no_grad():
        worst = torch.nn.functional.cross_entropy(module(point), y, reduction="none")
        for _ in range(_DRAWS - 1):
            other = draw()
            loss = torch.nn.functional.cross_entropy(module(other), y, reduction="none")
            better = loss > worst
            point = torch.where(better.reshape(-1, *(1,) * (x.ndim - 1)), other, point)
            worst = torch.where(better, loss, worst)
    return point


def _has_categories(budget: Budget) -> bool:
    return isinstance(budget, ColumnBox) and any(c.kind is ColumnKind.CATEGORY for _, c, _ in budget.movable)
