"""Budget: the set of changes that an adversary may make to one input, as geometry.

`Region` is the part that the judge needs; sets without a gradient step (`attacks.shapes`, corruptions) are only that.
`Budget` adds projection, step and random start for searches. `Ball` is an L-inf, L2 or L1 ball around an image,
intersected with the pixel range. `ColumnBox` (in `columnbox`) is the budget of a table: which columns may change, how far,
in which direction, at what cost, and which relations must hold. Both work on numpy arrays and on torch tensors, so that
attacks and adversarial training share one definition. `allows` is a second, independent implementation in float64 by
plain loops, which judges the results of the first.
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

__all__ = ["TOLERANCE", "Array", "Ball", "Budget", "ColumnBox", "Region", "budget_of"]  # ColumnBox has its own file

_BISECTIONS = 30  # each halves the interval: 2^-30 of the largest change is below float32 rounding


class Region(Protocol):
    """A set of allowed inputs, as the judge sees it. `x` and `origin` are batches of one shape; rows are independent.

    low, high: range of every coordinate; infinite for tables, whose columns have ranges of their own.
    """

    @property
    def low(self) -> float: ...  # noqa: D102 - as above

    @property
    def high(self) -> float: ...  # noqa: D102 - as above

    def scaled(self, factor: float) -> Self:
        """Return the region with radius and cost multiplied by `factor` >= 0."""

    def allows(self, x: Floats, origin: Floats) -> NDArray[np.bool_]:
        """Return (n,): whether each row of `x` is allowed, computed in float64 with `TOLERANCE`."""

    def distance(self, x: Floats, origin: Floats) -> NDArray[np.float64]:
        """Return (n,): the size of each row's change in the region's own measure, by a plain loop in float64."""


class Budget(Region, Protocol):
    """A region with the operations of a search: projection, ascent step and random start."""

    def project(self, x: Array, origin: Array, *, whole: bool = True) -> Array:
        """Return an allowed point near `x`. whole: round integers and categories (False inside a loop)."""

    def step(self, gradient: Array, size: float) -> Array:
        """Return the steepest ascent step along `gradient`; `size` is a fraction of the radius."""

    def start(self, origin: Array, uniform: Array) -> Array:
        """Return a random allowed point; `uniform` is in [0, 1) and shaped like `origin`."""


def budget_of(threat: Evasion, columns: Sequence[Column] = ()) -> Budget:
    """Return the budget of a declared threat. Raises InvalidInput for an unknown column."""
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

    eps may be infinite for attacks that search for the smallest change; then only the box limits them. Raises InvalidInput
    for a negative or undefined radius and for an empty box.
    """

    norm: Norm
    eps: float
    low: float = 0.0
    high: float = 1.0

    def __post_init__(self) -> None:
        if not self.eps >= 0:
            raise InvalidInput(f"expected `eps` of 0 or more, found {self.eps}.")
        if not self.low < self.high:
            raise InvalidInput(f"expected `low` below `high`, found {self.low} and {self.high}.")

    def project(self, x: Array, origin: Array, *, whole: bool = True) -> Array:  # noqa: ARG002 - pixels are not rounded
        """Return a near point of ball and box.

        For L-inf and L2 the point is projected to the ball and clipped to the box, which only moves it nearer to the
        origin. For L1 it is the nearest point of the intersection, because clipping would cut off the ball's corners.
        """
        delta = x - origin
        if self.norm is Norm.LINF:
            delta = delta.clip(-self.eps, self.eps)
        elif self.norm is Norm.L2:
            length = _length(delta).clip(1e-12, None)
            delta = delta * rows((self.eps / length).clip(None, 1.0), delta)
        else:
            return _l1_project(x, origin, self.eps, self.low, self.high)
        return (origin + delta).clip(self.low, self.high)

    def step(self, gradient: Array, size: float) -> Array:
        """Return eps * size times the sign of the gradient (L-inf), its direction (L2), or its largest part (L1).

        The L1 step uses the signs of the largest twentieth of the coordinates; the largest coordinate alone would move one
        pixel at a time (Tramèr and Boneh 2019, "Adversarial Training and Robustness for Multiple Perturbations").
        """
        if self.norm is Norm.LINF:
            return self.eps * size * namespace(gradient).sign(gradient)
        if self.norm is Norm.L1:
            gradient = _largest(gradient, 0.05)
            return gradient * rows(self.eps * size / abs(_flat(gradient)).sum(1).clip(1e-12, None), gradient)
        return gradient * rows(self.eps * size / _length(gradient).clip(1e-12, None), gradient)

    def start(self, origin: Array, uniform: Array) -> Array:
        """Return a random point of the ball: uniform (L-inf), or in a random direction at a random distance (L2, L1)."""
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
        """Return (n,): the norm of each row's change in float64; NaN for rows with NaN."""
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
        """Return (n,): whether each row lies in ball and box, computed in float64."""
        slack = TOLERANCE * max(1.0, self.eps)  # rounding of a sum over pixels is proportional to it
        near = self.distance(x, origin) <= self.eps + slack
        inside = [bool(np.isfinite(row).all()) and row.min() >= self.low and row.max() <= self.high for row in x]
        return np.asarray(near & np.array(inside, dtype=np.bool_), dtype=np.bool_)


def _l1_project(x: Array, origin: Array, eps: float, low: float, high: float) -> Array:
    """Return the point nearest to `x`, in L2, of the L1 ball around `origin` cut to the box.

    Each coordinate moves towards the origin by one common threshold and is clipped to the box; bisection finds the
    threshold at which the L1 length is eps. The same definition as Croce and Hein 2021, "Mind the box", section 3 (they
    sort instead).
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
    """Return the signs of the largest `share` of each row's coordinates, at least one; 0 elsewhere."""
    xp = namespace(values)
    size = abs(_flat(values))
    rank = size.shape[1] - max(1, int(share * size.shape[1]))
    ordered = np.sort(size, axis=1) if xp is np else size.sort(1).values
    threshold = rows(ordered[:, rank], values)
    return xp.sign(values) * (abs(values) >= threshold)
