"""Budget: what an adversary may do to one input, as geometry: project into it, step through it, check it.

`Ball` is an L-inf, L2 or L1 ball around an image, cut to the pixel range. `ColumnBox` is a table's: which columns may
change, by how much, which way, at what cost. Both work on numpy arrays and on torch tensors alike, so that the
attack and the training against it share one definition; `allows` is written a second time, in float64 and by
plain loops, and judges what the first let through.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from hauberk.attacks.model import Floats
from hauberk.core.columns import Column, ColumnKind
from hauberk.core.errors import InvalidInput
from hauberk.core.threats import ColumnBudget, Direction, Evasion, Norm

Array = Any  # numpy.ndarray or torch.Tensor, float32; both have the few methods that are used here
_BISECTIONS = 30  # each halves the interval: 2^-30 of the largest change, below float32's own rounding
TOLERANCE = 1e-5  # float32 rounding of values near 1, and of a sum over a row's costs


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

    def distance(self, x: Floats, origin: Floats) -> NDArray[np.float64]:
        """Return (n,): how far each row was moved, in the budget's own measure, by a plain loop in float64."""


def budget_of(threat: Evasion, columns: Sequence[Column] = ()) -> Budget:
    """Return the geometry of a declared threat. Raises InvalidInput when it names a column that is not there."""
    if threat.norm is not None:
        return Ball(threat.norm, threat.eps)
    return ColumnBox(tuple(columns), threat.columns, threat.cost)


def _namespace(value: Array) -> Any:  # noqa: ANN401 - the module numpy or torch
    torch = sys.modules.get("torch")
    return torch if torch is not None and isinstance(value, torch.Tensor) else np


def _like(values: NDArray[np.float32], x: Array) -> Array:
    """Return a constant as the same kind of array as `x`, on the same device."""
    xp = _namespace(x)
    return values if xp is np else xp.as_tensor(values, device=x.device)


