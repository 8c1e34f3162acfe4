"""State: all that the next epoch of a training depends on, so that it can be kept, put back and carried on.

Imports torch when it is imported; `fitting` asks for torch first.
"""

from __future__ import annotations

import copy
import random
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel

from hauberk.core.errors import InvalidInput
from hauberk.training.options import Recipe

_MOMENTUM = 0.9


@dataclass(slots=True)
class State:
    """A training between two batches.

    average: the moving average of the weights, None when it is off. order, rng: what shuffles the rows, on the CPU,
    and what augments and hardens them, on the device. epoch: how many are finished.
    """

    module: nn.Module
    optimizer: torch.optim.Optimizer
    average: AveragedModel | None
    order: torch.Generator
    rng: torch.Generator
    epoch: int = 0
    history: list[dict[str, float]] = field(default_factory=list)

    @classmethod
    def fresh(cls, module: nn.Module, recipe: Recipe, *, seed: int, device: str) -> State:
        """Return the state before the first epoch; `module` is on the device already."""
        average = None
        if recipe.average:
            average = AveragedModel(module, multi_avg_fn=_averaging(recipe.average), use_buffers=True)
        return cls(
            module,
            _optimizer(module, recipe),
            average,
            torch.Generator().manual_seed(seed),
            torch.Generator(device).manual_seed(seed + 1),
        )

    @property
    def kept(self) -> nn.Module:
        """The module that would be kept if the run ended here: the average where there is one."""
        if self.average is None:
            return self.module
        inner: nn.Module = self.average.module
        return inner

    def set_rate(self, rate: float) -> None:
        """Set the learning rate of the next step."""
        for group in self.optimizer.param_groups:
            group["lr"] = rate

    def step(self) -> None:
        """Let the optimiser step, and the average follow."""
        self.optimizer.step()
        if self.average is not None:
            self.average.update_parameters(self.module)

    def settle(self) -> None:
        """Put the weights to be kept into the module."""
        if self.average is not None:
            self.module.load_state_dict(self.kept.state_dict())

    def weights(self) -> dict[str, Any]:
        """Return a copy of weights, optimiser and average: what is put back when an epoch is undone."""
        return copy.deepcopy(self._weights())

    def put_back(self, weights: Mapping[str, Any]) -> None:
        """Undo everything since `weights` was returned, but for generators, epoch and history."""
        self.module.load_state_dict(weights["module"])
        self.optimizer.load_state_dict(copy.deepcopy(weights["optimizer"]))
        if self.average is not None:
            self.average.load_state_dict(weights["average"])

    def pack(self) -> dict[str, Any]:
        """Return everything, the generators that a team's layers may draw from among it."""
        cuda = self.rng.device.type == "cuda"
        return {
            **self._weights(),
            "order": self.order.get_state(),
            "rng": self.rng.get_state(),
            "torch": torch.get_rng_state(),
            "cuda": torch.cuda.get_rng_state(self.rng.device) if cuda else None,
            "python": random.getstate(),
            "numpy": _numpy_state(),
            "epoch": self.epoch,
            "history": self.history,
        }

    def unpack(self, packed: Mapping[str, Any]) -> None:
        """Become the state that was packed."""
        self.put_back(packed)
        self.order.set_state(packed["order"])
        self.rng.set_state(packed["rng"])
        torch.set_rng_state(packed["torch"])
        if packed["cuda"] is not None:
            torch.cuda.set_rng_state(packed["cuda"], self.rng.device)
        version, numbers, gauss = packed["python"]
        random.setstate((version, tuple(numbers), gauss))
        name, keys, *rest = packed["numpy"]
        np.random.set_state((name, np.array(keys, dtype=np.uint32), *rest))  # noqa: NPY002 - team code draws from it
        self.epoch, self.history = packed["epoch"], list(packed["history"])

    def _weights(self) -> dict[str, Any]:
        return {
            "module": dict(self.module.state_dict()),
            "optimizer": self.optimizer.state_dict(),
            "average": None if self.average is None else dict(self.average.state_dict()),
        }


def _numpy_state() -> list[Any]:
    name, keys, *rest = np.random.get_state()  # noqa: NPY002 - the global one, which team code draws from
    return [str(name), np.asarray(keys).tolist(), *rest]


def _averaging(decay: float) -> Any:  # noqa: ANN401 - torch's own type for it is private
    def average(kept: list[Tensor], now: list[Tensor], seen: Tensor | int) -> None:
        # Young averages follow fast: with the full decay from the start, the first weights would stay in for long.
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
