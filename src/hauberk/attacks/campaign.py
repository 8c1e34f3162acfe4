"""Campaign: attacks on row after row until the answer is precise enough, the rows are spent, or somebody stops it.

Rows come in random order and in growing batches. Each attack tries those that the attacks before it left standing, so
what is counted is the worst of all. After each batch there is an estimate of robust accuracy with an interval, and what
was finished is kept whatever comes: an interrupt, or a service that goes away, gives a partial result that says so.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from time import monotonic
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from hauberk.attacks.attack import Attack, attack
from hauberk.attacks.budget import Region
from hauberk.attacks.verdict import Found
from hauberk.core.errors import InvalidInput, Unavailable
from hauberk.core.progress import Quiet, Task
from hauberk.models.port import Floats, Labels, Model

Flags = NDArray[np.bool_]

_FIRST, _MOST = 32, 512  # rows of the first batch, and of the largest
INTERRUPTED = "interrupted"


class Chosen(NamedTuple):
    """An attack with its settings. name: how it is told of, unique in a campaign."""

    name: str
    run: Attack
    params: Any


@dataclass(frozen=True, slots=True)
class Attempt:
    """What one attack did to the rows it was given. All (r,): which rows of the campaign, and what came of each.

    asked: scores and gradients. distance: in the budget's measure, of the attack's best try.
    """

    name: str
    rows: NDArray[np.int64]
    fooled: Flags
    asked: NDArray[np.int64]
    distance: NDArray[np.float64]

    @property
    def success(self) -> float:
        """Share of the rows it was given that it fooled; 0 where there were none."""
        return float(self.fooled.mean()) if len(self.rows) else 0.0


class Interval(NamedTuple):
    """A share with its exact confidence interval (Clopper and Pearson 1934)."""

    share: float
    low: float
    high: float

    @property
    def half(self) -> float:
        """Half of its width."""
        return (self.high - self.low) / 2


@dataclass(frozen=True, slots=True)
class Campaign:
    """The result. order: (m,) places in the caller's rows, as they were attacked; the other arrays follow it.

    x: the worst that was found of each row. right: right as it is; fooled: right, and fooled by one of the attacks.
    robust: with its interval. partial: why it ended before its time, "" where it did not. warnings: what a reader
    should know of the model. seconds: it took.
    """

    order: NDArray[np.int64]
    x: Floats
    y: Labels
    right: Flags
    fooled: Flags
    attempts: tuple[Attempt, ...]
    robust: Interval
    confidence: float
    wanted: int
    partial: str
    warnings: tuple[str, ...]
    seconds: float

    @property
    def clean(self) -> float:
        """Share of the rows that are right as they are."""
        return float(self.right.mean())

    def success_by_queries(self, attempt: Attempt, *, most: int = 100) -> list[dict[str, float]]:
        """Return the share of right rows that one attack had fooled after x scores and gradients of a row."""
        spent = np.sort(attempt.asked[attempt.fooled & self.right[attempt.rows]])
        right = max(1, int(self.right[attempt.rows].sum()))
        picked = np.unique(np.linspace(0, len(spent) - 1, most).astype(int)) if len(spent) else np.zeros(0, int)
        points = [{"x": float(spent[i]), "y": float((i + 1) / right)} for i in picked]
        return [{"x": 0.0, "y": 0.0}, *points]


def campaign(  # noqa: PLR0913 - the model, the rows, and how far to go
    model: Model,
    x: Floats,
    y: Labels,
    *,
    budgets: Sequence[Region],
    attacks: Sequence[Chosen],
    seed: int,
    precision: float | None = None,
    confidence: float = 0.95,
    task: Task | None = None,
) -> Campaign:
    """Attack rows of x, y, and return what was found.

    model: a Model. budgets: one for each attack. precision: stop once the interval of robust accuracy is no wider than
    this on either side of its middle; None: attack every row. With it the interval is looked at after each batch, and
    looking often would make it wrong more often than `confidence` says: the error is shared out over the looks, the
    k-th getting 1 / (k (k + 1)) of it, so that the one that ends it all holds as it says.

    An interrupt (KeyboardInterrupt) and a service that is gone (Unavailable) end it with what was finished before, as
    a partial result; where nothing was, they are raised. Raises InvalidInput for no rows, no attacks, and whatever
    `attacks.attack.attack` refuses; AssertionError for an attack that broke its budget.
    """
    _check(x, attacks, budgets, precision, confidence)
    task = task or Quiet()
    started, order = monotonic(), np.random.default_rng(seed).permutation(len(x)).astype(np.int64)
    state = _State(attacks)
    partial, first, look = "", 0, 0
    estimate = Interval(0.0, 0.0, 1.0)
    try:
        while first < len(order):
            rows = order[first : first + min(_MOST, max(_FIRST, first))]
            state.take(_batch(model, x[rows], y[rows], budgets, attacks, seed), first)
            first, look = first + len(rows), look + 1
            error = (1 - confidence) / (look * (look + 1) if precision else 1)
            estimate = interval(state.standing, first, confidence=1 - error)
            told = f"robust {estimate.share:.1%} [{estimate.low:.1%}, {estimate.high:.1%}] of {first} rows"
            task.update(first / len(order), text=told)
            if precision is not None and estimate.half <= precision:
                break
    except (KeyboardInterrupt, Unavailable) as error:
        if not first:
            raise
        partial = INTERRUPTED if isinstance(error, KeyboardInterrupt) else str(error)
    return state.result(order[:first], y, estimate, confidence, len(order), partial, monotonic() - started)


def interval(successes: int, of: int, *, confidence: float) -> Interval:
    """Return the exact (Clopper-Pearson) interval of a share. of >= 1; confidence in (0, 1)."""
    from scipy.stats import binomtest

    found = binomtest(successes, of).proportion_ci(confidence, method="exact")
    return Interval(successes / of, float(found.low), float(found.high))


def _check(
    x: Floats, attacks: Sequence[Chosen], budgets: Sequence[Region], precision: float | None, confidence: float
) -> None:
    if not len(x):
        raise InvalidInput("there are no rows to attack.")
    if not attacks or len(attacks) != len(budgets):
        raise InvalidInput(f"expected attacks with a budget each, found {len(attacks)} and {len(budgets)}.")
    if precision is not None and not 0 < precision < 0.5:
        raise InvalidInput(
            f"`precision` is half the width of an interval of shares, in (0, 0.5), found {precision}."
        )
    if not 0 < confidence < 1:
        raise InvalidInput(f"`confidence` is in (0, 1), such as 0.95, found {confidence}.")


class _Batch(NamedTuple):
    x: Floats
    right: Flags
    fooled: Flags
    tried: list[tuple[NDArray[np.int64], Found]]  # for each attack, which rows of the batch it was given


def _batch(  # noqa: PLR0913, PLR0917 - as campaign
    model: Model, x: Floats, y: Labels, budgets: Sequence[Region], attacks: Sequence[Chosen], seed: int
) -> _Batch:
    worst, fooled = x.copy(), np.zeros(len(x), np.bool_)
    right = np.ones(len(x), np.bool_)
    tried: list[tuple[NDArray[np.int64], Found]] = []
    for number, (chosen, budget) in enumerate(zip(attacks, budgets, strict=True)):
        rows = np.flatnonzero(right & ~fooled)
        rng = np.random.default_rng([seed, number])
        found = attack(chosen.run, model, x[rows], y[rows], budget, chosen.params, rng=rng)
        if not found.verdicts.allowed.all():
            raise AssertionError(f"attack {chosen.name} left its budget: its results do not count.")
        if not number:
            right = found.verdicts.right
        fell = found.verdicts.fooled & found.verdicts.right
        worst[rows[fell]] = found.x[fell]
        fooled[rows[fell]] = True
        tried.append((rows, found))
    return _Batch(worst, right, fooled, tried)


@dataclass(slots=True)
class _State:
    """What the finished batches came to."""

    attacks: Sequence[Chosen]
    batches: list[_Batch] = field(default_factory=list)
    starts: list[int] = field(default_factory=list)

    def take(self, batch: _Batch, first: int) -> None:
        self.batches.append(batch)
        self.starts.append(first)

    @property
    def standing(self) -> int:
        return sum(int((batch.right & ~batch.fooled).sum()) for batch in self.batches)

    def result(  # noqa: PLR0913, PLR0917 - the circumstances
        self,
        order: NDArray[np.int64],
        y: Labels,
        estimate: Interval,
        confidence: float,
        wanted: int,
        partial: str,
        seconds: float,
    ) -> Campaign:
        warnings = dict.fromkeys(w for batch in self.batches for _, found in batch.tried for w in found.warnings)
        return Campaign(
            order,
            np.concatenate([batch.x for batch in self.batches]),
            y[order],
            np.concatenate([batch.right for batch in self.batches]),
            np.concatenate([batch.fooled for batch in self.batches]),
            tuple(self._attempt(number, chosen.name) for number, chosen in enumerate(self.attacks)),
            estimate,
            confidence,
            wanted,
            partial,
            tuple(warnings),
            seconds,
        )

    def _attempt(self, number: int, name: str) -> Attempt:
        rows, fooled, asked, distance = [], [], [], []
        for start, batch in zip(self.starts, self.batches, strict=True):
            given, found = batch.tried[number]
            keep = found.verdicts.right
            rows.append(start + given[keep])
            fooled.append(found.verdicts.fooled[keep])
            asked.append((found.verdicts.queries + found.verdicts.gradients)[keep])
            distance.append(found.verdicts.distance[keep])
        return Attempt(
            name, np.concatenate(rows), np.concatenate(fooled), np.concatenate(asked), np.concatenate(distance)
        )
