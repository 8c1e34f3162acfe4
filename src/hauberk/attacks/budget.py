"""Budget: what an adversary may do to one input, as geometry: project into it, step through it, check it.

`Region` is the judge's half, which shapes without a slope have too (`attacks.shapes`, corruptions); `Budget` adds the search's.
`Ball` is an L-inf, L2 or L1 ball around an image, cut to the pixel range. `ColumnBox` (in `columnbox`) is a table's:
which columns may change, by how much, which way, at what cost, and what must hold between them. Both work on numpy
arrays and on torch tensors alike, so that the attack and the training against it share one definition; `allows` is
written a second time, in float64 and by plain loops, and judges what the first let through.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Protocol, Self

import numpy as np
from numpy.typing import NDArray

from hauberk.attacks.arrays import TOLERANCE, Array, namespace, rows
from hauberk.attacks.columnbox import ColumnBox
from hauberk.core.columns import Column
from hauberk.core.errors import InvalidInput
from hauberk.core.threats import Evasion, Norm
from hauberk.models.port import Floats

__all__ = ["TOLERANCE", "Array", "Ball", "Budget", "ColumnBox", "Region", "budget_of"]  # boxes have their own file

_BISECTIONS = 30  # each halves the interval: 2^-30 of the largest change, below float32's own rounding


class Region(Protocol):
    """What may be made of an input, as it is judged. `x` and `origin` are batches of one shape; rows are independent.

    low, high: of every coordinate of an input; infinite for tables, whose columns have each their own.
    """

    @property
    def low(self) -> float: ...  # noqa: D102 - as above

    @property
    def high(self) -> float: ...  # noqa: D102 - as above

    def scaled(self, factor: float) -> Self:
        """Return the region with its radius, and its cost, times `factor` >= 0."""

    def allows(self, x: Floats, origin: Floats) -> NDArray[np.bool_]:
        """Return (n,): whether each row of `x` is allowed, judged in float64 with `TOLERANCE`."""

    def distance(self, x: Floats, origin: Floats) -> NDArray[np.float64]:
        """Return (n,): how far each row was moved, in the region's own measure, by a plain loop in float64."""


class Budget(Region, Protocol):
    """A region that a search can move in: into it, along it, and to a point of it."""

    def project(self, x: Array, origin: Array, *, whole: bool = True) -> Array:
        """Return the allowed point near `x`. whole: integers and categories are made whole (off inside a loop)."""

    def step(self, gradient: Array, size: float) -> Array:
        """Return the steepest ascent along `gradient`; `size` is a fraction of the radius."""

    def start(self, origin: Array, uniform: Array) -> Array:
        """Return a random allowed point; `uniform` is in [0, 1) and shaped like `origin`."""


def budget_of(threat: Evasion, columns: Sequence[Column] = ()) -> Budget:
    """Return the geometry of a declared threat. Raises InvalidInput when it names a column that is not there."""
    if threat.norm is not None:
        return Ball(threat.norm, threat.eps)
    return ColumnBox(tuple(columns), threat.columns, threat.cost, threat.relations)


def _flat(values: Array) -> Array:
    return values.reshape(values.shape[0], math.prod(values.shape[1:]))


def _length(delta: Array) -> Array:
    return (_flat(delta) ** 2).sum(1) ** 0.5


