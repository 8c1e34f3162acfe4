# ruff: noqa: ANN401 - torch is an extra, and its tensors and networks pass through here as Any
"""Nets: small convolutional networks that are trained on the spot to know classes well enough to doubt a label.

They are not the project's model and need not be good: a minute on one core for ten thousand pictures. The same seed
gives the same network on the same machine. CUDA is used when there is one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from hauberk.core.extras import need
from hauberk.data.reading.dataset import Doubles, Floats, Labels

View = Callable[[Any, Any], Any]
"""Changes a batch (n, c, h, w) before it is learned from, told a torch generator."""

_ASKED = 1_000  # rows at once when a network is asked
_RATE = 3e-3
_DECAY = 0.05


def device() -> str:
    """Return "cuda" when there is one, else "cpu"."""
    return "cuda" if need("torch").cuda.is_available() else "cpu"


def network(channels: int, side: int, classes: int, widths: tuple[int, ...]) -> Any:
    """Return an untrained network; each block halves the picture, as long as it can be halved."""
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


def learn(  # noqa: PLR0913 - what is learned from, and how long
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
    """Return a network fitted to the batches of row numbers that `batches(generator)` yields, `steps` of them."""
    torch = need("torch")
    generator = torch.Generator().manual_seed(seed)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        net = network(x.shape[1], min(x.shape[2:]), classes, widths)
        net(x[:2].cpu())  # gives the lazy layer its width, from the seed
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
    """Return batches that go through `rows` in a new order each time, without end."""
    torch = need("torch")
    known = torch.from_numpy(rows)

    def endless(generator: Any) -> Iterator[Any]:
        while True:
            parts = known[torch.randperm(len(known), generator=generator)].split(size)
            # A batch of one row has no variance for batch normalisation.
            yield from (part for part in parts if len(part) > 1)

    return endless


def balanced(positive: Labels, negative: Labels, size: int) -> Callable[[Any], Iterator[Any]]:
    """Return batches of which one half is drawn from each, without end."""
    torch = need("torch")
    sides = torch.from_numpy(positive), torch.from_numpy(negative)

    def endless(generator: Any) -> Iterator[Any]:
        while True:
            yield torch.cat([side[torch.randint(len(side), (size // 2,), generator=generator)] for side in sides])

    return endless


def ask(net: Any, x: Any) -> Doubles:
    """Return (n, k) probabilities."""
    torch = need("torch")
    with torch.no_grad():
        parts = [net(part).softmax(dim=1).cpu() for part in x.split(_ASKED)]
    found: Doubles = torch.cat(parts).numpy().astype(np.float64)
    return found


def tensor(x: Floats) -> Any:
    """Return pictures on the device that learns."""
    torch = need("torch")
    return torch.from_numpy(np.ascontiguousarray(x)).to(device(), memory_format=torch.channels_last)


def folds(y: Labels, count: int, seed: int) -> list[tuple[Labels, Labels]]:
    """Return (fit, ask) rows, classes spread evenly; a class with fewer rows than folds is in some of them only."""
    rng = np.random.default_rng(seed)
    place = np.empty(len(y), np.int64)
    offset = 0
    for label in np.unique(y):
        rows = rng.permutation(np.flatnonzero(y == label))
        place[rows] = (np.arange(len(rows)) + offset) % count
        offset += len(rows)
    return [(np.flatnonzero(place != fold), np.flatnonzero(place == fold)) for fold in range(count)]
