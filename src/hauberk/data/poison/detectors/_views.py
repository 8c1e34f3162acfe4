# ruff: noqa: ANN401 - as in `_nets`
"""Out-of-fold predictions of pictures by two kinds of networks: `sharp`, and `blind`, which cannot see triggers.

The sharp network learns whatever predicts the label, triggers included. The blind network trains on pictures at half size,
with noise and one rectangle covered, and predicts each picture four times, each time with another quarter covered. So a
small, faint or fine trigger is lost or covered at least once, and the prediction rests on the picture's content. If only
the sharp network agrees with a row's label, something other than the content predicts it.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from hauberk.core.extras import need
from hauberk.core.progress import Task
from hauberk.data.poison.detectors import _nets
from hauberk.data.reading.dataset import Doubles, Floats, Labels

_FOLDS = 3
_BATCH = 128
_STEPS = 400  # training steps aimed at; with fewer, the networks separate the classes too badly
_SEEN, _MOST_SEEN = 5, 40  # epochs, at least and at most; with more, the networks memorise single rows
_SHARP, _BLIND = (16, 32, 64), (24, 48)  # channels of each convolution block
_NOISE = 0.3  # standard deviation of the noise, in units of the picture's contrast
_PART = 2  # the covered rectangle's side is the picture's side divided by this
_SHIFT = 2  # pixels of random shift


def sharp(x: Floats, y: Labels, classes: int, *, seed: int, task: Task) -> Doubles:
    """Return (n, k) out-of-fold probabilities of a network that sees full detail. x: (n, c, h, w); y: (n,) in [0, k)."""
    torch = need("torch")

    def shifted(batch: Any, generator: Any) -> Any:
        down, right = torch.randint(-_SHIFT, _SHIFT + 1, (2,), generator=generator).tolist()
        return torch.roll(batch, (down, right), (2, 3))

    pictures = _nets.tensor(x)
    probabilities = np.zeros((len(x), classes))
    for number, (net, rows) in enumerate(_fitted(pictures, y, classes, _Kind(_SHARP, shifted, seed))):
        probabilities[rows] = _nets.predict(net, pictures[torch.from_numpy(rows)])
        task.update((number + 1) / _FOLDS, text=f"sharp network, fold {number + 1} of {_FOLDS}")
    return probabilities


def blind(x: Floats, y: Labels, classes: int, *, seed: int, task: Task) -> Doubles:
    """Return (4, n, k) out-of-fold probabilities of a network without fine detail; first axis: the covered quarter."""
    torch = need("torch")
    pictures = _coarse(_nets.tensor(x))
    side = pictures.shape[2:]

    def veiled(batch: Any, generator: Any) -> Any:
        down, right = torch.randint(-1, 2, (2,), generator=generator).tolist()
        moved = torch.roll(batch, (down, right), (2, 3))
        noisy = moved + _NOISE * torch.randn(moved.shape, generator=generator).to(moved.device)
        return noisy * _uncovered(len(batch), side, generator).to(moved.device)

    probabilities = np.zeros((4, len(x), classes))
    for number, (net, rows) in enumerate(_fitted(pictures, y, classes, _Kind(_BLIND, veiled, seed + 1))):
        held_out = pictures[torch.from_numpy(rows)]
        for quarter, (top, left) in enumerate((t, le) for t in (0, 1) for le in (0, 1)):
            covered = held_out.clone()
            height, width = side[0] // 2, side[1] // 2
            rows_from, columns_from = top * (side[0] - height), left * (side[1] - width)
            covered[:, :, rows_from : rows_from + height, columns_from : columns_from + width] = 0
            probabilities[quarter, rows] = _nets.predict(net, covered)
        task.update((number + 1) / _FOLDS, text=f"blind network, fold {number + 1} of {_FOLDS}")
    return probabilities


@dataclass(frozen=True, slots=True)
class _Kind:
    """One of the two kinds of networks. widths: channels of each block. view: the augmentation. seed: of its folds."""

    widths: tuple[int, ...]
    view: _nets.View
    seed: int


def _fitted(pictures: Any, y: Labels, classes: int, kind: _Kind) -> Iterator[tuple[Any, Labels]]:
    """Yield (network, held-out row numbers) for each fold."""
    torch = need("torch")
    labels = torch.from_numpy(y).to(pictures.device)
    for number, (fit, rows) in enumerate(_nets.folds(y, _FOLDS, kind.seed)):
        rows_a_batch = min(_BATCH, len(fit))
        steps = max(_SEEN * len(fit) // rows_a_batch, min(_STEPS, _MOST_SEEN * len(fit) // rows_a_batch))
        net = _nets.learn(
            pictures,
            labels,
            classes=classes,
            batches=_nets.shuffled(fit, _BATCH),
            steps=steps,
            seed=kind.seed * 31 + number,
            widths=kind.widths,
            view=kind.view,
        )
        yield net, rows


def _coarse(pictures: Any) -> Any:
    """Return pictures at half size (below 16 pixels a side: full size), each with mean 0 and about unit contrast."""
    pool = need("torch").nn.functional.avg_pool2d
    small = pool(pictures, 2) if min(pictures.shape[2:]) >= 16 else pictures
    centred = small - small.mean((1, 2, 3), keepdim=True)
    return centred / (centred.std((1, 2, 3), keepdim=True) + 0.05)


def _uncovered(count: int, side: Any, generator: Any) -> Any:
    """Return (n, 1, h, w) masks: ones, with one random rectangle of zeros each, which may extend over the edge."""
    torch = need("torch")
    masks = []
    for length in side:
        part = length // _PART
        start = torch.randint(-part // 2, length - part // 2, (count, 1), generator=generator)
        place = torch.arange(length)[None]
        masks.append((place >= start) & (place < start + part))
    covered = masks[0][:, :, None] & masks[1][:, None, :]
    return (~covered)[:, None].float()
