"""Shapes: what an adversary may do to a picture that is no ball: a sticker on it, a turn and a shift of it.

`Patch` allows any change inside one rectangle, `Affine` a finite set of turns and shifts. Each has the judge's half of a
budget, `allows` and `distance`, and the way from a choice to a picture; there is no slope through them to step along.
`attacks.evasion.corruptions` has the third shape, what weather, lenses and codecs do.
"""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass, replace
from functools import cached_property
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from hauberk.core.errors import InvalidInput
from hauberk.models.port import Floats

_PROBES = 24  # pixels by which a picture's turn is found, before all of it is compared
_CLOSE = 2e-4  # float32 rounding of a bilinear sum in [0, 1]


@dataclass(frozen=True, slots=True)
class Patch:
    """One rectangle of at most `share` of the picture's area and no longer than `longest` of a side, anything in it.

    Raises InvalidInput for a share outside (0, 1].
    """

    share: float
    longest: float = 0.6
    low: float = 0.0
    high: float = 1.0

    def __post_init__(self) -> None:
        if not (0 < self.share <= 1 and 0 < self.longest <= 1):
            raise InvalidInput(
                f"a sticker covers a share of the picture in (0, 1], found {self.share} and {self.longest}."
            )

    def size(self, height: int, width: int) -> tuple[int, int]:
        """Return the height and width in pixels of the largest square, or nearly, that is allowed; at least 1 by 1."""
        side = math.sqrt(self.share * height * width)
        tall = max(1, min(int(side), int(self.longest * height)))
        return tall, max(1, min(int(side), int(self.longest * width)))

    def scaled(self, factor: float) -> Patch:
        """Return the sticker with `factor` times the area."""
        return replace(self, share=min(1.0, self.share * factor))

    def allows(self, x: Floats, origin: Floats) -> NDArray[np.bool_]:
        """Judge each row: everything that changed lies in one rectangle that is small enough."""
        fine: list[bool] = []
        for row, before in zip(x, origin, strict=True):
            if not np.isfinite(row).all() or row.min() < self.low or row.max() > self.high:
                fine.append(False)
                continue
            tall, wide = _extent(row, before)
            height, width = row.shape[1:]
            small = tall * wide <= max(1.0, self.share * height * width)
            fine.append(small and tall <= max(1, self.longest * height) and wide <= max(1, self.longest * width))
        return np.array(fine, dtype=np.bool_)

    def distance(self, x: Floats, origin: Floats) -> NDArray[np.float64]:
        """Return (n,): the area of the rectangle that holds every change, as a share of the picture's."""
        sizes = [math.prod(_extent(row, before)) for row, before in zip(x, origin, strict=True)]
        return np.array(sizes, dtype=np.float64) / math.prod(x.shape[2:])


def _extent(row: Floats, before: Floats) -> tuple[int, int]:
    """Return height and width of the smallest rectangle that holds every pixel that differs."""
    changed = (row != before).any(axis=0)
    down, along = np.flatnonzero(changed.any(axis=1)), np.flatnonzero(changed.any(axis=0))
    if not len(down):
        return 0, 0
    return int(down[-1] - down[0] + 1), int(along[-1] - along[0] + 1)


