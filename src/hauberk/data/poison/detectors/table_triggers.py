"""Table triggers: a rare value, or a rare pair of values, that determines the label against the rest of the row.

Every column and pair of columns is searched for values that few rows share and that nearly always come with one label.
Honest data contain many such rules: a large capital gain predicts a large income. But in honest rows the rest of the row
agrees: such people also work longer and are older. Rows with a trigger were taken from other classes, and the rest of the
row still predicts those. So random forests that see neither of the two columns predict the label (`_table_views`). If they
expect the label no more often than in any row, and yet nearly all rows carry it, the values are a trigger.

Answers: dirty-label backdoors by the values of one or two columns, or of more columns if two of the values are rare
together. Does not answer: clean-label poison, triggers of fewer than about fifteen rows, or triggers that shift many
columns a little. Cost: one sort for each pair of columns, six small forests and a few boosted models.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import combinations

import numpy as np

from hauberk.core.columns import ColumnKind
from hauberk.core.errors import InvalidInput
from hauberk.core.extras import need
from hauberk.core.progress import Quiet, Task
from hauberk.data.poison.detectors import DETECTORS, Rows, Suspicion
from hauberk.data.poison.detectors._table_views import Views, ordered, views
from hauberk.data.reading.dataset import Dataset, Doubles, Labels, Mask

_PAIRS = 2_000  # pairs of columns that are searched, at most; of more, a random sample
_GROUPS = 5_000  # candidate groups that are tested, at most
_NOTED = 5  # triggers that get a note
_APART = 8  # clusters of overlapping groups that get a model of their own; the remaining ones share one
_SETS = 0.99  # assumed share of rows with a trigger that carry its label
_WIDER = 1.25  # a wider group replaces a clearer one inside it if it has at most this many times its rows
_FORESIGHT = 30  # boosting rounds of the models that predict a group from the other rows


@dataclass(frozen=True, slots=True)
class Params:
    """Settings of the detector.

    fewest: smallest number of rows with a trigger, >= 5. most: largest share of all rows, in (0, 1]. purity: least share
    of the group's rows with one label, in (0.5, 1]. surprise: least decimal log likelihood ratio of the labels, "trigger"
    against "predicted by the rest of the row", > 0. gap: least excess of the mean -log10 probability of the label in the
    group over its mean in all rows of that label. expected: the mean probability that the rest of the row gives to the
    label may be at most this many times the label's frequency.
    """

    fewest: int = field(default=15, metadata={"help": "rows with a trigger, at least"})
    most: float = field(default=0.1, metadata={"help": "largest share of all rows with a trigger"})
    purity: float = field(default=0.9, metadata={"help": "share of the group's rows with one label, at least"})
    surprise: float = field(default=35.0, metadata={"help": "decimal log likelihood ratio of the labels, at least"})
    gap: float = field(
        default=0.25, metadata={"help": "excess of the label's mean -log10 probability in the group, at least"}
    )
    expected: float = field(
        default=1.3, metadata={"help": "mean predicted probability of the label over its frequency, at most"}
    )

    def __post_init__(self) -> None:
        if self.fewest < 5 or not 0 < self.most <= 1 or not 0.5 < self.purity <= 1 or self.surprise <= 0:
            raise InvalidInput(
                "expected fewest >= 5, most in (0, 1], purity in (0.5, 1] and surprise > 0, found "
                f"{self.fewest}, {self.most}, {self.purity}, {self.surprise}."
            )


@dataclass(frozen=True, slots=True, eq=False)
class Group:
    """Rows that share values. columns: the one or two columns. label: the most frequent label. rows: (m,) row numbers."""

    columns: tuple[int, ...]
    label: int
    rows: Labels


@dataclass(frozen=True, slots=True, eq=False)
class Claim:
    """A group and the evidence that it is a trigger.

    predicted: (m,) probability of the group's label by the rest of each row. usual: mean -log10 of that probability over all
    rows with the label; it is subtracted so that a weak forest does not look like surprise. share: frequency of the label.
    """

    group: Group
    predicted: Doubles
    usual: float
    share: float

    @property
    def expected(self) -> float:
        """Mean probability of the label by the rest of the rows."""
        return float(self.predicted.mean())

    def surprise(self, y: Labels) -> float:
        """Return the decimal log likelihood ratio of the labels (n,): "trigger" against "predicted by the rest of the row"."""
        own = y[self.group.rows] == self.group.label
        likely, unlikely = math.log10(_SETS), math.log10(1 - _SETS)
        ratios = np.where(own, likely + _unlikely(self.predicted), unlikely + _unlikely(1 - self.predicted))
        return float(ratios.sum())

    def holds(self, y: Labels, params: Params) -> bool:
        """Return whether the labels y (n,) are pure, improbable row by row and together, and not predicted by the rest."""
        own = y[self.group.rows] == self.group.label
        return (
            len(own) >= params.fewest
            and bool(own.mean() >= params.purity)
            and self.expected <= params.expected * self.share
            and self.surprise(y) >= params.surprise
            and float(_unlikely(self.predicted[own]).mean()) - self.usual >= params.gap
        )

    def among(self, left: Mask) -> Claim:
        """Return the claim restricted to the rows in the mask `left` (n,)."""
        kept = left[self.group.rows]
        group = Group(self.group.columns, self.group.label, self.group.rows[kept])
        return Claim(group, self.predicted[kept], self.usual, self.share)


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
    # Most improbable first, by the label's frequency alone: many rows of a frequent label are no evidence.
    candidates = sorted(_groups(side, params, rng), key=lambda group: len(group.rows) * np.log(share[group.label]))
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
        if len(notes) < _NOTED:
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


def _foreseen(side: Dataset, candidates: list[Group], *, seed: int) -> Doubles:
    """Return (n, k) probabilities of each group's rows by boosted trees fitted without them and without overlapping groups.

    The trees see all columns. Natural rules extend to neighbouring values: rows with the next larger gain have the same
    label, so the trees predict the group. Nothing outside a trigger's group predicts it. Rows of no group get zeros.
    """
    known = np.zeros((len(side), len(side.classes)))
    trees = need("sklearn.ensemble").HistGradientBoostingClassifier
    inputs = ordered(side)
    for inside in _together(candidates, len(side)):
        fit, held_out = np.flatnonzero(~inside), np.flatnonzero(inside)
        if len(np.unique(side.y[fit])) < 2:
            continue
        model = trees(max_iter=_FORESIGHT, early_stopping=False, l2_regularization=1.0, random_state=seed)
        model.fit(inputs[fit], side.y[fit])
        known[np.ix_(held_out, model.classes_)] = model.predict_proba(inputs[held_out])
    return known


def _together(candidates: list[Group], count: int) -> list[Mask]:
    """Return (count,) masks of connected clusters of overlapping groups; beyond 8 clusters, the smaller ones share a mask."""
    parts: list[Mask] = []
    for group in candidates:
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


def _groups(side: Dataset, params: Params, rng: np.random.Generator) -> Iterator[Group]:
    """Yield groups of rows that share the values of one or two columns, within `params`' limits of size and purity."""
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
    predicted = half_blind.blind_to(group.columns)[:, group.label]
    usual = float(_unlikely(predicted[side.y == group.label]).mean())
    return Claim(group, predicted[group.rows], usual, share)


