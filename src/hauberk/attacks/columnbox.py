"""ColumnBox: the changes that an adversary may make to a row of a table: columns, sizes, costs and relations.

This file handles types, ranges and costs; `repair` makes rows satisfy the relations. `allows` is a second, independent
implementation in float64, column by column, which judges the results of the first.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from functools import cached_property
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from hauberk.attacks import relations
from hauberk.attacks.arrays import TOLERANCE, Array, like, namespace, rows
from hauberk.attacks.repair import Repair
from hauberk.core.columns import Column, ColumnKind
from hauberk.core.errors import InvalidInput
from hauberk.core.relations import Relation, parse
from hauberk.core.threats import ColumnBudget, Direction

Floats = NDArray[np.float32]


@dataclass(frozen=True)
class ColumnBox:
    """The budget of a table: each budget's column changes by at most `by`, and all changes cost at most `cost`.

    cost: 0 means no limit. A changed number stays within the budget's [low, high] or, without these, within the range of
    the training rows, unless the row was outside already; the schema check refuses values beyond that range. relations:
    equalities, inequalities and implications between columns, in the syntax of `core.relations`; a row that breaks one
    unchanged may keep breaking it, but not by more. A column that a relation defines (`total = a + b`) and that has no
    budget is computed from the other columns, at no cost. Raises InvalidInput for an unknown column or category, a number
    without `by`, a category with `by`, and a relation that does arithmetic on categories.
    """

    low: ClassVar[float] = -math.inf
    high: ClassVar[float] = math.inf

    columns: tuple[Column, ...]
    budgets: tuple[ColumnBudget, ...]
    cost: float = 0.0
    relations: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        known = {column.name: column for column in self.columns}
        for budget in self.budgets:
            column = known.get(budget.column)
            if column is None:
                raise InvalidInput(f"no column is named {budget.column!r}; known: {', '.join(known)}.")
            _check_kind(budget, column)
        for relation in self.parsed:
            relations.check(relation, known)
        relations.following(self.parsed, self.columns, {budget.column for budget in self.budgets})

    @cached_property
    def parsed(self) -> tuple[Relation, ...]:
        """The parsed relations."""
        return tuple(parse(text) for text in self.relations)

    @cached_property
    def movable(self) -> tuple[tuple[int, Column, ColumnBudget], ...]:
        """(column index, column, budget) for each budget."""
        place = {column.name: index for index, column in enumerate(self.columns)}
        return tuple((place[b.column], self.columns[place[b.column]], b) for b in self.budgets)

    @cached_property
    def following(self) -> dict[int, Relation]:
        """Indices of computed columns without a budget, each with the relation that defines it, in order of computation."""
        return relations.following(self.parsed, self.columns, {budget.column for budget in self.budgets})

    @cached_property
    def _numbers(self) -> _Numbers:
        return _Numbers.of(self)

    @cached_property
    def _repair(self) -> Repair:
        return Repair.of(
            self.columns,
            self.parsed,
            self.following,
            frozenset(index for index, _, _ in self.movable),
            bounds=self.bounds,
            affordable=self._affordable if self.cost else None,
        )

    @property
    def prices(self) -> Floats:
        """(columns,) float32: cost of one unit of change; 0 for columns that are free or cannot change."""
        return self._numbers.price

    def bounds(self, origin: Array) -> tuple[Array, Array]:
        """Return (n, columns) lowest and highest allowed values; for columns that cannot change, the row's own value."""
        table = self._numbers
        down, up = like(table.down, origin), like(table.up, origin)
        low, high = like(table.low, origin), like(table.high, origin)
        xp = namespace(origin)
        return xp.maximum(origin - down, xp.minimum(low, origin)), xp.minimum(origin + up, xp.maximum(high, origin))

    def project(self, x: Array, origin: Array, *, whole: bool = True) -> Array:
        """Return an allowed point: clipped to the columns' bounds, then to the cost, then repaired for the relations."""
        moved = self._boxed(x, origin, whole=whole)
        return self._repair(moved, origin, whole=whole) if self.relations else moved

    def _boxed(self, x: Array, origin: Array, *, whole: bool) -> Array:
        table, xp = self._numbers, namespace(x)
        low, high = self.bounds(origin)
        category = like(table.category, x)
        last = like(table.high, x)
        moved = xp.minimum(xp.maximum(x, low), high)
        chosen = xp.minimum(xp.maximum(xp.round(x), x * 0), last)
        moved = xp.where(category > 0, self._choosable(chosen, origin), moved)
        if whole:
            moved = self._whole(moved, origin, low, high)
        return self._affordable(moved, origin, whole=whole) if self.cost else moved

    def _choosable(self, codes: Array, origin: Array) -> Array:
        """Return category codes, with codes that the adversary may not choose replaced by the origin's."""
        choosable = self._numbers.choosable
        if choosable is None:
            return codes
        xp, table = namespace(codes), like(choosable, codes)
        last = table.shape[1] - 1
        index = codes.clip(0, last).astype(np.int64) if xp is np else codes.clip(0, last).long()
        fine = table[xp.arange(table.shape[0]), index] if xp is np else table.gather(1, index.T).T
        return xp.where(fine > 0, codes, origin)

    def _whole(self, x: Array, origin: Array, low: Array, high: Array) -> Array:
        xp = namespace(x)
        integer = like(self._numbers.integer, x)
        near = xp.round(x)
        near = xp.where(near > high, xp.floor(high), xp.where(near < low, xp.ceil(low), near))
        return xp.where((integer > 0) & (x != origin), near, x)

    def _affordable(self, x: Array, origin: Array, *, whole: bool) -> Array:
        table, xp = self._numbers, namespace(x)
        price, category = like(table.price, x), like(table.category, x)
        changed = (category > 0) & (x != origin)
        fixed = (price * changed).sum(1)
        over = rows(fixed > self.cost, x)
        x = xp.where(changed & over, origin, x)
        fixed = xp.where(fixed > self.cost, fixed * 0, fixed)
        delta = xp.where(category > 0, origin * 0, x - origin)
        spent = (price * abs(delta)).sum(1)
        room = (self.cost - fixed) / spent.clip(1e-12, None)
        scale = rows(xp.where(spent > self.cost - fixed, room, room * 0 + 1), x)
        costly = price > 0
        shrunk = xp.where(costly, delta * scale, delta)
        if whole:
            # Round towards the origin, so that the cost is not exceeded; exact whole changes stay whole.
            cut = xp.sign(shrunk) * xp.floor(abs(shrunk) * (1 + 1e-6) + 1e-6)
            integer = (like(table.integer, x) > 0) & (scale < 1) & costly
            shrunk = xp.where(integer, cut, shrunk)
        return xp.where(category > 0, x, origin + shrunk)

    def step(self, gradient: Array, size: float) -> Array:
        """Return by * size times the sign of the gradient for number columns; categories have no gradient."""
        reach = like(np.maximum(self._numbers.down, self._numbers.up), gradient)
        return reach * size * namespace(gradient).sign(self.carried(gradient))

    def carried(self, gradient: Array) -> Array:
        """Return the gradient by the free columns, with the contributions of computed columns added (chain rule)."""
        return self._repair.carried(gradient) if self.following else gradient

    def start(self, origin: Array, uniform: Array) -> Array:
        """Return a random allowed point; each category with a budget is drawn anew."""
        low, high = self.bounds(origin)
        table, xp = self._numbers, namespace(origin)
        drawn = xp.floor(uniform * (like(table.high, origin) + 1))
        x = xp.where(like(table.category, origin) > 0, drawn, low + uniform * (high - low))
        return self.project(x, origin)

    def scaled(self, factor: float) -> ColumnBox:
        """Return the box with `by` and `cost` times `factor`; categories may change only for factors of 1 or more."""
        kinds = {column.name: column.kind for column in self.columns}
        kept = tuple(
            replace(budget, by=budget.by * factor)
            for budget in self.budgets
            if factor >= 1 or (factor > 0 and kinds[budget.column] is not ColumnKind.CATEGORY)
        )
        return ColumnBox(self.columns, kept, self.cost * factor, self.relations)

    def distance(self, x: Floats, origin: Floats) -> NDArray[np.float64]:
        """Return (n,): the cost of each row's changes."""
        return self.price(x, origin)

    def price(self, x: Floats, origin: Floats) -> NDArray[np.float64]:
        """Return (n,): the cost of each row's changes, by a plain loop. Computed columns cost nothing."""
        total = np.zeros(len(x), dtype=np.float64)
        for index, column, budget in self.movable:
            change = np.abs(x[:, index].astype(np.float64) - origin[:, index].astype(np.float64))
            total += budget.cost * ((change > 0) if column.kind is ColumnKind.CATEGORY else change)
        return total

    def allows(self, x: Floats, origin: Floats) -> NDArray[np.bool_]:
        """Return (n,): whether only declared columns changed, within range, direction, total cost and relations, in float64."""
        fine = np.asarray(np.isfinite(x).all(axis=1), dtype=np.bool_)
        movable = {index: (column, budget) for index, column, budget in self.movable}
        for index in range(x.shape[1]):
            after, before = x[:, index].astype(np.float64), origin[:, index].astype(np.float64)
            if index in movable:
                fine &= _allowed(after, before, *movable[index])
            elif index in self.following:
                column = self.columns[index]
                fine &= _kept(after, before, column, column.low, column.high)
            else:
                fine &= after == before
        if self.cost:
            fine &= self.price(x, origin) <= self.cost + TOLERANCE * max(1.0, self.cost)
        for relation in self.parsed:
            fine &= relations.holds(relation, self.columns, x, origin)
        return fine


