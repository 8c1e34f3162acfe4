"""Repair: move rows to where declared relations hold, as near as can be, on numpy and torch alike.

In order: numbers take up what a broken relation is short of, in proportion to their room; columns that follow others
are computed; what then costs too much is taken back. A row that still breaks a relation goes back towards its origin
until none is broken by more than there, so that the last resort is the row as it was. The repair operator is that of
Simonetto, Ghamizi, Cordy 2024, "Constrained Adaptive Attack", section 3, widened to inequalities and implications.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hauberk.attacks.arrays import Array, double, like, namespace, rows, single
from hauberk.attacks.relations import SLACK
from hauberk.core.columns import Column, ColumnKind
from hauberk.core.relations import Among, Claim, Relation

_SWEEPS = 3  # relations that share columns undo each other; each sweep brings them nearer
_BACK = (0.75, 0.5, 0.25, 0.0)  # shares of a change that are tried on the way back to the origin


@dataclass(frozen=True)
class _Form:
    """A claim as numbers. A sum has weights (d,); a category has its place, code and whether it is to be equal."""

    weights: NDArray[np.float64] | None
    constant: float
    sign: str
    place: int = 0

    def value(self, x: Array) -> Array:
        """Return (n,) the sum of a linear claim."""
        return x @ like(self.weights, x) + self.constant  # type: ignore[arg-type]  # only asked of sums

    def size(self, x: Array) -> Array:
        """Return (n,) the sum of its terms by size."""
        return abs(x) @ like(np.abs(self.weights), x) + abs(self.constant)  # type: ignore[arg-type]

    def far(self, x: Array) -> Array:
        """Return (n,) how far rows are from the claim; at most 0 where it holds."""
        if self.weights is None:
            same = x[:, self.place] == self.constant
            return double(same if self.sign == "=" else ~same) * -1 + 1
        value = self.value(x)
        return abs(value) if self.sign == "=" else value


@dataclass(frozen=True)
class _Rule:
    """A relation as numbers. defines: the place of a column that follows, -1 where none does."""

    when: tuple[_Form, ...]
    then: _Form
    eased: _Form  # `then` with columns that follow others written out by what they follow
    defines: int = -1

    def broken(self, x: Array) -> Array:
        """Return (n,) how far each row breaks the rule, 0 where its conditions are not met."""
        far = self.then.far(x)
        for form in self.when:
            distance = form.far(x)
            met = distance < 0 if form.sign == "<" else distance <= 0
            far = far * double(met)
        return far.clip(0, None)

    def slack(self, x: Array) -> Array:
        """Return (n,) what is taken for rounding: half of what the judge allows."""
        return self.then.size(x) * (0.5 * SLACK) if self.then.weights is not None else x[:, 0] * 0


@dataclass(frozen=True)
class Repair:
    """The relations of a table, prepared once. Called on rows within their bounds, float32 (n, d).

    bounds: the lowest and highest value of each number, by the original rows. affordable: reduces changes to what the
    cost allows (`x, origin, whole=`), None where the cost has no limit. changeable: places that the adversary may change.
    """

    columns: Sequence[Column]
    bounds: Callable[[Array], tuple[Array, Array]]
    affordable: Callable[..., Array] | None
    rules: tuple[_Rule, ...]
    makers: tuple[_Rule, ...]  # those that define a column, in the order in which they are computed
    changeable: frozenset[int]
    movable: NDArray[np.float64]
    integer: NDArray[np.float64]
    low: NDArray[np.float64]
    high: NDArray[np.float64]

    @classmethod
    def of(  # noqa: PLR0913 - the parts of a column box, which imports this module
        cls,
        columns: Sequence[Column],
        relations: Sequence[Relation],
        following: Mapping[int, Relation],
        changeable: frozenset[int],
        *,
        bounds: Callable[[Array], tuple[Array, Array]],
        affordable: Callable[..., Array] | None,
    ) -> Repair:
        """Prepare the repair. following: each computed column's place and the relation that defines it, in order."""
        numbers = np.array(
            [float(i in changeable and c.kind is not ColumnKind.CATEGORY) for i, c in enumerate(columns)]
        )
        integer = np.array([float(c.kind is ColumnKind.INTEGER) for c in columns])
        low, high = (np.array([float(getattr(c, end)) for c in columns]) for end in ("low", "high"))
        rules = _rules(columns, relations, following)
        makers = tuple(rule for index in following for rule in rules if rule.defines == index)
        return cls(columns, bounds, affordable, rules, makers, changeable, numbers, integer, low, high)

    def __call__(self, x: Array, origin: Array, *, whole: bool) -> Array:
        """Return rows that keep the relations as far as the origin does; whole: surely so, and integers whole."""
        low, high = (double(bound) for bound in self.bounds(origin))
        moved, before = double(x), double(origin)
        for _ in range(_SWEEPS):
            for rule in self.rules:
                if rule.defines < 0:
                    moved = self._eased(moved, before, rule, low, high, whole=whole)
        moved = self._derived(single(moved), origin)
        if self.affordable is not None:
            moved = self._derived(self.affordable(moved, origin, whole=whole), origin)
        return self._back(moved, origin) if whole else moved

    def carried(self, gradient: Array) -> Array:
        """Return the gradient by the columns that are free, with what each adds through those that follow it."""
        for rule in reversed(self.makers):
            weights = rule.then.weights
            assert weights is not None
            shares = -weights / weights[rule.defines]
            shares[rule.defines] = -1.0  # its own goes to zero
            gradient = gradient + gradient[:, rule.defines, None] * like(shares.astype(np.float32), gradient)
        return gradient

    def _eased(  # noqa: PLR0913 - a row, where it came from, and how far it may go
        self, x: Array, origin: Array, rule: _Rule, low: Array, high: Array, *, whole: bool
    ) -> Array:
        """Move the numbers of a rule that is broken more than at the origin, each in proportion to its room."""
        xp, form, before = namespace(x), rule.eased, rule.broken(origin)
        short = rule.broken(x) - before
        broken = short > rule.slack(x)
        if not bool(broken.any()):
            return x
        if form.weights is None:
            return self._chosen(x, form, broken)
        weights = like(form.weights * self.movable, x)
        gap = form.value(x)
        down = xp.sign(rows(gap, x)) * weights > 0  # these numbers have to fall for the gap to close
        room = xp.where(down, x - low, high - x).clip(0, None) * (weights != 0)
        reach = (room * abs(weights)).sum(1)
        share = (short / reach.clip(1e-300, None)).clip(0.0, 1.0)
        step = room * rows(share, x)
        if whole:
            # Up to the next whole number for an inequality, and what is then left of an equality is taken in turn below.
            integer = like(self.integer, x) > 0
            near = xp.ceil(step - 1e-9) if form.sign == "<=" else xp.floor(step + 1e-9)
            step = xp.where(integer, xp.minimum(near, xp.floor(room + 1e-9)), step)
        moved = xp.where(rows(broken, x), xp.where(down, x - step, x + step), x)
        exact = broken & (before == 0)
        return self._settled(moved, form, exact, low, high) if whole and form.sign == "=" else moved

    def _settled(self, x: Array, form: _Form, broken: Array, low: Array, high: Array) -> Array:
        """Let one number after the other take what is left of an equality."""
        assert form.weights is not None
        xp = namespace(x)
        order = np.argsort(-self.integer, kind="stable")  # whole numbers first: a number can take any rest
        for index in [int(i) for i in order if form.weights[i] and self.movable[i]]:
            want = x[:, index] - form.value(x) / form.weights[index]
            if self.integer[index]:
                want = xp.round(want)
                near = xp.minimum(xp.maximum(want, xp.ceil(low[:, index])), xp.floor(high[:, index]))
            else:
                near = xp.minimum(xp.maximum(want, low[:, index]), high[:, index])
            x = _with(x, index, xp.where(broken, near, x[:, index]))
        return x

    def _chosen(self, x: Array, form: _Form, broken: Array) -> Array:
        """Choose the category that a broken rule asks for, where it may be chosen."""
        xp = namespace(x)
        if form.sign != "=" or form.place not in self.changeable:
            return x
        return _with(x, form.place, xp.where(broken, x[:, form.place] * 0 + form.constant, x[:, form.place]))

    def _derived(self, x: Array, origin: Array) -> Array:
        """Compute each column that follows others, in the order of what they are made of."""
        xp, wide, before = namespace(x), double(x), double(origin)
        for rule in self.makers:
            index, form = rule.defines, rule.then
            assert form.weights is not None
            value = wide[:, index] - form.value(wide) / form.weights[index]
            # What is right already, or as wrong as it was, is left alone.
            right = abs(form.value(wide)) <= abs(form.value(before)) + rule.slack(wide)
            value = xp.where(right, wide[:, index], xp.round(value) if self.integer[index] else value)
            wide = _with(wide, index, value)
        return single(wide)

    def _back(self, x: Array, origin: Array) -> Array:
        """Take rows that break something back towards the origin, as far as needed."""
        xp, fine = namespace(x), self._fine(x, origin)
        if bool(fine.all()):
            return x
        category = like(np.array([float(c.kind is ColumnKind.CATEGORY) for c in self.columns]), x) > 0
        integer, moved = like(self.integer, x) > 0, like(self.movable, x) > 0
        wild, home = x[~fine], origin[~fine]
        result, done = home + 0, fine[~fine]
        for share in _BACK:
            delta = xp.where(moved, (wild - home) * share, wild * 0)
            delta = xp.where(integer, xp.sign(delta) * xp.floor(abs(delta)), delta)
            tried = self._derived(xp.where(category, wild, home + delta), home)
            better = self._fine(tried, home) & ~done
            result, done = xp.where(rows(better, x), tried, result), done | better
        mended = x + 0
        mended[~fine] = result
        return mended

    def _fine(self, x: Array, origin: Array) -> Array:
        """Return (n,): whether no rule is broken by more than at the origin, and followers stay in their range."""
        wide, before = double(x), double(origin)
        fine = wide[:, 0] == wide[:, 0]
        for rule in self.rules:
            fine = fine & (rule.broken(wide) <= rule.broken(before) + rule.slack(wide))
            if rule.defines >= 0:
                index = rule.defines
                here, there = wide[:, index], before[:, index]
                fine = (
                    fine
                    & (here >= there.clip(None, self.low[index]))
                    & (here <= there.clip(self.high[index], None))
                )
        return fine


