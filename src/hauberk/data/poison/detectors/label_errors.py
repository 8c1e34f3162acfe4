"""Label errors: rows whose label is contradicted by models that were not fitted on them.

Two scores are combined, both from out-of-fold class probabilities:

1. minus the log probability of the given label; it detects flips to any class;
2. minus the log of the probability that the given label is the true class rather than another class mislabelled as it,
   under an estimated confusion matrix. It detects flips between one pair of classes, which raise the predicted
   probability of the wrong label. The matrix is estimated by expectation maximisation after Dawid and Skene, "Maximum
   Likelihood Estimation of Observer Error-Rates Using the EM Algorithm" (1979), with the probabilities in place of a first
   annotator. Confident learning (Northcutt et al., JAIR 2021) estimates the same matrix by thresholds.

How rarely an honest row scores as high is estimated from the same probabilities: an honest row of ambiguous content has an
unlikely label as often as the probabilities predict. So where classes overlap naturally, unusual rows are ranked but not
flagged.

Answers: flipped labels, by mistake or by an attacker, one by one or between pairs of classes. Does not answer: clean-label
poison, or an attacker who relabels most of a class.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import numpy as np

from hauberk.core.errors import InvalidInput
from hauberk.core.progress import Task
from hauberk.data.poison.detectors import DETECTORS, Rows, Suspicion
from hauberk.data.reading.dataset import Doubles, Labels

_LEAST = 1e-4  # added to probabilities before the logarithm
_ORDER = 0.01  # weight of a row's rank in its score; it orders rows whose estimated rarity is equal
_ROUNDS = 20  # of expectation maximisation
# A class's noise floor is _ABOVE times the _CLEAREST quantile of the doubt over the rows predicted as the class; the factor
# allows for the spread of the noise itself.
_CLEAREST, _ABOVE = 0.1, 1.5
# A noise floor is accepted only if the doubt at the 0.3 quantile of a small class is at most 2.25 times the doubt at its 0.1
# quantile.
_NEXT, _STEEPEST = 0.3, 2.25
_TELLING = (
    1_000  # from this many rows a class is large: its clearest tenth has a hundred rows, and the floor is accepted
)
_MOST = 0.3  # largest share of a class's total probability that the floors may explain
_FEWEST = 20  # a class with fewer rows has no floor


@dataclass(frozen=True, slots=True)
class Params:
    """Settings of the detector.

    pairs: weight of the confusion-matrix score against the plain one, in [0, 1]. sharpen: exponent on the probabilities
    before the matrix is estimated, in [1, 10].
    """

    pairs: float = field(
        default=0.6, metadata={"help": "weight of the confusion-matrix score against the plain one"}
    )
    sharpen: float = field(
        default=1.5, metadata={"help": "exponent on the probabilities before the matrix is estimated"}
    )

    def __post_init__(self) -> None:
        if not 0 <= self.pairs <= 1 or not 1 <= self.sharpen <= 10:
            raise InvalidInput(
                f"expected pairs in [0, 1] and sharpen in [1, 10], found {self.pairs} and {self.sharpen}."
            )


@DETECTORS.register(
    "label-errors",
    practice="1a",
    threats=("poisoning",),
    summary="labels that models which never saw the row contradict",
    params=Params,
    kinds=("image", "table", "embedding"),
)
def run(rows: Rows, params: Params, *, rng: np.random.Generator, task: Task) -> Suspicion:  # noqa: ARG001 - the shape of a detector
    """Return a score for each row; the suggested label is the most likely other class, if likelier than the given one."""
    present, y = np.unique(rows.y, return_inverse=True)
    probabilities = rows.probabilities[:, present]
    probabilities = (probabilities + _LEAST) / (probabilities + _LEAST).sum(axis=1, keepdims=True)
    doubt = doubts(y, probabilities, pairs=params.pairs, sharpen=params.sharpen)
    task.update(0.5)
    each = np.arange(len(y))
    # The level-floor test is for tables only: their regularised models leave an even floor, while a network's confidence
    # varies between equally clear pictures.
    score = rarity(y, probabilities, doubt, steepest=math.inf if rows.kind == "image" else _STEEPEST)
    score[doubt[each, y] <= 0] = 0
    others = probabilities.copy()
    others[each, y] = 0
    best = others.argmax(axis=1)
    reasons = {
        int(row): (
            f"labelled {rows.side.classes[rows.y[row]]!r}, and models that never saw the row think it is "
            f"{rows.side.classes[present[best[row]]]!r} (probability {others[row, best[row]]:.2f} against "
            f"{probabilities[row, y[row]]:.2f})"
        )
        for row in np.flatnonzero(score >= 2)
    }
    contradicted = others[each, best] > probabilities[each, y]
    return Suspicion(score, reasons, np.where(contradicted, present[best], -1).astype(np.int64))


def doubts(y: Labels, probabilities: Doubles, *, pairs: float, sharpen: float) -> Doubles:
    """Return (n, k) the doubt about each possible label of each row, in nats; entry [i, y[i]] is the row's own doubt.

    y: (n,) in [0, k). probabilities: (n, k) out-of-fold, > 0, rows sum to 1. pairs, sharpen: as in `Params`.
    """
    sharp = probabilities**sharpen
    sharp /= sharp.sum(axis=1, keepdims=True)
    given = _given(y, sharp)
    # (n, k) responsibility of class c for label c: the probability that a row labelled c is truly of class c.
    explained = sharp * np.diag(given) / np.maximum(sharp @ given, 1e-12)
    return -(pairs * np.log(explained + _LEAST) + (1 - pairs) * np.log(probabilities))


def _given(y: Labels, sharp: Doubles) -> Doubles:
    """Return the (k, k) confusion matrix: probability of each given label (second axis) by true class; rows sum to 1."""
    k = sharp.shape[1]
    matrix = np.full((k, k), 0.1 / k) + 0.9 * np.eye(k)
    member = np.eye(k)[y]
    for _ in range(_ROUNDS):
        share = sharp * matrix[:, y].T
        share /= np.maximum(share.sum(axis=1, keepdims=True), 1e-12)
        counts = share.T @ member + np.eye(k) + 0.01
        matrix = counts / counts.sum(axis=1, keepdims=True)
    return matrix


def rarity(y: Labels, probabilities: Doubles, doubt: Doubles, *, steepest: float = math.inf) -> Doubles:
    """Return (n,) minus the decimal logarithm of the share of honest rows expected to be at least as doubtful.

    y, probabilities: as in `doubts`. doubt: (n, k), its result. An honest row has label c with its predicted probability,
    less a floor that nearly all rows of a class share: the floor is noise of the labels or the model, not doubt about the
    row. steepest: in a class below 1,000 rows, the largest accepted ratio of the doubts at the 0.3 and 0.1 quantiles.
    """
    honest = _without_floor(probabilities, steepest)
    order = np.argsort(-doubt.ravel(), kind="stable")
    expected = np.cumsum(honest.ravel()[order]) / len(y)
    ranked = doubt.ravel()[order]
    mine = doubt[np.arange(len(y)), y]
    place = np.searchsorted(-ranked, -mine, side="right") - 1
    share = np.clip(expected[place], 1 / (10 * len(y)), 1.0)
    # The share cannot be estimated below 1 / (10 n); the rank orders the rows beyond.
    rank = np.argsort(np.argsort(mine, kind="stable"), kind="stable") / len(y)
    rare: Doubles = -np.log10(share) + _ORDER * rank
    return rare


def _without_floor(probabilities: Doubles, steepest: float) -> Doubles:
    """Return (n, k) probabilities minus the noise floor of each row's predicted class; rows sum to 1.

    The floor is estimated from the class's most confident rows: the probability that even these give to another label is
    noise of the labels or the model.
    """
    likely = probabilities.argmax(axis=1)
    floors = np.zeros((probabilities.shape[1],) * 2)
    counts = np.bincount(likely, minlength=len(floors))
    for label in np.flatnonzero(counts >= _FEWEST):
        own = probabilities[likely == label]
        clear, clearish = np.quantile(1 - own[:, label], [_CLEAREST, _NEXT])
        # If the doubt rises quickly from row to row, the class may simply never be certain; few rows cannot decide that.
        if len(own) >= _TELLING or clearish <= steepest * clear:
            floors[label] = _ABOVE * np.quantile(own, _CLEAREST, axis=0)
            floors[label, label] = 0
    # If the floor would explain most of a class's probability, the models cannot separate that class; it is not treated as
    # label noise.
    floors[:, counts @ floors > _MOST * probabilities.sum(axis=0)] = 0
    reduced = np.maximum(probabilities - floors[likely], 0)
    honest: Doubles = reduced / reduced.sum(axis=1, keepdims=True)
    return honest
