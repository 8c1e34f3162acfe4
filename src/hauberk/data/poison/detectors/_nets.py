# ruff: noqa: ANN401 - torch is an extra, and its tensors and networks pass through here as Any
"""Small convolutional networks that the picture detectors train on the fly.

They are not the project's model; they only have to know the classes well enough to contradict a wrong label. Cost: about a
minute on one core for ten thousand pictures. The same seed gives the same network on the same machine. Uses CUDA if
available.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from hauberk.core.extras import need
from hauberk.data.reading.dataset import Doubles, Floats, Labels

View = Callable[[Any, Any], Any]
"""Augmentation: maps a training batch (n, c, h, w) and a torch generator to a batch of the same shape."""

_PREDICTED = 1_000  # rows in one forward pass at prediction
_RATE = 3e-3  # peak learning rate of the one-cycle schedule
_DECAY = 0.05  # AdamW weight decay


def device() -> str:
    """Return "cuda" when there is one, else "cpu"."""
    return "cuda" if need("torch").cuda.is_available() else "cpu"


def network(channels: int, side: int, classes: int, widths: tuple[int, ...]) -> Any:
    """Return an untrained network with one convolution block a width; each block halves the picture until it is 1 pixel."""
    nn = need("torch").nn
    layers: list[Any] = []
    for width in widths:
        layers += [nn.Conv2d(channels, width, 3, padding=1, bias=False), nn.BatchNorm2d(width), nn.ReLU()]
        if side >= 2:
            layers.append(nn.MaxPool2d(2))
            side //= 2
        channels = width
    return nn.Sequential(
        *layers,
        nn.AdaptiveAvgPool2d(min(side, 4)),
        nn.Flatten(),
        nn.LazyLinear(128),
        nn.ReLU(),
        nn.Linear(128, classes),
    )


def learn(  # noqa: PLR0913 - the settings of one training
    x: Any,
    y: Any,
    *,
    classes: int,
    batches: Callable[[Any], Iterator[Any]],
    steps: int,
    seed: int,
    widths: tuple[int, ...],
    view: View | None = None,
    smoothing: float = 0.1,
) -> Any:
    """Return a network, in evaluation mode, trained on `steps` batches of row numbers from `batches(generator)`.

    x: (n, c, h, w) float32 tensor. y: (n,) int64 tensor in [0, classes), on the same device. widths: channels of each
    convolution block. view: augmentation of each batch. smoothing: label smoothing, in [0, 1).
    """
    torch = need("torch")
    generator = torch.Generator().manual_seed(seed)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        net = network(x.shape[1], min(x.shape[2:]), classes, widths)
        net(x[:2].cpu())  # initialises the lazy layer, with seeded weights
    net = net.to(x.device, memory_format=torch.channels_last).train()
    optimizer = torch.optim.AdamW(net.parameters(), lr=_RATE, weight_decay=_DECAY)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, _RATE, total_steps=steps + 1)
    for _, rows in zip(range(steps), batches(generator), strict=False):
        batch = x[rows]
        logits = net(batch if view is None else view(batch, generator))
        loss = torch.nn.functional.cross_entropy(logits, y[rows], label_smoothing=smoothing)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
    return net.eval()


def shuffled(rows: Labels, size: int) -> Callable[[Any], Iterator[Any]]:
    """Return an endless source of batches that passes over `rows` in a new random order each epoch."""
    torch = need("torch")
    known = torch.from_numpy(rows)

    def endless(generator: Any) -> Iterator[Any]:
        while True:
            parts = known[torch.randperm(len(known), generator=generator)].split(size)
            # Batch normalisation needs the variance of at least two rows.
            yield from (part for part in parts if len(part) > 1)

    return endless


def balanced(positive: Labels, negative: Labels, size: int) -> Callable[[Any], Iterator[Any]]:
    """Return an endless source of batches; half of each batch is drawn from `positive`, half from `negative`."""
    torch = need("torch")
    sides = torch.from_numpy(positive), torch.from_numpy(negative)

    def endless(generator: Any) -> Iterator[Any]:
        while True:
            yield torch.cat([side[torch.randint(len(side), (size // 2,), generator=generator)] for side in sides])

    return endless


def predict(net: Any, x: Any) -> Doubles:
    """Return the network's (n, k) class probabilities for pictures (n, c, h, w)."""
    torch = need("torch")
    with torch.no_grad():
        parts = [net(part).softmax(dim=1).cpu() for part in x.split(_PREDICTED)]
    probabilities: Doubles = torch.cat(parts).numpy().astype(np.float64)
    return probabilities


def tensor(x: Floats) -> Any:
    """Return the pictures as a channels-last tensor on the training device."""
    torch = need("torch")
    return torch.from_numpy(np.ascontiguousarray(x)).to(device(), memory_format=torch.channels_last)


def folds(y: Labels, count: int, seed: int) -> list[tuple[Labels, Labels]]:
    """Return (fit, held-out) row numbers of `count` stratified folds; a class with fewer rows than folds is in some only."""
    rng = np.random.default_rng(seed)
    place = np.empty(len(y), np.int64)
    offset = 0
    for label in np.unique(y):
        rows = rng.permutation(np.flatnonzero(y == label))
        place[rows] = (np.arange(len(rows)) + offset) % count
        offset += len(rows)
    return [(np.flatnonzero(place != fold), np.flatnonzero(place == fold)) for fold in range(count)]