def _check_kind(budget: ColumnBudget, column: Column) -> None:
    if column.kind is not ColumnKind.CATEGORY:
        if budget.choices:
            raise InvalidInput(f"column {budget.column!r} is a number: `choices` are for categories.")
        return
    if budget.by:
        raise InvalidInput(
            f"column {budget.column!r} is a category: leave `by` out; the adversary may choose any other category."
        )
    if budget.low is not None or budget.high is not None:
        raise InvalidInput(f"column {budget.column!r} is a category: use `choices` to limit the categories.")
    for choice in budget.choices:
        if choice not in column.categories:
            known = ", ".join(column.categories)
            raise InvalidInput(f"column {budget.column!r} has no category {choice!r}; known: {known}.")


def _allowed(
    after: NDArray[np.float64], before: NDArray[np.float64], column: Column, budget: ColumnBudget
) -> NDArray[np.bool_]:
    if column.kind is ColumnKind.CATEGORY:
        codes = [float(column.categories.index(choice)) for choice in budget.choices or column.categories]
        return np.asarray(np.isin(after, codes) | (after == before), dtype=np.bool_)
    slack = TOLERANCE * np.maximum(1.0, np.abs(before))
    change = after - before
    fine = np.asarray(np.abs(change) <= budget.by + slack, dtype=np.bool_)
    if budget.direction is Direction.UP:
        fine &= change >= -slack
    if budget.direction is Direction.DOWN:
        fine &= change <= slack
    low = column.low if budget.low is None else budget.low
    return fine & _kept(after, before, column, low, column.high if budget.high is None else budget.high)


