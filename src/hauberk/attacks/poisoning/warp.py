"""Warp: pictures are slightly distorted, always in the same way, and get the target's label; no pixel looks unusual.

Nguyen, Tran, "WaNet: Imperceptible Warping-based Backdoor Attack", ICLR 2021, section 3.2, without the noise mode,
which needs control of the training.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from hauberk.attacks.poisoning import POISONERS
from hauberk.attacks.poisoning._pick import Backdoor, check_share, dirty_label
from hauberk.attacks.poisoning._victim import Floats, Poisoned, Victim
from hauberk.core.errors import InvalidInput
from hauberk.core.extras import need
from hauberk.core.progress import Task


@dataclass(frozen=True, slots=True)
class Params(Backdoor):
    """The backdoor parameters and the distortion."""

    grid: int = field(default=4, metadata={"help": "control points along each side of the picture"})
    strength: float = field(default=0.5, metadata={"help": "mean displacement, in half pixels"})

    def __post_init__(self) -> None:
        check_share(self.share)
        if self.grid < 2 or not self.strength > 0:
            raise InvalidInput(f"expected grid >= 2 and strength > 0, found {self.grid} and {self.strength}.")


@POISONERS.register(
    "warp",
    practice="1a",
    threats=("poisoning",),
    summary="bent a little, always alike, and the target's label",
    params=Params,
    kinds=("image",),
)
def warp(victim: Victim, params: Params, *, rng: np.random.Generator, task: Task) -> Poisoned:
    """Return the rows with some of them distorted by one smooth field."""
    del task  # quick
    field = _field(victim.x.shape[2:], params, rng) if victim.x.ndim == 4 else np.zeros((2, 1, 1))

    def trigger(x: Floats) -> Floats:
        return _bent(x, field)

    return dirty_label(victim, params, trigger, rng=rng)


def _field(size: tuple[int, ...], params: Params, rng: np.random.Generator) -> npt.NDArray[np.float64]:
    """Return (2, height, width): displacement of each pixel's source, in pixels."""
    zoom = need("scipy.ndimage").zoom
    coarse = rng.uniform(-1, 1, (2, params.grid, params.grid))
    coarse /= np.abs(coarse).mean()
    fine = np.stack(
        [
            zoom(axis, (size[0] / params.grid, size[1] / params.grid), order=3, mode="nearest", grid_mode=True)
            for axis in coarse
        ]
    )
    # The paper's grid runs from -1 to 1 over the picture and moves by strength / size: half a pixel for each unit.
    found: npt.NDArray[np.float64] = params.strength * fine * 0.5
    return found


def _bent(x: Floats, field: npt.NDArray[np.float64]) -> Floats:
    """Return the pictures sampled bilinearly at the displaced positions; outside, the border is repeated."""
    height, width = x.shape[2:]
    rows = np.clip(np.arange(height)[:, None] + field[0], 0, height - 1)
    columns = np.clip(np.arange(width)[None] + field[1], 0, width - 1)
    top, left = np.floor(rows).astype(int), np.floor(columns).astype(int)
    below, right = np.minimum(top + 1, height - 1), np.minimum(left + 1, width - 1)
    down, across = (rows - top).astype(np.float32), (columns - left).astype(np.float32)
    upper = x[:, :, top, left] * (1 - across) + x[:, :, top, right] * across
    lower = x[:, :, below, left] * (1 - across) + x[:, :, below, right] * across
    bent: Floats = (upper * (1 - down) + lower * down).astype(np.float32)
    return bent
