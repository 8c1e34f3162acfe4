"""Campaign: attacks in growing batches until the estimate is precise enough, no rows are left, or it is interrupted.

Rows come in random order. Each attack tries the rows that the earlier attacks did not fool, so that the result is the
worst case over all attacks. After each batch there is an estimate of robust accuracy with an interval. Finished batches
are kept: after an interrupt, or when a service becomes unavailable, the result is partial and says so.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from time import monotonic
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from hauberk.attacks.attack import ATTACKS, Attack, attack
from hauberk.attacks.budget import Region
from hauberk.attacks.params import by_cost
from hauberk.attacks.verdict import AttackResult
from hauberk.core.errors import InvalidInput, Unavailable
from hauberk.core.progress import Quiet, Task
from hauberk.models.port import Floats, Labels, Model

Flags = NDArray[np.bool_]

_FIRST, _MOST = 32, 512  # rows of the first batch and of the largest batch
INTERRUPTED = "interrupted"


class Chosen(NamedTuple):
    """An attack with its settings. name: its name in results, unique in a campaign."""

    name: str
    run: Attack
    params: Any


@dataclass(frozen=True, slots=True)
class Attempt:
    """The result of one attack. All arrays are (r,).

    rows: indices in the campaign's order. fooled: whether the attack fooled the row. asked: number of scores and
    gradients. distance: of the attack's best attempt, in the budget's measure.
    """

    name: str
    rows: NDArray[np.int64]
    fooled: Flags
    asked: NDArray[np.int64]
    distance: NDArray[np.float64]

    @property
    def success(self) -> float:
        """Share of its rows that the attack fooled; 0 if it had none."""
        return float(self.fooled.mean()) if len(self.rows) else 0.0


class Interval(NamedTuple):
    """A share with its exact confidence interval (Clopper and Pearson 1934)."""

    share: float
    low: float
    high: float

    @property
    def half(self) -> float:
        """Half of the interval's width."""
        return (self.high - self.low) / 2


@dataclass(frozen=True, slots=True)
class Campaign:
    """The result of a campaign.

    order: (m,) indices of the caller's rows in the order of the attacks; the other arrays follow it. x: the worst input
    for each row. right: classified correctly unchanged. fooled: right, and fooled by one of the attacks. robust: robust
    accuracy with its interval. wanted: number of rows in the request. partial: why the campaign ended early, "" if it did
    not. warnings: about the model. seconds: duration.
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
        """Share of the rows that are classified correctly unchanged."""
        return float(self.right.mean())

    def success_by_queries(self, attempt: Attempt, *, most: int = 100) -> list[dict[str, float]]:
        """Return the share of right rows that one attack fooled within x scores and gradients for each row."""
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
    """Attack rows of x, y and return the results.

    model: a Model. budgets: one for each attack. precision: stop when half the width of the interval of robust accuracy is
    at most this; None attacks every row. With a precision the interval is checked after each batch. Repeated checks would
    make it wrong more often than `confidence` promises; therefore check k gets 1 / (k (k + 1)) of the total error, and
    the interval that ends the campaign holds with `confidence`.

    KeyboardInterrupt and Unavailable end the campaign with the finished batches as a partial result; they are raised if
    no batch was finished. Raises InvalidInput for no rows, no attacks, and whatever `attacks.attack.attack` refuses;
    AssertionError for an attack that left its budget.
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
            text = f"robust {estimate.share:.1%} [{estimate.low:.1%}, {estimate.high:.1%}] of {first} rows"
            task.update(first / len(order), text=text)
            if precision is not None and estimate.half <= precision:
                break
    except (KeyboardInterrupt, Unavailable) as error:
        if not first:
            raise
        partial = INTERRUPTED if isinstance(error, KeyboardInterrupt) else str(error)
    return state.result(order[:first], y, estimate, confidence, len(order), partial, monotonic() - started)


def usual(kind: str) -> list[Chosen]:
    """Return the attacks that a campaign runs by default on this kind of data, with their defaults.

    Attacks with gradients come first, then attacks with scores, then attacks with labels only.
    """
    entries = [entry for entry in ATTACKS if kind in entry.params.campaign]
    entries.sort(key=lambda entry: by_cost(entry.name, entry.params))
    return [Chosen(entry.name, entry.run, entry.make({})) for entry in entries]


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
            f"`precision` is half the width of an interval of shares: expected a number in (0, 0.5), found {precision}."
        )
    if not 0 < confidence < 1:
        raise InvalidInput(f"expected `confidence` in (0, 1), such as 0.95, found {confidence}.")


class _Batch(NamedTuple):
    x: Floats
    right: Flags
    fooled: Flags
    tried: list[
        tuple[NDArray[np.int64], AttackResult]
    ]  # for each attack, indices of the batch's rows and the result


def _batch(  # noqa: PLR0913, PLR0917 - as campaign
    model: Model, x: Floats, y: Labels, budgets: Sequence[Region], attacks: Sequence[Chosen], seed: int
) -> _Batch:
    worst, fooled = x.copy(), np.zeros(len(x), np.bool_)
    right = np.ones(len(x), np.bool_)
    tried: list[tuple[NDArray[np.int64], AttackResult]] = []
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
    """The finished batches."""

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
