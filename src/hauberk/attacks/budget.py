"""Budget: what an adversary may do to one input, as geometry: project into it, step through it, check it.

`Ball` is an L-inf or L2 ball around an image, cut to the pixel range. `ColumnBox` (in `columnbox`) is a table's: which
columns may change, by how much, which way, at what cost, and what must hold between them. Both work on numpy arrays
and on torch tensors alike, so that the attack and the training against it share one definition; `allows` is written a
second time, in float64 and by plain loops, and judges what the first let through.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from hauberk.attacks.arrays import TOLERANCE, Array, namespace, rows
from hauberk.attacks.columnbox import ColumnBox
from hauberk.attacks.model import Floats
from hauberk.core.columns import Column
from hauberk.core.threats import Evasion, Norm

__all__ = ["TOLERANCE", "Array", "Ball", "Budget", "ColumnBox", "budget_of"]  # the boxes have a file of their own


class Budget(Protocol):
    """What may be done to an input. `x` and `origin` are batches of one shape; rows are independent."""

    def project(self, x: Array, origin: Array, *, whole: bool = True) -> Array:
        """Return the allowed point near `x`. whole: integers and categories are made whole (off inside a loop)."""

    def step(self, gradient: Array, size: float) -> Array:
        """Return the steepest ascent along `gradient`; `size` is a fraction of the radius."""

    def start(self, origin: Array, uniform: Array) -> Array:
        """Return a random allowed point; `uniform` is in [0, 1) and shaped like `origin`."""

    def scaled(self, factor: float) -> Budget:
        """Return the budget with its radius, and its cost, times `factor` >= 0."""

    def allows(self, x: Floats, origin: Floats) -> NDArray[np.bool_]:
        """Return (n,): whether each row of `x` is allowed, judged in float64 with `TOLERANCE`."""


def budget_of(threat: Evasion, columns: Sequence[Column] = ()) -> Budget:
    """Return the geometry of a declared threat. Raises InvalidInput when it names a column that is not there."""
    if threat.norm is not None:
        return Ball(threat.norm, threat.eps)
    return ColumnBox(tuple(columns), threat.columns, threat.cost, threat.relations)


def _length(delta: Array) -> Array:
    return (delta.reshape(delta.shape[0], -1) ** 2).sum(1) ** 0.5


@dataclass(frozen=True, slots=True)
class Ball:
    """All inputs within `eps` of the origin in `norm`, and within [low, high] in every coordinate."""

    norm: Norm
    eps: float
    low: float = 0.0
    high: float = 1.0

    def project(self, x: Array, origin: Array, *, whole: bool = True) -> Array:  # noqa: ARG002 - no pixel is whole
        """Return the nearest point of the ball, then of the box: that cut only moves nearer to the origin."""
        delta = x - origin
        if self.norm is Norm.LINF:
            delta = delta.clip(-self.eps, self.eps)
        else:
            length = _length(delta).clip(1e-12, None)
            delta = delta * rows((self.eps / length).clip(None, 1.0), delta)
        return (origin + delta).clip(self.low, self.high)

    def step(self, gradient: Array, size: float) -> Array:
        """Return eps * size times the sign of the gradient (L-inf), or its direction (L2)."""
        if self.norm is Norm.LINF:
            return self.eps * size * namespace(gradient).sign(gradient)
        return gradient * rows(self.eps * size / _length(gradient).clip(1e-12, None), gradient)

    def start(self, origin: Array, uniform: Array) -> Array:
        """Return a point of the ball: uniform (L-inf), or in a random direction and close to the rim (L2)."""
        delta = 2.0 * uniform - 1.0
        if self.norm is Norm.LINF:
            return (origin + self.eps * delta).clip(self.low, self.high)
        return (origin + self.step(delta, 1.0) * rows(uniform.reshape(uniform.shape[0], -1)[:, 0], delta)).clip(
            self.low, self.high
        )

    def scaled(self, factor: float) -> Ball:
        """Return the ball with radius eps * factor."""
        return replace(self, eps=self.eps * factor)

    def allows(self, x: Floats, origin: Floats) -> NDArray[np.bool_]:
        """Judge each row in float64."""
        verdicts: list[bool] = []
        for row, before in zip(x.astype(np.float64), origin.astype(np.float64), strict=True):
            change = np.abs(row - before).ravel()
            size = change.max(initial=0.0) if self.norm is Norm.LINF else float(np.sqrt(np.sum(change**2)))
            inside = bool(np.isfinite(row).all()) and row.min() >= self.low and row.max() <= self.high
            verdicts.append(inside and size <= self.eps + TOLERANCE)
        return np.array(verdicts, dtype=np.bool_)
