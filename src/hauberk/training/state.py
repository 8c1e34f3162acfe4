"""State: everything the next epoch of a training depends on, so that it can be stored, restored and continued.

Imports torch when it is imported; `fitting` checks for torch first.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel

from hauberk.core.errors import InvalidInput
from hauberk.training._randomness import Draws
from hauberk.training.options import Recipe

_MOMENTUM = 0.9


@dataclass(slots=True)
class State:
    """A training between two batches.

    average: the moving average of the weights, None when it is off. order: the generator that draws the rows, on the
    CPU. rng: the generator that augments and hardens them, on the device. draws: the states of the process-wide
    generators that the team's layers draw from. epoch: number of finished epochs, and so the position in the schedule.
    """

    module: nn.Module
    optimizer: torch.optim.Optimizer
    average: AveragedModel | None
    order: torch.Generator
    rng: torch.Generator
    draws: Draws
    epoch: int = 0
    history: list[dict[str, float]] = field(default_factory=list)

    @classmethod
    def fresh(cls, module: nn.Module, recipe: Recipe, *, seed: int, device: str) -> State:
        """Return the state before the first epoch. module: already on the device."""
        average = None
        if recipe.average:
            average = AveragedModel(module, multi_avg_fn=_averaging(recipe.average), use_buffers=True)
        return cls(
            module,
            _optimizer(module, recipe),
            average,
            torch.Generator().manual_seed(seed),
            torch.Generator(device).manual_seed(seed + 1),
            Draws.of(seed + 1, device),
        )

    @property
    def kept(self) -> nn.Module:
        """The module that would be kept if the run ended here: the average if there is one."""
        if self.average is None:
            return self.module
        inner: nn.Module = self.average.module
        return inner

    def set_rate(self, rate: float) -> None:
        """Set the learning rate of the next step."""
        for group in self.optimizer.param_groups:
            group["lr"] = rate

    def follow(self) -> None:
        """Move the average towards the weights, after a step."""
        if self.average is not None:
            self.average.update_parameters(self.module)

    def settle(self) -> None:
        """Copy the weights to keep into the module."""
        if self.average is not None:
            self.module.load_state_dict(self.kept.state_dict())

    def weights(self) -> dict[str, Any]:
        """Return a copy of weights, optimiser and average, from which `put_back` undoes epochs."""
        return copy.deepcopy(self._weights())

    def put_back(self, weights: Mapping[str, Any]) -> None:
        """Restore what `weights` returned. Generators, epoch and history stay."""
        self.module.load_state_dict(weights["module"])
        self.optimizer.load_state_dict(copy.deepcopy(weights["optimizer"]))
        if self.average is not None:
            self.average.load_state_dict(weights["average"])

    def pack(self) -> dict[str, Any]:
        """Return everything as JSON values and tensors, nested; the tensors are not copied."""
        return {
            **self._weights(),
            "order": self.order.get_state(),
            "rng": self.rng.get_state(),
            "draws": self.draws.pack(),
            "epoch": self.epoch,
            "history": self.history,
        }

    def unpack(self, packed: Mapping[str, Any]) -> None:
        """Become the state that `pack` returned."""
        self.put_back(packed)
        self.order.set_state(packed["order"])
        self.rng.set_state(packed["rng"])
        self.draws.unpack(packed["draws"])
        self.epoch, self.history = packed["epoch"], list(packed["history"])

    def _weights(self) -> dict[str, Any]:
        return {
            "module": dict(self.module.state_dict()),
            "optimizer": self.optimizer.state_dict(),
            "average": None if self.average is None else dict(self.average.state_dict()),
        }


def _averaging(decay: float) -> Any:  # noqa: ANN401 - torch's own type for it is private
    def average(kept: list[Tensor], now: list[Tensor], seen: Tensor | int) -> None:
        # A young average follows fast: with the full decay from the start, the first weights would dominate for long.
        share = 1 - min(decay, (1 + float(seen)) / (10 + float(seen)))
        if torch.is_floating_point(kept[0]):
            torch._foreach_lerp_(kept, now, share)
        else:
            for old, new in zip(kept, now, strict=True):
                old.copy_(new)

    return average


def _optimizer(module: nn.Module, recipe: Recipe) -> torch.optim.Optimizer:
    parameters = [p for p in module.parameters() if p.requires_grad]
    if not parameters:
        raise InvalidInput(
            "the model has no trainable weights: set requires_grad on at least one parameter in the builder."
        )
    # Decay applies to the weights of layers, not to offsets and scales.
    decayed = [p for p in parameters if p.ndim > 1]
    others = [p for p in parameters if p.ndim <= 1]
    groups = [
        {"params": decayed, "weight_decay": recipe.weight_decay},
        {"params": others, "weight_decay": 0.0},
    ]
    if recipe.optimizer == "adamw":
        return torch.optim.AdamW(groups, lr=recipe.learning_rate)
    return torch.optim.SGD(groups, lr=recipe.learning_rate, momentum=_MOMENTUM, nesterov=True)
