"""Verdict: what an attack did to each row, found out by asking the model again and measuring again.

`judge` shares nothing with the attacks: it asks for scores of its own, measures in float64 by plain loops through the
budget's independent check, and believes an attack nothing but what it says it spent.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hauberk.attacks.budget import Region
from hauberk.models.port import Floats, Labels, Model

Flags = NDArray[np.bool_]
Counts = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class SearchResult:
    """What an attack returns: x like its input, and what each row cost it.

    queries: (n,) how often the row's scores were asked alone. gradients: (n,) how often with a gradient. warnings: what
    a reader should know before trusting the result.
    """

    x: Floats
    queries: Counts
    gradients: Counts
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Verdicts:
    """One value for each row, all of shape (n,).

    right: the clean row is predicted as its label. fooled: the found row is allowed, and predicted as another class
    (as the target, where there is one), or its scores are NaN. allowed: within the budget, by the independent check.
    distance: how far it was moved, in the budget's norm (for tables: the cost), float64. margin: score of the label
    minus the best other, after the attack; float64. queries, gradients: what the attack spent on the row; the two
    passes that find the right rows and judge the found ones are not among them. undefined: scores were NaN, before
    or after: never right, never robust.
    """

    right: Flags
    fooled: Flags
    allowed: Flags
    distance: NDArray[np.float64]
    margin: NDArray[np.float64]
    queries: Counts
    gradients: Counts
    undefined: Flags


@dataclass(frozen=True, slots=True)
class AttackResult:
    """The adversarial rows, like x, with their verdicts, and what a reader should know before trusting them."""

    x: Floats
    y: Labels
    verdicts: Verdicts
    warnings: tuple[str, ...] = ()

    @property
    def accuracy(self) -> float:
        """Share of the rows that are right as they are; NaN for no rows."""
        return _share(self.verdicts.right)

    @property
    def robust(self) -> float:
        """Share of all rows that are right, and still so after the attack; NaN for no rows."""
        return _share(self.verdicts.right & ~self.verdicts.fooled)

    @property
    def success(self) -> float:
        """Share of the right rows that were fooled; NaN where none was right."""
        return _share(self.verdicts.fooled[self.verdicts.right])


def predictions(scores: Floats) -> NDArray[np.int64]:
    """Return (n,): the first of each row's largest scores, and -1, which is no class, where one is NaN."""
    return np.where(np.isnan(scores).any(axis=1), -1, scores.argmax(axis=1)).astype(np.int64)


def judge(  # noqa: PLR0913 - everything that a verdict is about
    model: Model,
    tried: SearchResult,
    origin: Floats,
    y: Labels,
    budget: Region,
    *,
    clean: Floats,
    targets: Labels | None = None,
) -> Verdicts:
    """Return the verdicts on what an attack tried.

    clean: (n, classes) scores of the origins. Rows with a NaN value are not given to the model.
    """
    numbers = np.isfinite(tried.x).all(axis=tuple(range(1, tried.x.ndim)))
    scores = np.full_like(clean, np.nan)
    if numbers.any():
        scores[numbers] = model.scores(np.ascontiguousarray(tried.x[numbers]))
    allowed, before, after = budget.allows(tried.x, origin), predictions(clean), predictions(scores)
    fooled = after != y if targets is None else (after == targets) | (after < 0)
    return Verdicts(
        right=before == y,
        fooled=np.asarray(fooled & allowed, dtype=np.bool_),
        allowed=allowed,
        distance=budget.distance(tried.x, origin),
        margin=_margins(scores, y),
        queries=tried.queries,
        gradients=tried.gradients,
        undefined=(before < 0) | (numbers & (after < 0)),
    )


def nothing() -> Verdicts:
    """Return the verdicts on no rows."""
    flags, counts, sizes = np.zeros(0, np.bool_), np.zeros(0, np.int64), np.zeros(0, np.float64)
    return Verdicts(flags, flags, flags, sizes, sizes, counts, counts, flags)


def _margins(scores: Floats, y: Labels) -> NDArray[np.float64]:
    """By a plain loop: the attacks have their own, vectorised."""
    found = np.empty(len(y), dtype=np.float64)
    for row, (values, label) in enumerate(zip(scores.astype(np.float64), y, strict=True)):
        found[row] = values[label] - np.delete(values, label).max()
    return found


def _share(flags: Flags) -> float:
    return float(flags.mean()) if len(flags) else float("nan")
