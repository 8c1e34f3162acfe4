"""Shapes: budgets on pictures that are not balls: stickers, and rotations with shifts.

`Patch` allows any change inside one rectangle, `Affine` a finite set of rotations and shifts. Both are a `budget.Region`
(`allows` and `distance`); neither has a gradient step. The third shape, effects of weather, lenses and codecs, is
`attacks.evasion.methods.corruptions.Corrupted`.
"""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from hauberk.core.errors import InvalidInput
from hauberk.models.port import Floats

_PROBES = 24  # pixels compared first, before whole pictures are compared
_CLOSE = 2e-4  # float32 rounding of a bilinear sum in [0, 1]


@dataclass(frozen=True, slots=True)
class Patch:
    """Arbitrary values inside one rectangle.

    share: largest share of the picture's area, in (0, 1]. longest: largest share of a side, in (0, 1]. Raises InvalidInput
    for shares outside (0, 1].
    """

    share: float = field(metadata={"help": "largest share of the picture's area, in (0, 1]"})
    longest: float = field(default=0.6, metadata={"help": "largest share of a side of the picture, in (0, 1]"})
    low: float = 0.0
    high: float = 1.0

    def __post_init__(self) -> None:
        if not (0 < self.share <= 1 and 0 < self.longest <= 1):
            raise InvalidInput(
                f"expected a share of the picture and of a side in (0, 1], found {self.share} and {self.longest}."
            )

    def size(self, height: int, width: int) -> tuple[int, int]:
        """Return height and width in pixels of the largest allowed near-square, at least 1 by 1."""
        side = math.sqrt(self.share * height * width)
        tall = max(1, min(int(side), int(self.longest * height)))
        return tall, max(1, min(int(side), int(self.longest * width)))

    def scaled(self, factor: float) -> Patch:
        """Return the region with `factor` times the area, at most the whole picture."""
        return replace(self, share=min(1.0, self.share * factor))

    def allows(self, x: Floats, origin: Floats) -> NDArray[np.bool_]:
        """Return (n,): whether all changes of a row lie in one rectangle that is small enough."""
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
        """Return (n,): the area of the rectangle around all changes, as a share of the picture's area."""
        sizes = [math.prod(_extent(row, before)) for row, before in zip(x, origin, strict=True)]
        return np.array(sizes, dtype=np.float64) / math.prod(x.shape[2:])


def _extent(row: Floats, before: Floats) -> tuple[int, int]:
    """Return height and width of the smallest rectangle around all pixels that differ."""
    changed = (row != before).any(axis=0)
    down, along = np.flatnonzero(changed.any(axis=1)), np.flatnonzero(changed.any(axis=0))
    if not len(down):
        return 0, 0
    return int(down[-1] - down[0] + 1), int(along[-1] - along[0] + 1)


@dataclass(frozen=True)
class Affine:
    """Rotations about the centre and shifts, on a grid; pixels from outside repeat the border.

    degrees, pixels: the largest rotation and shift. angles, shifts: number of grid points, odd, so that 0 is one of them.
    Source: Engstrom, Tran, Tsipras, Schmidt, Madry 2019, "Exploring the Landscape of Spatial Robustness", section 3
    (31 angles and 5 by 5 shifts). Raises InvalidInput for even numbers and for impossible sizes.
    """

    low: ClassVar[float] = 0.0
    high: ClassVar[float] = 1.0

    degrees: float = field(default=30.0, metadata={"help": "largest rotation in degrees"})
    pixels: float = field(default=3.0, metadata={"help": "largest shift in pixels, along each axis"})
    angles: int = field(default=31, metadata={"help": "number of angles on the grid, odd"})
    shifts: int = field(default=5, metadata={"help": "number of shifts on the grid along each axis, odd"})

    def __post_init__(self) -> None:
        if not (0 <= self.degrees <= 180 and self.pixels >= 0 and math.isfinite(self.pixels)):
            raise InvalidInput(
                f"expected degrees in [0, 180] and pixels of 0 or more, found {self.degrees}, {self.pixels}."
            )
        if self.angles % 2 == 0 or self.shifts % 2 == 0 or min(self.angles, self.shifts) < 1:
            raise InvalidInput(f"expected odd numbers of angles and shifts, found {self.angles} and {self.shifts}.")

    @cached_property
    def choices(self) -> tuple[tuple[float, float, float], ...]:
        """All (degrees, pixels down, pixels right), smallest first; the first changes nothing."""
        turns = _spread(self.degrees, self.angles)
        moves = _spread(self.pixels, self.shifts)
        return tuple(sorted(itertools.product(turns, moves, moves), key=lambda c: (self._size(c), c)))

    def _size(self, choice: tuple[float, float, float]) -> float:
        turn = abs(choice[0]) / self.degrees if self.degrees else 0.0
        return max(turn, *((abs(move) / self.pixels if self.pixels else 0.0) for move in choice[1:]))

    def scaled(self, factor: float) -> Affine:
        """Return the grid with the largest rotation and shift multiplied by `factor`."""
        return replace(self, degrees=min(180.0, self.degrees * factor), pixels=self.pixels * factor)

    def warp(self, x: Floats, choice: tuple[float, float, float]) -> Floats:
        """Return (n, channels, height, width) rotated and shifted, by bilinear interpolation."""
        if not any(choice):
            return x.copy()
        corners, weights = _sampling(choice, *x.shape[2:])
        flat = x.reshape(*x.shape[:2], -1)
        total = sum(flat[:, :, corner] * weight for corner, weight in zip(corners, weights, strict=True))
        return np.asarray(total, dtype=np.float32).reshape(x.shape)

    def allows(self, x: Floats, origin: Floats) -> NDArray[np.bool_]:
        """Return (n,): whether a row is one of the grid's transformations of its origin, as scipy computes it in float64."""
        return np.isfinite(self.distance(x, origin))

    def distance(self, x: Floats, origin: Floats) -> NDArray[np.float64]:
        """Return (n,): the size in [0, 1] of the transformation that produces each row, infinite if none does.

        Cost: a few pixels of every transformation for each row, then whole pictures for the few that match there.
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
    """Return the rotation and offset that map a pixel of the result to its position in the origin."""
    angle = math.radians(choice[0])
    turn = np.array([[math.cos(angle), -math.sin(angle)], [math.sin(angle), math.cos(angle)]])
    middle = np.array([(height - 1) / 2, (width - 1) / 2])
    return turn, middle - turn @ (middle + np.array(choice[1:]))


def _sampling(
    choice: tuple[float, float, float], height: int, width: int
) -> tuple[list[NDArray[np.intp]], list[Floats]]:
    """Return, for each pixel of the result, four pixels of the origin to interpolate between, and their weights."""
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
