"""Verdict: the effect of an attack on each row, measured independently of the attack.

`judge` shares no code with the attacks: it asks the model for scores again and checks the budget in float64 by plain loops.
It takes from the attack only the inputs and the number of requests.
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
    """The unjudged result of a search: x like its input, and the cost of each row.

    queries: (n,) number of requests for scores. gradients: (n,) number of requests with a gradient. warnings: reasons to
    doubt the result.
    """

    x: Floats
    queries: Counts
    gradients: Counts
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Verdicts:
    """One value for each row; all arrays are (n,).

    right: the clean row is predicted as its label. fooled: the adversarial row is allowed, and it is predicted as another
    class (as the target, if there is one) or its scores are NaN. allowed: within the budget, by the independent check.
    distance: size of the change in the budget's measure (for tables the cost), float64. margin: score of the label minus
    the best other score after the attack, float64. queries, gradients: the attack's requests for the row, without the two
    passes for clean scores and verdicts. undefined: scores were NaN before or after the attack; such a row counts neither
    as right nor as robust.
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
    """The adversarial rows, like x, with their verdicts and reasons to doubt them."""

    x: Floats
    y: Labels
    verdicts: Verdicts
    warnings: tuple[str, ...] = ()

    @property
    def accuracy(self) -> float:
        """Share of the rows that are classified correctly unchanged; NaN for no rows."""
        return _share(self.verdicts.right)

    @property
    def robust(self) -> float:
        """Share of all rows that are classified correctly before and after the attack; NaN for no rows."""
        return _share(self.verdicts.right & ~self.verdicts.fooled)

    @property
    def success(self) -> float:
        """Share of the right rows that were fooled; NaN if no row was right."""
        return _share(self.verdicts.fooled[self.verdicts.right])


def predictions(scores: Floats) -> NDArray[np.int64]:
    """Return (n,): the index of each row's largest score (the first of equals); -1 if a score is NaN."""
    return np.where(np.isnan(scores).any(axis=1), -1, scores.argmax(axis=1)).astype(np.int64)


def judge(  # noqa: PLR0913 - the subjects of a verdict
    model: Model,
    tried: SearchResult,
    origin: Floats,
    y: Labels,
    budget: Region,
    *,
    clean: Floats,
    targets: Labels | None = None,
) -> Verdicts:
    """Return the verdicts on the result of a search.

    clean: (n, classes) scores of the origins. The model is not asked about rows that contain NaN.
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
    """Return (n,) margins by a plain loop, independent of the attacks' vectorised code."""
    found = np.empty(len(y), dtype=np.float64)
    for row, (values, label) in enumerate(zip(scores.astype(np.float64), y, strict=True)):
        found[row] = values[label] - np.delete(values, label).max()
    return found


def _share(flags: Flags) -> float:
    return float(flags.mean()) if len(flags) else float("nan")