def _kept(
    after: NDArray[np.float64], before: NDArray[np.float64], column: Column, low: float, high: float
) -> NDArray[np.bool_]:
    """Return (n,): whether numbers have the column's type and range, or were outside the range and moved no further."""
    slack = TOLERANCE * np.maximum(1.0, np.abs(before))
    inside = (after >= np.minimum(low, before) - slack) & (after <= np.maximum(high, before) + slack)
    if column.kind is ColumnKind.INTEGER:
        inside &= (after == np.round(after)) | (after == before)
    return np.asarray(inside, dtype=np.bool_)


@dataclass(frozen=True, slots=True)
class _Numbers:
    """A box as float32 arrays (columns,), so that a batch is processed in a few array operations.

    choosable: (columns, categories), 1 for categories that the adversary may choose; None if all may be chosen.
    """

    down: NDArray[np.float32]
    up: NDArray[np.float32]
    low: NDArray[np.float32]
    high: NDArray[np.float32]
    price: NDArray[np.float32]
    integer: NDArray[np.float32]
    category: NDArray[np.float32]
    choosable: NDArray[np.float32] | None = None

    @classmethod
    def of(cls, box: ColumnBox) -> _Numbers:
        width = len(box.columns)
        down, up, low, high, price, integer, category = np.zeros((7, width), dtype=np.float32)
        made = cls(down, up, low, high, price, integer, category, _choosable(box))
        made.low[:] = [column.low for column in box.columns]
        made.high[:] = [column.high for column in box.columns]
        for index, column, budget in box.movable:
            made.price[index] = budget.cost
            made.integer[index] = column.kind is ColumnKind.INTEGER
            made.category[index] = column.kind is ColumnKind.CATEGORY
            if column.kind is ColumnKind.CATEGORY:
                made.high[index] = len(column.categories) - 1
                continue
            made.down[index] = 0 if budget.direction is Direction.UP else budget.by
            made.up[index] = 0 if budget.direction is Direction.DOWN else budget.by
            made.low[index] = column.low if budget.low is None else budget.low
            made.high[index] = column.high if budget.high is None else budget.high
        return made


def _choosable(box: ColumnBox) -> NDArray[np.float32] | None:
    if not any(budget.choices for budget in box.budgets):
        return None
    most = max(len(column.categories) for column in box.columns)
    table = np.ones((len(box.columns), most), dtype=np.float32)
    for index, column, budget in box.movable:
        if budget.choices:
            table[index, : len(column.categories)] = [name in budget.choices for name in column.categories]
    return table
