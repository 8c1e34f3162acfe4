"""Label errors: rows whose label is contradicted by models that never saw them.

Out-of-fold probabilities say how likely each label is for a row. Two readings are joined: how little is left for the
given label (flips to any class), and how well another class explains the label given how often that class is labelled
so (flips between a pair of classes, which leave much probability on the wrong label). The second is an expectation
maximisation over a matrix of true against given classes, after Dawid and Skene, "Maximum Likelihood Estimation of
Observer Error-Rates Using the EM Algorithm" (1979), with probabilities in the place of a first annotator. Confident
learning (Northcutt et al., JAIR 2021) estimates the same matrix by thresholds.

How rarely an honest row scores as badly is estimated from the same probabilities: an honest row of ambiguous content
has the unlikely label as often as they say. So where classes overlap by nature, unusual rows are ranked and not
flagged. Answers: flipped labels, by mistake or by a poisoner, one by one or between pairs. Does not answer:
clean-label poison, or a poisoner who relabels most of a class.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from hauberk.core.errors import InvalidInput
from hauberk.core.progress import Task
from hauberk.data.poison.detectors import DETECTORS, Rows, Suspicion
from hauberk.data.reading.dataset import Doubles, Labels

_LEAST = 1e-4
_ORDER = 0.01  # keeps the order among the most doubtful
_ROUNDS = 20
_CLEAREST, _ABOVE = 0.1, 1.5  # quantile of the rows that tell a floor, and what is allowed for its own spread
_NEXT, _STEEPEST = 0.3, 2.25  # quantile up to which a floor is level, and how level
_TELLING = 1_000  # rows of a class, from which on the clearest tenth is a hundred
_MOST = 0.3  # of a class's rows that a floor may explain
_FEWEST = 20  # rows of a class that tell its floor


@dataclass(frozen=True, slots=True)
class Params:
    """pairs: weight of the reading by pairs of classes, from 0 to 1. sharpen: exponent on probabilities, 1 or more."""

    pairs: float = 0.6
    sharpen: float = 1.5

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
    """Return a score for each row; the suggested label is the most likely other one."""
    present, y = np.unique(rows.y, return_inverse=True)
    probabilities = rows.probabilities[:, present]
    probabilities = (probabilities + _LEAST) / (probabilities + _LEAST).sum(axis=1, keepdims=True)
    doubt = doubts(y, probabilities, pairs=params.pairs, sharpen=params.sharpen)
    task.update(0.5)
    each = np.arange(len(y))
    # A network is surer of one clear picture than of another; models of tables are held back evenly.
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
    """Return (n, k) how doubtful each label would be on each row, in natural log units; the given one's is the row's.

    y: (n,) in [0, k). probabilities: (n, k) out-of-fold, above 0, each row adding up to 1.
    """
    sharp = probabilities**sharpen
    sharp /= sharp.sum(axis=1, keepdims=True)
    given = _given(y, sharp)
    # How much of each label on each row is explained by its own class: (n, k) responsibilities of class c for label c.
    explained = sharp * np.diag(given) / np.maximum(sharp @ given, 1e-12)
    return -(pairs * np.log(explained + _LEAST) + (1 - pairs) * np.log(probabilities))


def _given(y: Labels, sharp: Doubles) -> Doubles:
    """Return (k, k), each row adding up to 1: how often a row of a true class (first axis) is given each label."""
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
    """Return (n,) minus the decimal logarithm of the share of honest rows expected to be as doubtful or more.

    An honest row has label c as often as its probability says, less the part that is the same for nearly all rows of a
    class: that is noise in the labels or in the model, not doubt about the row. steepest: in a class of few rows, how many
    times the doubt of the clearest tenth that of the clearest third may be, for it to be the same.
    """
    honest = _without_floor(probabilities, steepest)
    order = np.argsort(-doubt.ravel(), kind="stable")
    expected = np.cumsum(honest.ravel()[order]) / len(y)
    ranked = doubt.ravel()[order]
    mine = doubt[np.arange(len(y)), y]
    place = np.searchsorted(-ranked, -mine, side="right") - 1
    share = np.clip(expected[place], 1 / (10 * len(y)), 1.0)
    # Beyond what can be estimated rows are equal; the more doubtful still come first.
    rank = np.argsort(np.argsort(mine, kind="stable"), kind="stable") / len(y)
    found: Doubles = -np.log10(share) + _ORDER * rank
    return found


def _without_floor(probabilities: Doubles, steepest: float) -> Doubles:
    """Return probabilities less what nearly all rows of the same likely class share, each row adding up to 1 again.

    The clearest rows of a class tell it: what even they leave for another label is noise in the labels or in the model.
    """
    likely = probabilities.argmax(axis=1)
    floors = np.zeros((probabilities.shape[1],) * 2)
    counts = np.bincount(likely, minlength=len(floors))
    for label in np.flatnonzero(counts >= _FEWEST):
        own = probabilities[likely == label]
        clear, clearish = np.quantile(1 - own[:, label], [_CLEAREST, _NEXT])
        # Doubt that grows from row to row may be no floor, but a class that is never certain; few rows cannot tell.
        if len(own) >= _TELLING or clearish <= steepest * clear:
            floors[label] = _ABOVE * np.quantile(own, _CLEAREST, axis=0)
            floors[label, label] = 0
    # A class of which floors would explain much is one that the models cannot tell, and that is no noise.
    floors[:, counts @ floors > _MOST * probabilities.sum(axis=0)] = 0
    found = np.maximum(probabilities - floors[likely], 0)
    honest: Doubles = found / found.sum(axis=1, keepdims=True)
    return honest
