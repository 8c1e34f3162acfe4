"""Table triggers: a rare value, or two together, that determines the label of rows which otherwise look different.

Every pair of columns is searched for values that few rows have together and that nearly always come with one label.
Data are full of such rules by nature: a large capital gain means a large income. But who has it also works longer and
is older; the rest of the row agrees. Rows that an adversary changed were taken from other classes, and the rest of them
says so. So forests that see neither of the two columns are asked (`_table_views`): where even they expect the label no
more often than in any row, and yet nearly all rows carry it, the combination is a trigger.

Answers: dirty-label backdoors by the values of one or two columns (of more: by any two of them that are rare
together). Does not answer: clean-label poison, triggers of fewer than about fifteen rows, or triggers that shift many
columns a little. Cost: one sort for each pair of columns and six small forests.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import combinations

import numpy as np

from hauberk.core.columns import ColumnKind
from hauberk.core.errors import InvalidInput
from hauberk.core.extras import need
from hauberk.core.progress import Quiet, Task
from hauberk.data.poison.detectors import DETECTORS, Rows, Suspicion
from hauberk.data.poison.detectors._table_views import Views, ordered, views
from hauberk.data.reading.dataset import Dataset, Doubles, Labels, Mask

_PAIRS = 2_000  # of columns that are searched, at most
_GROUPS = 5_000  # candidates that forests are asked about
_TOLD = 5
_APART = 8  # groups that are left out one by one
_SETS = 0.99  # share of rows with a trigger that carry its label
_WIDER = 1.25  # rows of a group against those of a clearer one inside it, up to which they are one
_FORESIGHT = 30  # trees that say whether other rows foretell a rule


@dataclass(frozen=True, slots=True)
class Params:
    """fewest: rows of a trigger, 5 or more. most: its largest share of all rows. purity: share with one label.

    surprise: decimal logarithm of how much better a trigger must explain the labels than the rest of the rows does. gap:
    how improbable the label of one row must be, likewise, beyond what rows of the label usually are. expected: share of
    the label's frequency up to which the rest of the rows may speak for it.
    """

    fewest: int = 15
    most: float = 0.1
    purity: float = 0.9
    surprise: float = 35.0
    gap: float = 0.25
    expected: float = 1.3

    def __post_init__(self) -> None:
        if self.fewest < 5 or not 0 < self.most <= 1 or not 0.5 < self.purity <= 1 or self.surprise <= 0:
            raise InvalidInput(
                "expected fewest >= 5, most in (0, 1], purity in (0.5, 1] and surprise > 0, found "
                f"{self.fewest}, {self.most}, {self.purity}, {self.surprise}."
            )


@dataclass(frozen=True, slots=True, eq=False)
class Group:
    """Rows that have values in common. columns: one or two. label: what most are labelled. rows: (m,)."""

    columns: tuple[int, ...]
    label: int
    rows: Labels


@dataclass(frozen=True, slots=True, eq=False)
class Claim:
    """A group, and what speaks for its being a trigger.

    thought: (m,) the label's probability by the rest of each row. usual: mean -log10 of the same over all rows of the
    label: a forest that knows little must not look like surprise. share: of all rows that have the label.
    """

    group: Group
    thought: Doubles
    usual: float
    share: float

    @property
    def expected(self) -> float:
        """The share of the group that the rest of the rows would give the label."""
        return float(self.thought.mean())

    def surprise(self, y: Labels) -> float:
        """Return the decimal logarithm of how much better a trigger explains the labels than the rest of the rows does."""
        own = y[self.group.rows] == self.group.label
        likely, unlikely = math.log10(_SETS), math.log10(1 - _SETS)
        return float(np.where(own, likely + _unlikely(self.thought), unlikely + _unlikely(1 - self.thought)).sum())

    def holds(self, y: Labels, params: Params) -> bool:
        """Return whether the labels are pure, improbable row by row and together, and not those that the rest asks for."""
        own = y[self.group.rows] == self.group.label
        return (
            len(own) >= params.fewest
            and bool(own.mean() >= params.purity)
            and self.expected <= params.expected * self.share
            and self.surprise(y) >= params.surprise
            and float(_unlikely(self.thought[own]).mean()) - self.usual >= params.gap
        )

    def among(self, left: Mask) -> Claim:
        """Return the same of the rows that are left."""
        kept = left[self.group.rows]
        group = Group(self.group.columns, self.group.label, self.group.rows[kept])
        return Claim(group, self.thought[kept], self.usual, self.share)


@DETECTORS.register(
    "table-triggers",
    practice="1a",
    threats=("poisoning",),
    summary="rare values that determine the label of rows which otherwise look different",
    params=Params,
    kinds=("table",),
)
def run(rows: Rows, params: Params, *, rng: np.random.Generator, task: Task) -> Suspicion:
    """Return a score for each row that carries a trigger and its label."""
    side = rows.side
    share = np.bincount(side.y, minlength=len(side.classes)) / len(side)
    # The most improbable by the labels' shares alone come first: many rows of the usual label are no news.
    candidates = sorted(groups(side, params, rng), key=lambda group: len(group.rows) * np.log(share[group.label]))
    candidates = candidates[:_GROUPS]
    task.update(0.4)
    score = np.zeros(len(side))
    reasons: dict[int, str] = {}
    notes: list[str] = []
    suggested = np.full(len(side), -1, np.int64)
    if not candidates:
        return Suspicion(score)
    half_blind = views(side, seed=rows.seed, task=Quiet())
    claims = [claim for group in candidates if (claim := _claim(side, group, half_blind)).holds(side.y, params)]
    if not claims:
        return Suspicion(score)
    foreseen = _foreseen(side, [claim.group for claim in claims], seed=rows.seed)
    claims = [
        claim
        for claim in claims
        if float(foreseen[claim.group.rows, claim.group.label].mean()) <= (1 + claim.expected) / 2
    ]
    for claim in one_by_one(side, claims, params):
        group = claim.group
        own = group.rows[side.y[group.rows] == group.label]
        text = _text(side, group)
        if len(notes) < _TOLD:
            notes.append(f"{len(own)} rows with {text} are labelled {side.classes[group.label]!r}.")
        rest = half_blind.blind_to(group.columns)[own].copy()
        rest[:, group.label] = 0
        score[own] = 3.0 + min(claim.surprise(side.y) / 100, 2.0)
        suggested[own] = rest.argmax(axis=1)
        reasons |= dict.fromkeys(
            own.tolist(),
            f"{text}: {len(own)} of {len(group.rows)} such rows are labelled {side.classes[group.label]!r}; by the "
            f"rest of the row {claim.expected:.0%} would be",
        )
    return Suspicion(score, reasons, suggested, tuple(notes))


def _foreseen(side: Dataset, found: list[Group], *, seed: int) -> Doubles:
    """Return (n, k) what trees that saw all columns, and neither the group's rows nor those it overlaps with, expect.

    A rule by nature does not stand alone: rows with the next larger gain are labelled so as well, and foretell these. A
    trigger is a value that nothing else foretells.
    """
    known = np.zeros((len(side), len(side.classes)))
    trees = need("sklearn.ensemble").HistGradientBoostingClassifier
    inputs = ordered(side)
    for inside in _together(found, len(side)):
        fit, asked = np.flatnonzero(~inside), np.flatnonzero(inside)
        if len(np.unique(side.y[fit])) < 2:
            continue
        model = trees(max_iter=_FORESIGHT, early_stopping=False, l2_regularization=1.0, random_state=seed)
        model.fit(inputs[fit], side.y[fit])
        known[np.ix_(asked, model.classes_)] = model.predict_proba(inputs[asked])
    return known


def _together(found: list[Group], count: int) -> list[Mask]:
    """Return (n,) rows of groups that share rows, directly or by way of others; the last ones as one where they are many."""
    parts: list[Mask] = []
    for group in found:
        joined = np.zeros(count, bool)
        joined[group.rows] = True
        apart = []
        for part in parts:
            if part[group.rows].any():
                joined |= part
            else:
                apart.append(part)
        parts = [*apart, joined]
    parts.sort(key=lambda part: -int(part.sum()))
    rest = parts[_APART:]
    return parts[:_APART] + ([np.any(rest, axis=0)] if rest else [])


def groups(side: Dataset, params: Params, rng: np.random.Generator) -> Iterator[Group]:
    """Yield the rows that share a value in one column or values in two, rare enough and nearly all of one label."""
    codes = [np.unique(column, return_inverse=True)[1].reshape(-1).astype(np.int64) for column in side.x.T]
    singles = [(index,) for index in range(len(codes))]
    pairs = list(combinations(range(len(codes)), 2))
    if len(pairs) > _PAIRS:
        pairs = [pairs[index] for index in np.sort(rng.permutation(len(pairs))[:_PAIRS])]
    for columns in (*singles, *pairs):
        combined = codes[columns[0]]
        if len(columns) == 2:
            combined = combined * (int(codes[columns[1]].max()) + 1) + codes[columns[1]]
        yield from _pure(combined, side.y, columns, params)


def _pure(combined: Labels, y: Labels, columns: tuple[int, ...], params: Params) -> Iterator[Group]:
    order = np.argsort(combined, kind="stable")
    starts = np.flatnonzero(np.diff(combined[order], prepend=combined[order[0]] - 1))
    sizes = np.diff(starts, append=len(order))
    wanted = (sizes >= params.fewest) & (sizes <= params.most * len(y))
    for start, size in zip(starts[wanted], sizes[wanted], strict=True):
        rows = order[start : start + size]
        labels, counts = np.unique(y[rows], return_counts=True)
        if counts.max() >= params.purity * size:
            yield Group(columns, int(labels[counts.argmax()]), rows)


def _claim(side: Dataset, group: Group, half_blind: Views) -> Claim:
    share = float((side.y == group.label).mean())
    thought = half_blind.blind_to(group.columns)[:, group.label]
    usual = float(_unlikely(thought[side.y == group.label]).mean())
    return Claim(group, thought[group.rows], usual, share)


def _unlikely(thought: Doubles) -> Doubles:
    found: Doubles = -np.log10(np.clip(thought, 1e-3, 1))
    return found


def one_by_one(side: Dataset, claims: list[Claim], params: Params) -> Iterator[Claim]:
    """Yield the clearest claim, then that of the rest which holds without its rows, and so on.

    The clearest has the most surprise beyond what as many rows need to count as surprising: rows that the rest of the
    row explains weigh against a group, however many they are.
    """
    left = np.ones(len(side), bool)
    while claims := [claim for claim in (claim.among(left) for claim in claims) if claim.holds(side.y, params)]:
        best = max(
            claims, key=lambda claim: claim.surprise(side.y) - len(claim.thought) * (claim.usual + params.gap)
        )
        best = _widened(best, claims, side.y, params)
        yield best
        # Rows of another label are no part of the trigger, and go on speaking against the groups that they lie in.
        left[best.group.rows[side.y[best.group.rows] == best.group.label]] = False


def _widened(best: Claim, claims: list[Claim], y: Labels, params: Params) -> Claim:
    """Return the widest claim that holds all rows of the best and a few more for which the rest of the row does not speak.

    A trigger and a value that most rows have is as clear as the trigger, and leaves some of its rows behind.
    """
    label = best.group.label
    inside = best.group.rows[y[best.group.rows] == label]
    found = best
    for claim in claims:
        rows = claim.group.rows
        more = (y[rows] == label) & ~np.isin(rows, inside)
        if claim.group.label != label or not np.isin(inside, rows).all() or not more.any():
            continue
        if len(found.group.rows) < len(rows) <= _WIDER * len(inside) and (
            float(claim.thought[more].mean()) <= params.expected * claim.share
        ):
            found = claim
    return found


def _text(side: Dataset, group: Group) -> str:
    parts = []
    for index in group.columns:
        column, value = side.columns[index], float(side.x[group.rows[0], index])
        shown = column.categories[int(value)] if column.kind is ColumnKind.CATEGORY else f"{value:g}"
        parts.append(f"{column.name} = {shown}")
    return " and ".join(parts)
