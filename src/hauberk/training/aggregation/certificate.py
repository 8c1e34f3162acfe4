"""Certificate: computes from votes how many poisoned rows each prediction provably withstands.

The proof: a poisoned row changes one bucket, and a bucket trains d models, so r rows change at most the models of r
buckets. Compared with another class c', a changed vote lowers the margin of the winner c by at most 2 if it was for c, by 1
if it was for neither class, and by 0 if it was for c' already. As long as the margin covers the r most costly buckets, c wins.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from hauberk.core.errors import InvalidInput
from hauberk.models.port import Labels
from hauberk.training.aggregation.partition import Plan

_AT_ONCE = 1 << 22  # number of costs in memory at a time

Votes = npt.NDArray[np.integer]


@dataclass(frozen=True, slots=True, eq=False)
class Certificates:
    """predicted: (n,) the class with the most votes, ties to the lower index. withstands: (n,) poisoned rows, >= 0.

    Up to `withstands` poisoned rows do not change the prediction. A poisoned row is one that was inserted, removed, or
    relabelled. A row with changed inputs counts as two (removed and inserted).
    """

    predicted: Labels
    withstands: Labels

    def accuracy_at(self, rows: int, y: Labels) -> float:
        """Return the share of predictions, in [0, 1], that are correct and certified against `rows` poisoned rows."""
        return float(((self.predicted == y) & (self.withstands >= rows)).mean())

    def curve(self, y: Labels) -> list[dict[str, float]]:
        """Return certified accuracy by number of poisoned rows: points {"x", "y"} from 0 up to the first accuracy of 0."""
        right = np.where(self.predicted == y, self.withstands, -1)
        most = int(right.max(initial=-1)) + 1
        return [{"x": float(rows), "y": float((right >= rows).mean())} for rows in range(most + 1)]


def certify(votes: Votes, *, classes: int, plan: Plan) -> Certificates:
    """Return prediction and certificate of each row.

    votes: (n, plan.models) integers in [0, classes), column i from the model trained on part i of `plan`. Raises
    InvalidInput for other shapes and values. Cost: O(n * classes * models log models).
    Answers: any poison, by an adversary who knows the plan, the learner and the seed. Does not answer: poison already
    in the data beyond the certificate (then the stable prediction may be the adversary's); a changed list of classes,
    columns or column kinds, which are taken as declared; inputs changed at prediction time.
    Source: Wang et al. 2022, theorem 2, which for d = 1 is Levine, Feizi 2021, theorem 1.
    """
    votes = np.asarray(votes)
    if votes.ndim != 2 or votes.shape[1] != plan.models or votes.dtype.kind not in "iu":
        raise InvalidInput(
            f"votes have shape {votes.shape} and type {votes.dtype}; expected integers of shape (rows, {plan.models}). "
            "Pass the votes of the ensemble that was trained with this plan."
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
    winner = counts.argmax(axis=1)  # ties go to the lower index
    each = np.arange(len(votes))
    withstands = np.full(len(votes), plan.models)
    for other in range(classes):
        against = winner != other
        # A tie goes to the lower index, so a class with a lower index needs one vote less.
        margin = counts[each, winner] - counts[:, other] - (other < winner)
        cost = _costs(votes[against], winner[against], other, plan)
        spent = np.cumsum(-np.sort(-cost, axis=1), axis=1)
        covered = (spent <= margin[against][:, None]).sum(axis=1)
        withstands[against] = np.minimum(withstands[against], covered)
    return winner.astype(np.int64), withstands.astype(np.int64)


def _costs(votes: Votes, winner: Labels, other: int, plan: Plan) -> npt.NDArray[np.int32]:
    """Return (n, buckets): the largest loss of the winner's margin over `other` when a bucket is poisoned."""
    lost = np.where(votes == winner[:, None], 2, np.where(votes == other, 0, 1)).astype(np.int32)
    # Bucket j trains models (j + step) mod models.
    cost = np.zeros_like(lost)
    for step in plan.offsets:
        cost += np.roll(lost, -int(step), axis=1)
    return cost