def _rows(values: Array, like: Array) -> Array:
    """Shape (n,) so that it multiplies row by row."""
    return values.reshape((-1,) + (1,) * (like.ndim - 1))


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
            delta = delta * _rows((self.eps / length).clip(None, 1.0), delta)
        else:
            return l1_project(x, origin, self.eps, self.low, self.high)
        return (origin + delta).clip(self.low, self.high)

    def step(self, gradient: Array, size: float) -> Array:
        """Return eps * size times the sign of the gradient (L-inf), its direction (L2), or its largest part (L1).

        The L1 step goes along the sign of the largest twentieth of the coordinates; the very largest alone would move
        one pixel at a time (Tramèr and Boneh 2019, "Adversarial Training and Robustness for Multiple Perturbations").
        """
        if self.norm is Norm.LINF:
            return self.eps * size * _namespace(gradient).sign(gradient)
        if self.norm is Norm.L1:
            gradient = _largest(gradient, 0.05)
            return gradient * _rows(self.eps * size / abs(_flat(gradient)).sum(1).clip(1e-12, None), gradient)
        return gradient * _rows(self.eps * size / _length(gradient).clip(1e-12, None), gradient)

    def start(self, origin: Array, uniform: Array) -> Array:
        """Return a point of the ball: uniform (L-inf), or in a random direction and close to the rim (L2, L1)."""
        delta = 2.0 * uniform - 1.0
        if self.norm is Norm.LINF:
            return (origin + self.eps * delta).clip(self.low, self.high)
        length = _length(delta) if self.norm is Norm.L2 else abs(_flat(delta)).sum(1)
        reach = _rows(self.eps * _flat(uniform)[:, 0] / length.clip(1e-12, None), delta)
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
    the L1 length is eps. Found by bisection: the length falls as the threshold rises. Same definition as Croce and
    Hein 2021, "Mind the box", section 3 (they sort instead).
    """
    xp = _namespace(x)
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
    xp = _namespace(values)
    size = abs(_flat(values))
    rank = size.shape[1] - max(1, int(share * size.shape[1]))
    ordered = np.sort(size, axis=1) if xp is np else size.sort(1).values
    threshold = _rows(ordered[:, rank], values)
    return xp.sign(values) * (abs(values) >= threshold)


@dataclass(frozen=True)
class ColumnBox:
    """What a table's adversary may do: each budget's column within `by`, all changes together within `cost`.

    cost 0 means no limit on the total. An adversary stays within the range that the training rows have, [low,
    high] of the column, unless the row was outside already: values beyond it are for the schema check to refuse.
    Raises InvalidInput for a column that is not there, a number without `by`, a category with it.
    """

    columns: tuple[Column, ...]
    budgets: tuple[ColumnBudget, ...]
    cost: float = 0.0

    def __post_init__(self) -> None:
        known = {column.name: column for column in self.columns}
        for budget in self.budgets:
            column = known.get(budget.column)
            if column is None:
                raise InvalidInput(f"no column is named {budget.column!r}; known: {', '.join(known)}.")
            if column.kind is ColumnKind.CATEGORY and budget.by:
                raise InvalidInput(
                    f"column {budget.column!r} is a category: leave `by` out, any other may be chosen."
                )

    @cached_property
    def movable(self) -> tuple[tuple[int, Column, ColumnBudget], ...]:
        """Each budget with its column and that column's place."""
        place = {column.name: index for index, column in enumerate(self.columns)}
        return tuple((place[b.column], self.columns[place[b.column]], b) for b in self.budgets)

    @cached_property
    def _numbers(self) -> _Numbers:
        return _Numbers.of(self)

    def bounds(self, origin: Array) -> tuple[Array, Array]:
        """Return the lowest and highest value that each number of each row may take; unmovable ones their own."""
        table = self._numbers
        down, up = _like(table.down, origin), _like(table.up, origin)
        low, high = _like(table.low, origin), _like(table.high, origin)
        xp = _namespace(origin)
        return xp.maximum(origin - down, xp.minimum(low, origin)), xp.minimum(origin + up, xp.maximum(high, origin))

    def project(self, x: Array, origin: Array, *, whole: bool = True) -> Array:
        """Return an allowed point: within the columns' bounds, then scaled back to what the cost allows."""
        table, xp = self._numbers, _namespace(x)
        low, high = self.bounds(origin)
        category = _like(table.category, x)
        last = _like(table.high, x)
        moved = xp.minimum(xp.maximum(x, low), high)
        chosen = xp.minimum(xp.maximum(xp.round(x), x * 0), last)
        moved = xp.where(category > 0, chosen, moved)
        if whole:
            moved = self._whole(moved, origin, low, high)
        return self._affordable(moved, origin, whole=whole) if self.cost else moved

    def _whole(self, x: Array, origin: Array, low: Array, high: Array) -> Array:
        xp = _namespace(x)
        integer = _like(self._numbers.integer, x)
        near = xp.round(x)
        near = xp.where(near > high, xp.floor(high), xp.where(near < low, xp.ceil(low), near))
        return xp.where((integer > 0) & (x != origin), near, x)

    def _affordable(self, x: Array, origin: Array, *, whole: bool) -> Array:
        table, xp = self._numbers, _namespace(x)
        price, category = _like(table.price, x), _like(table.category, x)
        changed = (category > 0) & (x != origin)
        fixed = (price * changed).sum(1)
        too_dear = _rows(fixed > self.cost, x)
        x = xp.where(changed & too_dear, origin, x)
        fixed = xp.where(fixed > self.cost, fixed * 0, fixed)
        delta = xp.where(category > 0, origin * 0, x - origin)
        spent = (price * abs(delta)).sum(1)
        room = (self.cost - fixed) / spent.clip(1e-12, None)
        scale = _rows(xp.where(spent > self.cost - fixed, room, room * 0 + 1), x)
        costly = price > 0
        shrunk = xp.where(costly, delta * scale, delta)
        if whole:
            # Towards the origin, so that rounding cannot overspend; exact whole changes stay whole.
            cut = xp.sign(shrunk) * xp.floor(abs(shrunk) + 1e-4)
            integer = (_like(table.integer, x) > 0) & (scale < 1) & costly
            shrunk = xp.where(integer, cut, shrunk)
        return xp.where(category > 0, x, origin + shrunk)

    def step(self, gradient: Array, size: float) -> Array:
        """Return by * size times the sign of the gradient, on number columns; categories have no gradient."""
        return (
            _like(np.maximum(self._numbers.down, self._numbers.up), gradient)
            * size
            * _namespace(gradient).sign(gradient)
        )

    def start(self, origin: Array, uniform: Array) -> Array:
        """Return a random allowed point; each movable category is drawn anew."""
        low, high = self.bounds(origin)
        table, xp = self._numbers, _namespace(origin)
        drawn = xp.floor(uniform * (_like(table.high, origin) + 1))
        x = xp.where(_like(table.category, origin) > 0, drawn, low + uniform * (high - low))
        return self.project(x, origin)

    def scaled(self, factor: float) -> ColumnBox:
        """Return the box with `by` and `cost` times `factor`; a category may be changed from factor 1 on."""
        kinds = {column.name: column.kind for column in self.columns}
        kept = tuple(
            replace(budget, by=budget.by * factor)
            for budget in self.budgets
            if factor >= 1 or (factor > 0 and kinds[budget.column] is not ColumnKind.CATEGORY)
        )
        return ColumnBox(self.columns, kept, self.cost * factor)

    def distance(self, x: Floats, origin: Floats) -> NDArray[np.float64]:
        """Return (n,): what each row's changes cost."""
        return self.price(x, origin)

    def price(self, x: Floats, origin: Floats) -> NDArray[np.float64]:
        """Return (n,): what each row's changes cost, by a plain loop."""
        total = np.zeros(len(x), dtype=np.float64)
        for index, column, budget in self.movable:
            change = np.abs(x[:, index].astype(np.float64) - origin[:, index].astype(np.float64))
            total += budget.cost * ((change > 0) if column.kind is ColumnKind.CATEGORY else change)
        return total

    def allows(self, x: Floats, origin: Floats) -> NDArray[np.bool_]:
        """Judge each value in float64: only declared columns, their range and direction, and the total cost."""
        fine = np.asarray(np.isfinite(x).all(axis=1), dtype=np.bool_)
        movable = {index: (column, budget) for index, column, budget in self.movable}
        for index in range(x.shape[1]):
            after, before = x[:, index].astype(np.float64), origin[:, index].astype(np.float64)
            if index in movable:
                fine &= _allowed(after, before, *movable[index])
            else:
                fine &= after == before
        if self.cost:
            fine &= self.price(x, origin) <= self.cost + TOLERANCE * max(1.0, self.cost)
        return fine


