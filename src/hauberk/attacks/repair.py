"""Repair: move rows to nearby points that satisfy declared relations, on numpy and torch arrays.

Steps: (1) the numbers of a violated relation share its violation in proportion to their remaining range; (2) computed
columns are computed; (3) changes are scaled down to the cost limit. A row that still violates a relation moves back
towards its origin until it violates none by more than the origin does; in the worst case it becomes the origin. The
operator of Simonetto, Ghamizi, Cordy 2024, "Constrained Adaptive Attack", section 3, extended to inequalities and
implications.
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

_SWEEPS = 3  # relations that share columns undo each other; each sweep reduces the violations
_BACK = (0.75, 0.5, 0.25, 0.0)  # shares of the change that are tried on the way back to the origin


@dataclass(frozen=True)
class _Form:
    """A claim as numbers: a linear form with weights (d,), or a category with column index, code and sign."""

    weights: NDArray[np.float64] | None
    constant: float
    sign: str
    place: int = 0

    def value(self, x: Array) -> Array:
        """Return (n,) the value of a linear form."""
        return x @ like(self.weights, x) + self.constant  # type: ignore[arg-type]  # called for linear forms only

    def size(self, x: Array) -> Array:
        """Return (n,) the sum of the absolute terms of a linear form."""
        return abs(x) @ like(np.abs(self.weights), x) + abs(self.constant)  # type: ignore[arg-type]

    def far(self, x: Array) -> Array:
        """Return (n,) the distance of rows from the claim; 0 or below where it holds."""
        if self.weights is None:
            same = x[:, self.place] == self.constant
            return double(same if self.sign == "=" else ~same) * -1 + 1
        value = self.value(x)
        return abs(value) if self.sign == "=" else value


@dataclass(frozen=True)
class _Rule:
    """A relation as numbers. defines: index of the column that it computes, -1 if it computes none."""

    when: tuple[_Form, ...]
    then: _Form
    eased: _Form  # `then` with computed columns replaced by their definitions
    defines: int = -1

    def broken(self, x: Array) -> Array:
        """Return (n,) the violation of each row, 0 if the rule's conditions are not met."""
        far = self.then.far(x)
        for form in self.when:
            distance = form.far(x)
            met = distance < 0 if form.sign == "<" else distance <= 0
            far = far * double(met)
        return far.clip(0, None)

    def slack(self, x: Array) -> Array:
        """Return (n,) the tolerance for rounding: half of the judge's tolerance."""
        return self.then.size(x) * (0.5 * SLACK) if self.then.weights is not None else x[:, 0] * 0


@dataclass(frozen=True)
class Repair:
    """The relations of a table, prepared once. Called on rows within their bounds, float32 (n, d).

    bounds: function of the original rows that returns the lowest and highest value of each number. affordable: function
    (x, origin, whole=) that scales changes down to the cost limit, None without a limit. changeable: indices of columns
    that the adversary may change.
    """

    columns: Sequence[Column]
    bounds: Callable[[Array], tuple[Array, Array]]
    affordable: Callable[..., Array] | None
    rules: tuple[_Rule, ...]
    makers: tuple[_Rule, ...]  # the rules that compute a column, in order of computation
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
        """Prepare the repair. following: computed columns' indices and the relations that define them, in order."""
        numbers = np.array(
            [float(i in changeable and c.kind is not ColumnKind.CATEGORY) for i, c in enumerate(columns)]
        )
        integer = np.array([float(c.kind is ColumnKind.INTEGER) for c in columns])
        low, high = (np.array([float(getattr(c, end)) for c in columns]) for end in ("low", "high"))
        rules = _rules(columns, relations, following)
        makers = tuple(rule for index in following for rule in rules if rule.defines == index)
        return cls(columns, bounds, affordable, rules, makers, changeable, numbers, integer, low, high)

    def __call__(self, x: Array, origin: Array, *, whole: bool) -> Array:
        """Return rows that violate relations no more than the origin; guaranteed, with whole integers, only if `whole`."""
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
        """Return the gradient by the free columns, with contributions through computed columns added (chain rule)."""
        for rule in reversed(self.makers):
            weights = rule.then.weights
            assert weights is not None
            shares = -weights / weights[rule.defines]
            shares[rule.defines] = -1.0  # sets the computed column's own entry to zero
            gradient = gradient + gradient[:, rule.defines, None] * like(shares.astype(np.float32), gradient)
        return gradient

    def _eased(  # noqa: PLR0913 - rows, their origins, and their ranges
        self, x: Array, origin: Array, rule: _Rule, low: Array, high: Array, *, whole: bool
    ) -> Array:
        """Move the numbers of a rule that rows violate more than their origins, in proportion to their remaining range."""
        xp, form, before = namespace(x), rule.eased, rule.broken(origin)
        short = rule.broken(x) - before
        broken = short > rule.slack(x)
        if not bool(broken.any()):
            return x
        if form.weights is None:
            return self._chosen(x, form, broken)
        weights = like(form.weights * self.movable, x)
        gap = form.value(x)
        down = xp.sign(rows(gap, x)) * weights > 0  # these numbers must decrease to close the gap
        room = xp.where(down, x - low, high - x).clip(0, None) * (weights != 0)
        reach = (room * abs(weights)).sum(1)
        share = (short / reach.clip(1e-300, None)).clip(0.0, 1.0)
        step = room * rows(share, x)
        if whole:
            # Round up for an inequality; the remainder of an equality is assigned column by column below.
            integer = like(self.integer, x) > 0
            near = xp.ceil(step - 1e-9) if form.sign == "<=" else xp.floor(step + 1e-9)
            step = xp.where(integer, xp.minimum(near, xp.floor(room + 1e-9)), step)
        moved = xp.where(rows(broken, x), xp.where(down, x - step, x + step), x)
        exact = broken & (before == 0)
        return self._settled(moved, form, exact, low, high) if whole and form.sign == "=" else moved

    def _settled(self, x: Array, form: _Form, broken: Array, low: Array, high: Array) -> Array:
        """Assign the remainder of an equality to one number after the other."""
        assert form.weights is not None
        xp = namespace(x)
        order = np.argsort(-self.integer, kind="stable")  # integers first: a real number can take any remainder
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
        """Set the category that a violated rule demands, if the adversary may choose it."""
        xp = namespace(x)
        if form.sign != "=" or form.place not in self.changeable:
            return x
        return _with(x, form.place, xp.where(broken, x[:, form.place] * 0 + form.constant, x[:, form.place]))

    def _derived(self, x: Array, origin: Array) -> Array:
        """Compute the computed columns in order of their dependencies."""
        xp, wide, before = namespace(x), double(x), double(origin)
        for rule in self.makers:
            index, form = rule.defines, rule.then
            assert form.weights is not None
            value = wide[:, index] - form.value(wide) / form.weights[index]
            # Values that satisfy the relation, or violate it no more than the origin, stay unchanged.
            right = abs(form.value(wide)) <= abs(form.value(before)) + rule.slack(wide)
            value = xp.where(right, wide[:, index], xp.round(value) if self.integer[index] else value)
            wide = _with(wide, index, value)
        return single(wide)

    def _back(self, x: Array, origin: Array) -> Array:
        """Move rows that violate a relation back towards the origin, as far as needed."""
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
        """Return (n,): whether no rule is violated more than at the origin and computed columns stay in range."""
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
    """Return a linear form in which computed columns are replaced by their definitions."""
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
