"""Net: a small convolutional network for each part; for pictures, needs torch."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from hauberk.core.errors import InvalidInput
from hauberk.core.extras import need
from hauberk.core.progress import Task
from hauberk.models.spec import Spec
from hauberk.training.aggregation.learners import LEARNERS, Lesson, Predict, from_builder
from hauberk.training.options import Options

_WIDTHS = (16, 32)


@dataclass(frozen=True, slots=True)
class Params:
    """epochs: passes over the rows of a part. batch: rows in a gradient step."""

    epochs: int = field(default=20, metadata={"help": "passes over the rows of the part"})
    batch: int = field(default=32, metadata={"help": "rows in a gradient step"})

    def __post_init__(self) -> None:
        if self.epochs < 1 or self.batch < 2:
            raise InvalidInput(f"expected epochs >= 1 and batch >= 2, found {self.epochs} and {self.batch}.")


@LEARNERS.register(
    "net",
    practice="2a",
    threats=("poisoning",),
    summary="small convolutional networks that vote, for certificates against poison",
    params=Params,
    kinds=("image",),
)
def net(lesson: Lesson, params: Params, *, rng: np.random.Generator, task: Task) -> Predict:
    """Return the function that predicts. Raises MissingExtra without torch."""
    need("torch")
    options = Options(epochs=params.epochs, batch=params.batch, augment="shift")
    return from_builder(_small_net, options=options)(lesson, params, rng=rng, task=task)


def _small_net(spec: Spec) -> Any:  # noqa: ANN401 - a torch module
    """Return two convolutions, each followed by pooling that halves the picture, and one linear layer."""
    from torch import nn

    channels, height, width = spec.shape
    layers: list[Any] = []
    for outputs in _WIDTHS:
        layers += [nn.Conv2d(channels, outputs, 3, padding=1, bias=False), nn.BatchNorm2d(outputs), nn.ReLU()]
        if min(height, width) >= 2:
            layers.append(nn.MaxPool2d(2))
            height, width = height // 2, width // 2
        channels = outputs
    return nn.Sequential(*layers, nn.Flatten(), nn.Linear(channels * height * width, spec.classes))