@dataclass(frozen=True)
class Affine:
    """Turns about the middle by up to `degrees` and shifts by up to `pixels`, on a grid; what comes in is the border's.

    angles, shifts: how many of each, odd, so that 0 is among them. Source: Engstrom, Tran, Tsipras, Schmidt, Madry 2019,
    "Exploring the Landscape of Spatial Robustness", section 3 (31 angles and 5 by 5 shifts).
    """

    low: ClassVar[float] = 0.0
    high: ClassVar[float] = 1.0

    degrees: float = 30.0
    pixels: float = 3.0
    angles: int = 31
    shifts: int = 5

    def __post_init__(self) -> None:
        if not (0 <= self.degrees <= 180 and self.pixels >= 0 and math.isfinite(self.pixels)):
            raise InvalidInput(
                f"expected degrees in [0, 180] and pixels of 0 or more, found {self.degrees}, {self.pixels}."
            )
        if self.angles % 2 == 0 or self.shifts % 2 == 0 or min(self.angles, self.shifts) < 1:
            raise InvalidInput(f"expected odd numbers of angles and shifts, found {self.angles} and {self.shifts}.")

    @cached_property
    def choices(self) -> tuple[tuple[float, float, float], ...]:
        """Every (degrees, pixels down, pixels right), the smallest first; the first is the picture as it is."""
        turns = _spread(self.degrees, self.angles)
        moves = _spread(self.pixels, self.shifts)
        return tuple(sorted(itertools.product(turns, moves, moves), key=lambda c: (self._size(c), c)))

    def _size(self, choice: tuple[float, float, float]) -> float:
        turn = abs(choice[0]) / self.degrees if self.degrees else 0.0
        return max(turn, *((abs(move) / self.pixels if self.pixels else 0.0) for move in choice[1:]))

    def scaled(self, factor: float) -> Affine:
        """Return the grid with `factor` times the reach."""
        return replace(self, degrees=min(180.0, self.degrees * factor), pixels=self.pixels * factor)

    def warp(self, x: Floats, choice: tuple[float, float, float]) -> Floats:
        """Return (n, channels, height, width) turned and shifted, by bilinear interpolation."""
        if not any(choice):
            return x.copy()
        corners, weights = _sampling(choice, *x.shape[2:])
        flat = x.reshape(*x.shape[:2], -1)
        total = sum(flat[:, :, corner] * weight for corner, weight in zip(corners, weights, strict=True))
        return np.asarray(total, dtype=np.float32).reshape(x.shape)

    def allows(self, x: Floats, origin: Floats) -> NDArray[np.bool_]:
        """Judge each row: it is one of the turns of its origin, as scipy makes it in float64."""
        return np.isfinite(self.distance(x, origin))

    def distance(self, x: Floats, origin: Floats) -> NDArray[np.float64]:
        """Return (n,): the reach of the choice that makes each row of its origin, in [0, 1]; infinite where none does.

        Cost: a few pixels of every choice for each row, then whole pictures for the few choices that agree on them.
        """
        found = np.full(len(x), np.inf)
        found[(x == origin).all(axis=(1, 2, 3))] = 0.0
        rng = np.random.default_rng(0)
        probes = rng.choice(x.shape[2] * x.shape[3], min(_PROBES, x.shape[2] * x.shape[3]), replace=False)
        seen = x.reshape(*x.shape[:2], -1)[:, :, probes]
        for choice in self.choices:
            rows = np.flatnonzero(~np.isfinite(found))
            if not len(rows):
                break
            corners, weights = _sampling(choice, *x.shape[2:])
            flat = origin[rows].reshape(len(rows), x.shape[1], -1)
            made = sum(flat[:, :, c[probes]] * w[probes] for c, w in zip(corners, weights, strict=True))
            near = rows[np.abs(made - seen[rows]).max(axis=(1, 2)) <= 10 * _CLOSE]
            for row in near:
                if np.abs(_by_scipy(origin[row], choice) - x[row]).max() <= _CLOSE:
                    found[row] = self._size(choice)
        return found


def _spread(reach: float, count: int) -> list[float]:
    return [0.0] if count == 1 or not reach else [float(v) for v in np.linspace(-reach, reach, count)]


def _matrix(
    choice: tuple[float, float, float], height: int, width: int
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return rotation and offset that lead from a pixel of the result to where it was in the origin."""
    angle = math.radians(choice[0])
    turn = np.array([[math.cos(angle), -math.sin(angle)], [math.sin(angle), math.cos(angle)]])
    middle = np.array([(height - 1) / 2, (width - 1) / 2])
    return turn, middle - turn @ (middle + np.array(choice[1:]))


def _sampling(
    choice: tuple[float, float, float], height: int, width: int
) -> tuple[list[NDArray[np.intp]], list[Floats]]:
    """Return the four pixels of the origin that each pixel of the result lies between, and their weights."""
    turn, offset = _matrix(choice, height, width)
    grid = np.stack(np.meshgrid(np.arange(height), np.arange(width), indexing="ij")).reshape(2, -1)
    place = turn @ grid + offset[:, None]
    place = np.clip(place, 0, np.array([[height - 1], [width - 1]]))
    start = np.minimum(np.floor(place), np.array([[max(0, height - 2)], [max(0, width - 2)]])).astype(np.intp)
    part = place - start
    corners, weights = [], []
    for down, right in itertools.product((0, 1), (0, 1)):
        there = np.minimum(start + np.array([[down], [right]]), np.array([[height - 1], [width - 1]]))
        corners.append(there[0] * width + there[1])
        share = (part[0] if down else 1 - part[0]) * (part[1] if right else 1 - part[1])
        weights.append(share.astype(np.float32))
    return corners, weights


def _by_scipy(image: Floats, choice: tuple[float, float, float]) -> NDArray[np.float64]:
    from scipy.ndimage import affine_transform

    turn, offset = _matrix(choice, *image.shape[1:])
    layers = [affine_transform(layer.astype(np.float64), turn, offset, order=1, mode="nearest") for layer in image]
    return np.stack(layers)