def _allowed(
    after: NDArray[np.float64], before: NDArray[np.float64], column: Column, budget: ColumnBudget
) -> NDArray[np.bool_]:
    if column.kind is ColumnKind.CATEGORY:
        known = (after == np.round(after)) & (after >= 0) & (after < len(column.categories))
        return np.asarray(known, dtype=np.bool_)
    slack = TOLERANCE * np.maximum(1.0, np.abs(before))
    change = after - before
    fine = np.asarray(np.abs(change) <= budget.by + slack, dtype=np.bool_)
    if budget.direction is Direction.UP:
        fine &= change >= -slack
    if budget.direction is Direction.DOWN:
        fine &= change <= slack
    if column.kind is ColumnKind.INTEGER:
        fine &= (after == np.round(after)) | (change == 0)
    above = after >= np.minimum(column.low, before) - slack
    return np.asarray(fine & above & (after <= np.maximum(column.high, before) + slack), dtype=np.bool_)


@dataclass(frozen=True, slots=True)
class _Numbers:
    """A box as one row of float32 for each question, so that a batch is handled in a few array operations."""

    down: NDArray[np.float32]
    up: NDArray[np.float32]
    low: NDArray[np.float32]
    high: NDArray[np.float32]
    price: NDArray[np.float32]
    integer: NDArray[np.float32]
    category: NDArray[np.float32]

    @classmethod
    def of(cls, box: ColumnBox) -> _Numbers:
        width = len(box.columns)
        made = cls(*(np.zeros(width, dtype=np.float32) for _ in range(7)))
        made.low[:] = [column.low for column in box.columns]
        made.high[:] = [column.high for column in box.columns]
        for index, column, budget in box.movable:
            made.price[index] = budget.cost
            made.integer[index] = column.kind is ColumnKind.INTEGER
            made.category[index] = column.kind is ColumnKind.CATEGORY
            if column.kind is ColumnKind.CATEGORY:
                made.high[index] = len(column.categories) - 1
            else:
                made.down[index] = 0 if budget.direction is Direction.UP else budget.by
                made.up[index] = 0 if budget.direction is Direction.DOWN else budget.by
        return made