def _with(x: Array, index: int, values: Array) -> Array:
    """Return a copy of `x` with one column replaced."""
    copy = x.copy() if namespace(x) is np else x.clone()
    copy[:, index] = values
    return copy


def _rules(
    columns: Sequence[Column], relations: Sequence[Relation], following: Mapping[int, Relation]
) -> tuple[_Rule, ...]:
    defined = {id(relation): index for index, relation in following.items()}
    rules: list[_Rule] = []
    for relation in relations:
        when = tuple(_form(claim, columns) for claim in relation.when)
        then = _form(relation.then, columns)
        rules.append(_Rule(when, then, _written_out(then, following, columns), defined.get(id(relation), -1)))
    return tuple(rules)


def _form(claim: Claim, columns: Sequence[Column]) -> _Form:
    place = {column.name: index for index, column in enumerate(columns)}
    if isinstance(claim, Among):
        index = place[claim.column]
        code = float(columns[index].categories.index(claim.value))
        return _Form(None, code, "=" if claim.equal else "!=", index)
    weights = np.zeros(len(columns))
    for name, weight in claim.terms:
        weights[place[name]] += weight
    return _Form(weights, claim.constant, claim.sign)


def _written_out(form: _Form, following: Mapping[int, Relation], columns: Sequence[Column]) -> _Form:
    """Return a sum in which each computed column is replaced by what it is computed from."""
    if form.weights is None:
        return form
    weights, constant = form.weights.copy(), form.constant
    for index in reversed(list(following)):
        if weights[index]:
            other = _form(following[index].then, columns)
            assert other.weights is not None
            factor = weights[index] / other.weights[index]
            weights, constant = weights - factor * other.weights, constant - factor * other.constant
            weights[index] = 0.0
    return _Form(weights, constant, form.sign)
