"""Certificate: from votes to the number of poisoned rows that each prediction provably withstands.

The proof in three lines. A poisoned row touches one bucket; a bucket teaches d models; so r rows change at most the
models of r buckets. Against another class c', a changed vote costs the winner c at most 2 when it was c's, 1 when it was
neither's, 0 when it was that of c' already. Take the r buckets that cost most: while the margin covers them, c wins.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from hauberk.core.errors import InvalidInput
from hauberk.models.port import Labels
from hauberk.training.aggregation.partition import Plan

_AT_ONCE = 1 << 22  # costs in memory at a time

Votes = npt.NDArray[np.integer]


@dataclass(frozen=True, slots=True, eq=False)
class Certificates:
    """predicted: (n,) the class with the most votes, ties to the lower index. withstands: (n,) poisoned rows, >= 0.

    Within `withstands` poisoned rows, the same prediction comes out. One poisoned row is: one that was put in, one
    that was taken out, or one whose label was changed. A row whose inputs were changed counts as two (out and in).
    """

    predicted: Labels
    withstands: Labels

    def accuracy_at(self, rows: int, y: Labels) -> float:
        """Return the share of predictions that are right and stay so under `rows` poisoned rows, in [0, 1]."""
        return float(((self.predicted == y) & (self.withstands >= rows)).mean())

    def curve(self, y: Labels) -> list[dict[str, float]]:
        """Return certified accuracy by poisoned rows: points {"x", "y"} from 0 to the first with accuracy 0."""
        right = np.where(self.predicted == y, self.withstands, -1)
        most = int(right.max(initial=-1)) + 1
        return [{"x": float(rows), "y": float((right >= rows).mean())} for rows in range(most + 1)]


def certify(votes: Votes, *, classes: int, plan: Plan) -> Certificates:
    """Return prediction and certificate of each row.

    votes: (n, plan.models) integers in [0, classes), column i by the model that learned from part i of `plan`. Raises
    InvalidInput for other shapes and values. Cost: O(n * classes * models log models).
    Answers: any poison, of whatever look, by an adversary who knows the plan, the learner and the seed. Does not
    answer: poison that is there already and is more than the certificate (the prediction may be the adversary's, and
    then it is that which is stable); a changed list of classes, columns or their kinds, which are taken as declared;
    inputs changed at prediction time. Source: Wang et al. 2022, theorem 2, which for d = 1 is Levine, Feizi 2021, theorem 1.
    """
    votes = np.asarray(votes)
    if votes.ndim != 2 or votes.shape[1] != plan.models or votes.dtype.kind not in "iu":
        raise InvalidInput(
            f"votes have shape {votes.shape} and type {votes.dtype}; expected integers, (rows, {plan.models})."
        )
    if classes < 2 or (votes.size and not (votes.min() >= 0 and votes.max() < classes)):
        raise InvalidInput(f"votes must be classes from 0 to {classes - 1}, and classes 2 or more.")
    step = max(1, _AT_ONCE // plan.models)
    parts = [_certify(votes[start : start + step], classes, plan) for start in range(0, len(votes), step)]
    if not parts:
        return Certificates(np.zeros(0, np.int64), np.zeros(0, np.int64))
    return Certificates(np.concatenate([part[0] for part in parts]), np.concatenate([part[1] for part in parts]))


def _certify(votes: Votes, classes: int, plan: Plan) -> tuple[Labels, Labels]:
    counts = np.stack([(votes == label).sum(axis=1) for label in range(classes)], axis=1)
    winner = counts.argmax(axis=1)  # the first of equals: the lower index
    each = np.arange(len(votes))
    withstands = np.full(len(votes), plan.models)
    for other in range(classes):
        against = winner != other
        # A tie goes to the lower index, so such a rival needs one vote less.
        margin = counts[each, winner] - counts[:, other] - (other < winner)
        cost = _costs(votes[against], winner[against], other, plan)
        spent = np.cumsum(-np.sort(-cost, axis=1), axis=1)
        covered = (spent <= margin[against][:, None]).sum(axis=1)
        withstands[against] = np.minimum(withstands[against], covered)
    return winner.astype(np.int64), withstands.astype(np.int64)


def _costs(votes: Votes, winner: Labels, other: int, plan: Plan) -> npt.NDArray[np.int32]:
    """Return (n, buckets): what the winner loses against `other`, at most, when a bucket is poisoned."""
    lost = np.where(votes == winner[:, None], 2, np.where(votes == other, 0, 1)).astype(np.int32)
    # Bucket j teaches models (j + step) mod models.
    cost = np.zeros_like(lost)
    for step in plan.offsets:
        cost += np.roll(lost, -int(step), axis=1)
    return cost