def _unlikely(probability: Doubles) -> Doubles:
    """Return -log10 of probabilities, which are clipped to at least 0.001."""
    decades: Doubles = -np.log10(np.clip(probability, 1e-3, 1))
    return decades


def one_by_one(side: Dataset, claims: list[Claim], params: Params) -> Iterator[Claim]:
    """Yield the clearest claim, then the clearest that still holds without the first one's rows, and so on.

    Clearness is the surprise minus the number of rows times the surprise that a row needs, so rows that the rest of the row
    explains count against a group.
    """
    left = np.ones(len(side), bool)
    while claims := [claim for claim in (claim.among(left) for claim in claims) if claim.holds(side.y, params)]:
        best = max(
            claims, key=lambda claim: claim.surprise(side.y) - len(claim.predicted) * (claim.usual + params.gap)
        )
        best = _widened(best, claims, side.y, params)
        yield best
        # Rows with another label stay: they do not carry the trigger's label and count against other groups with them.
        left[best.group.rows[side.y[best.group.rows] == best.group.label]] = False


def _widened(best: Claim, claims: list[Claim], y: Labels, params: Params) -> Claim:
    """Return the widest claim that contains the best one's rows and up to 25 % more, which the rest of the row contradicts.

    A trigger combined with a frequent value is as clear as the trigger alone but misses some of its rows.
    """
    label = best.group.label
    inside = best.group.rows[y[best.group.rows] == label]
    widest = best
    for claim in claims:
        rows = claim.group.rows
        more = (y[rows] == label) & ~np.isin(rows, inside)
        if claim.group.label != label or not np.isin(inside, rows).all() or not more.any():
            continue
        if len(widest.group.rows) < len(rows) <= _WIDER * len(inside) and (
            float(claim.predicted[more].mean()) <= params.expected * claim.share
        ):
            widest = claim
    return widest


def _text(side: Dataset, group: Group) -> str:
    parts = []
    for index in group.columns:
        column, value = side.columns[index], float(side.x[group.rows[0], index])
        shown = column.categories[int(value)] if column.kind is ColumnKind.CATEGORY else f"{value:g}"
        parts.append(f"{column.name} = {shown}")
    return " and ".join(parts)
