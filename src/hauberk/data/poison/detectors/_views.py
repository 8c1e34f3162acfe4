# ruff: noqa: ANN401 - as in `_nets`
"""Two looks at the same pictures by networks that never saw the row: a sharp one, and one that is blind to triggers.

The sharp one learns whatever helps, triggers too. The blind one learns from pictures at half size, under noise and
with a part covered, and is asked four times with a quarter covered each time: what is small, faint or fine is gone
or covered at least once, and what is left is what the picture shows. A row whose label only the sharp one believes has
something in it that is not its content.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from hauberk.core.extras import need
from hauberk.core.progress import Task
from hauberk.data.poison.detectors import _nets
from hauberk.data.reading.dataset import Doubles, Floats, Labels

_FOLDS = 3
_BATCH = 128
_STEPS = 400  # a network that saw fewer batches knows too little
_SEEN, _MOST_SEEN = 5, 40  # times that each row is learned from; more teaches the rows themselves
_SHARP, _BLIND = (16, 32, 64), (24, 48)
_NOISE = 0.3  # of a picture's own contrast
_PART = 2  # a side of the covered part is the picture's over this
_SHIFT = 2  # pixels


def sharp(x: Floats, y: Labels, classes: int, *, seed: int, task: Task) -> Doubles:
    """Return (n, k) out-of-fold probabilities of a network that looks closely."""
    torch = need("torch")

    def shifted(batch: Any, generator: Any) -> Any:
        down, right = torch.randint(-_SHIFT, _SHIFT + 1, (2,), generator=generator).tolist()
        return torch.roll(batch, (down, right), (2, 3))

    pictures = _nets.tensor(x)
    found = np.zeros((len(x), classes))
    for number, (net, rows) in enumerate(_fitted(pictures, y, classes, _SHARP, shifted, seed)):
        found[rows] = _nets.ask(net, pictures[torch.from_numpy(rows)])
        task.update((number + 1) / _FOLDS, text=f"a close look, part {number + 1} of {_FOLDS}")
    return found


def blind(x: Floats, y: Labels, classes: int, *, seed: int, task: Task) -> Doubles:
    """Return (4, n, k) out-of-fold probabilities of a network that cannot see fine detail, a quarter covered each."""
    torch = need("torch")
    pictures = _coarse(_nets.tensor(x))
    side = pictures.shape[2:]

    def veiled(batch: Any, generator: Any) -> Any:
        down, right = torch.randint(-1, 2, (2,), generator=generator).tolist()
        moved = torch.roll(batch, (down, right), (2, 3))
        noisy = moved + _NOISE * torch.randn(moved.shape, generator=generator).to(moved.device)
        return noisy * _uncovered(len(batch), side, generator).to(moved.device)

    found = np.zeros((4, len(x), classes))
    for number, (net, rows) in enumerate(_fitted(pictures, y, classes, _BLIND, veiled, seed + 1)):
        asked = pictures[torch.from_numpy(rows)]
        for quarter, (top, left) in enumerate((t, le) for t in (0, 1) for le in (0, 1)):
            covered = asked.clone()
            height, width = side[0] // 2, side[1] // 2
            rows_from, columns_from = top * (side[0] - height), left * (side[1] - width)
            covered[:, :, rows_from : rows_from + height, columns_from : columns_from + width] = 0
            found[quarter, rows] = _nets.ask(net, covered)
        task.update((number + 1) / _FOLDS, text=f"a blind look, part {number + 1} of {_FOLDS}")
    return found


def _fitted(pictures: Any, y: Labels, classes: int, widths: tuple[int, ...], view: Any, seed: int) -> Any:  # noqa: PLR0913, PLR0917 - what is learned, and how
    torch = need("torch")
    labels = torch.from_numpy(y).to(pictures.device)
    for number, (fit, rows) in enumerate(_nets.folds(y, _FOLDS, seed)):
        rows_a_batch = min(_BATCH, len(fit))
        steps = max(_SEEN * len(fit) // rows_a_batch, min(_STEPS, _MOST_SEEN * len(fit) // rows_a_batch))
        net = _nets.learn(
            pictures,
            labels,
            classes=classes,
            batches=_nets.shuffled(fit, _BATCH),
            steps=steps,
            seed=seed * 31 + number,
            widths=widths,
            view=view,
        )
        yield net, rows


def _coarse(pictures: Any) -> Any:
    """Return pictures at half size (tiny ones as they are), each with mean 0 and about unit contrast."""
    pool = need("torch").nn.functional.avg_pool2d
    small = pool(pictures, 2) if min(pictures.shape[2:]) >= 16 else pictures
    centred = small - small.mean((1, 2, 3), keepdim=True)
    return centred / (centred.std((1, 2, 3), keepdim=True) + 0.05)


def _uncovered(count: int, side: Any, generator: Any) -> Any:
    """Return (n, 1, h, w) ones with one rectangle of zeros each, which may reach over the edge."""
    torch = need("torch")
    masks = []
    for length in side:
        part = length // _PART
        start = torch.randint(-part // 2, length - part // 2, (count, 1), generator=generator)
        place = torch.arange(length)[None]
        masks.append((place >= start) & (place < start + part))
    covered = masks[0][:, :, None] & masks[1][:, None, :]
    return (~covered)[:, None].float()