@dataclass(frozen=True, slots=True)
class Ball:
    """All inputs within `eps` of the origin in `norm`, and within [low, high] in every coordinate.

    eps may be infinite: the box alone, for attacks that look for the smallest change. Raises InvalidInput for a
    negative or undefined radius and for an empty box.
    """

    norm: Norm
    eps: float
    low: float = 0.0
    high: float = 1.0

    def __post_init__(self) -> None:
        if not self.eps >= 0:
            raise InvalidInput(f"`eps` must be 0 or more, found {self.eps}.")
        if not self.low < self.high:
            raise InvalidInput(f"`low` must be below `high`, found {self.low} and {self.high}.")

    def project(self, x: Array, origin: Array, *, whole: bool = True) -> Array:  # noqa: ARG002 - no pixel is whole
        """Return a near point of the ball, cut to the box: for L-inf and L2 that cut only moves nearer to the origin.

        For L1 it is the nearest point of ball and box together, as the L1 ball's corners would else be cut away.
        """
        delta = x - origin
        if self.norm is Norm.LINF:
            delta = delta.clip(-self.eps, self.eps)
        elif self.norm is Norm.L2:
            length = _length(delta).clip(1e-12, None)
            delta = delta * rows((self.eps / length).clip(None, 1.0), delta)
        else:
            return l1_project(x, origin, self.eps, self.low, self.high)
        return (origin + delta).clip(self.low, self.high)

    def step(self, gradient: Array, size: float) -> Array:
        """Return eps * size times the sign of the gradient (L-inf), its direction (L2), or its largest part (L1).

        The L1 step goes along the sign of the largest twentieth of the coordinates; the very largest alone would move
        one pixel at a time (Tramèr and Boneh 2019, "Adversarial Training and Robustness for Multiple Perturbations").
        """
        if self.norm is Norm.LINF:
            return self.eps * size * namespace(gradient).sign(gradient)
        if self.norm is Norm.L1:
            gradient = _largest(gradient, 0.05)
            return gradient * rows(self.eps * size / abs(_flat(gradient)).sum(1).clip(1e-12, None), gradient)
        return gradient * rows(self.eps * size / _length(gradient).clip(1e-12, None), gradient)

    def start(self, origin: Array, uniform: Array) -> Array:
        """Return a point of the ball: uniform (L-inf), or in a random direction and close to the rim (L2, L1)."""
        delta = 2.0 * uniform - 1.0
        if self.norm is Norm.LINF:
            return (origin + self.eps * delta).clip(self.low, self.high)
        length = _length(delta) if self.norm is Norm.L2 else abs(_flat(delta)).sum(1)
        reach = rows(self.eps * _flat(uniform)[:, 0] / length.clip(1e-12, None), delta)
        return (origin + delta * reach).clip(self.low, self.high)

    def scaled(self, factor: float) -> Ball:
        """Return the ball with radius eps * factor."""
        return replace(self, eps=self.eps * factor)

    def distance(self, x: Floats, origin: Floats) -> NDArray[np.float64]:
        """Measure each row in float64; NaN where a value is none."""
        sizes = [
            self._size(np.abs(row - before).ravel())
            for row, before in zip(x.astype(np.float64), origin.astype(np.float64), strict=True)
        ]
        return np.array(sizes, dtype=np.float64)

    def _size(self, change: NDArray[np.float64]) -> float:
        if self.norm is Norm.LINF:
            return float(change.max(initial=0.0))
        return float(np.sqrt(np.sum(change**2)) if self.norm is Norm.L2 else np.sum(change))

    def allows(self, x: Floats, origin: Floats) -> NDArray[np.bool_]:
        """Judge each row in float64."""
        slack = TOLERANCE * max(1.0, self.eps)  # a sum over pixels rounds in proportion
        near = self.distance(x, origin) <= self.eps + slack
        inside = [bool(np.isfinite(row).all()) and row.min() >= self.low and row.max() <= self.high for row in x]
        return np.asarray(near & np.array(inside, dtype=np.bool_), dtype=np.bool_)


def l1_project(x: Array, origin: Array, eps: float, low: float, high: float) -> Array:
    """Return the point nearest to `x`, in L2, of the L1 ball around `origin` cut to the box.

    Each coordinate is moved towards the origin by one common threshold and held to the box; the threshold is where
    the L1 length is eps. AttackResult by bisection: the length falls as the threshold rises. Same definition as Croce and
    Hein 2021, "Mind the box", section 3 (they sort instead).
    """
    xp = namespace(x)
    delta = x - origin
    held = xp.minimum(xp.maximum(delta, low - origin), high - origin)
    sign, size, room = xp.sign(delta), abs(_flat(delta)), abs(_flat(held))
    floor = size.max(1) if xp is np else size.amax(1)
    least, most = floor * 0, floor
    for _ in range(_BISECTIONS):
        middle = (least + most) / 2
        long = xp.minimum((size - middle[:, None]).clip(0, None), room).sum(1) > eps
        least, most = xp.where(long, middle, least), xp.where(long, most, middle)
    most = xp.where(room.sum(1) > eps, most, most * 0)
    shrunk = xp.minimum((size - most[:, None]).clip(0, None), room).reshape(x.shape) * sign
    return (origin + shrunk).clip(low, high)


def _largest(values: Array, share: float) -> Array:
    """Return the signs of the largest `share` of each row's coordinates, one at least; 0 elsewhere."""
    xp = namespace(values)
    size = abs(_flat(values))
    rank = size.shape[1] - max(1, int(share * size.shape[1]))
    ordered = np.sort(size, axis=1) if xp is np else size.sort(1).values
    threshold = rows(ordered[:, rank], values)
    return xp.sign(values) * (abs(values) >= threshold)
