"""The training loop for torch modules: seeded, one cycle of the learning rate, told when the loss is no number.

Plain and hardened training are this one loop; hardening is a function that changes each batch before the step.
Imports torch when it is imported; `fitting` asks for torch first.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np
import torch
from torch import Tensor, nn

from hauberk.attacks.model import Floats, Labels
from hauberk.core.errors import InvalidInput
from hauberk.core.progress import Task
from hauberk.training.options import Recipe
from hauberk.training.torch_model import forward

_RISE = 0.25  # share of the run in which the learning rate rises
_MOMENTUM = 0.9


class Perturb(Protocol):
    """Makes a batch adversarial. `strength` in (0, 1] scales the budget while it grows."""

    def __call__(self, module: nn.Module, x: Tensor, y: Tensor, *, rng: torch.Generator, strength: float) -> Tensor:
        """Return allowed inputs like x."""


class Watch(Protocol):
    """Looks at the module before the first epoch and after each, and says how batches are made adversarial."""

    def after(self, epoch: int, module: nn.Module, optimizer: torch.optim.Optimizer) -> dict[str, float]:
        """Return what was measured; it joins the epoch's history."""

    @property
    def perturb(self) -> Perturb:
        """What the next epoch uses."""


@dataclass(slots=True)
class Run:
    """One training: how, on which device, and with which hardening.

    warmup: share of the epochs in which the budget grows to full. watch: takes over `perturb` where it is given.
    """

    recipe: Recipe
    seed: int
    device: str
    perturb: Perturb | None = None
    watch: Watch | None = None
    warmup: float = 0.0
    history: list[dict[str, float]] = field(default_factory=list)


def train(module: nn.Module, x: Floats, y: Labels, run: Run, task: Task) -> list[dict[str, float]]:
    """Train in place and return the history: epoch, loss and accuracy on the (changed) batches.

    x: (n, ...) float32, y: (n,) int64; n >= 2. Raises InvalidInput when the loss becomes NaN or infinite, with
    epoch and batch. On an interrupt the module is left as it is and the interrupt goes on.
    """
    recipe = run.recipe
    module.to(run.device).train()
    inputs, labels = torch.from_numpy(x).to(run.device), torch.from_numpy(y).to(run.device)
    order = torch.Generator().manual_seed(run.seed)
    rng = torch.Generator(run.device).manual_seed(run.seed + 1)
    optimizer = _optimizer(module, recipe)
    bounds = _bounds(len(x), recipe.batch)
    total = recipe.epochs * len(bounds)
    if run.watch is not None:
        run.watch.after(0, module, optimizer)
    for epoch in range(recipe.epochs):
        perturb = run.watch.perturb if run.watch is not None else run.perturb
        shuffled = torch.randperm(len(x), generator=order).to(run.device)
        sums = np.zeros(2)
        for number, (start, stop) in enumerate(bounds):
            done = epoch * len(bounds) + number
            rate = recipe.learning_rate * one_cycle(done / total)
            for group in optimizer.param_groups:
                group["lr"] = rate
            rows = shuffled[start:stop]
            batch, target = inputs[rows], labels[rows]
            if recipe.augment == "shift":
                batch = shifted(batch, rng)
            if perturb is not None:
                strength = _strength(done / total, run.warmup)
                batch = perturb(module, batch, target, rng=rng, strength=strength)
            loss, right = _step(module, optimizer, batch, target)
            if not math.isfinite(loss):
                raise InvalidInput(_diverged(loss, epoch, number, recipe))
            sums += loss * len(rows), right
            task.update((done + 1) / total, text=f"epoch {epoch + 1} of {recipe.epochs}, loss {loss:.3f}")
        mean = sums / bounds[-1][1]
        entry = {"epoch": epoch + 1.0, "loss": float(mean[0]), "accuracy": float(mean[1])}
        if run.watch is not None:
            entry |= run.watch.after(epoch + 1, module, optimizer)
        run.history.append(entry)
    module.eval()
    return run.history


def one_cycle(done: float) -> float:
    """Return the share of the top learning rate at `done` in [0, 1]: a line up from a tenth, then half a cosine."""
    if done < _RISE:
        return 0.1 + 0.9 * done / _RISE
    return 0.5 * (1 + math.cos(math.pi * (done - _RISE) / (1 - _RISE))) + 1e-3


def shifted(x: Tensor, rng: torch.Generator) -> Tensor:
    """Move each picture (n, c, h, w) by up to a sixteenth of its side, at least a pixel; its edge fills the gap."""
    n, _, height, width = x.shape
    reach = max(1, max(height, width) // 16)
    moves = torch.randint(-reach, reach + 1, (2, n), generator=rng, device=x.device)
    rows = (torch.arange(height, device=x.device) + moves[0][:, None]).clamp(0, height - 1)
    columns = (torch.arange(width, device=x.device) + moves[1][:, None]).clamp(0, width - 1)
    each = torch.arange(n, device=x.device)[:, None, None]
    return x.permute(0, 2, 3, 1)[each, rows[:, :, None], columns[:, None, :]].permute(0, 3, 1, 2).contiguous()


def _step(module: nn.Module, optimizer: torch.optim.Optimizer, x: Tensor, y: Tensor) -> tuple[float, int]:
    module.train()
    scores = forward(module, x)
    try:
        loss = nn.functional.cross_entropy(scores, y)
    except (IndexError, RuntimeError, ValueError) as error:
        raise InvalidInput(
            f"the model's scores have shape {tuple(scores.shape)} for {len(y)} rows with classes up to "
            f"{int(y.max())}: expected (rows, classes). Use spec.classes for the last layer."
        ) from error
    optimizer.zero_grad(set_to_none=True)
    loss.backward()  # type: ignore[no-untyped-call]
    optimizer.step()
    return float(loss.detach()), int((scores.detach().argmax(1) == y).sum())


def _optimizer(module: nn.Module, recipe: Recipe) -> torch.optim.Optimizer:
    parameters = [p for p in module.parameters() if p.requires_grad]
    if not parameters:
        raise InvalidInput("the model has no weights that can be trained.")
    # Decay pulls weights of layers, not offsets and scales, towards zero.
    decayed = [p for p in parameters if p.ndim > 1]
    others = [p for p in parameters if p.ndim <= 1]
    groups = [
        {"params": decayed, "weight_decay": recipe.weight_decay},
        {"params": others, "weight_decay": 0.0},
    ]
    if recipe.optimizer == "adamw":
        return torch.optim.AdamW(groups, lr=recipe.learning_rate)
    return torch.optim.SGD(groups, lr=recipe.learning_rate, momentum=_MOMENTUM, nesterov=True)


def _bounds(rows: int, batch: int) -> list[tuple[int, int]]:
    """Return the batches' first and last rows; a last batch of one row, which has no statistics, is left out."""
    bounds = [(start, min(start + batch, rows)) for start in range(0, rows, batch)]
    if len(bounds) > 1 and bounds[-1][1] - bounds[-1][0] == 1:
        bounds.pop()
    return bounds


def _strength(done: float, warmup: float) -> float:
    return 1.0 if done >= warmup else max(done / warmup, 1e-3)


def _diverged(loss: float, epoch: int, batch: int, recipe: Recipe) -> str:
    value = "NaN" if math.isnan(loss) else "infinite"
    return (
        f"the loss became {value} in epoch {epoch + 1}, batch {batch + 1}. Lower learning_rate (it is "
        f"{recipe.learning_rate:g}), or look for a division by zero or the logarithm of zero in the model."
    )
