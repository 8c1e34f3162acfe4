"""Confident learning: which labels do out-of-fold predictions contradict with confidence?

Northcutt, Jiang, Chuang, "Confident Learning: Estimating Uncertainty in Dataset Labels", JAIR 70 (2021), section 3.
Pure functions of arrays; where the probabilities come from is `label_errors`' business.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from hauberk.core.errors import InvalidInput
from hauberk.data.dataset import Doubles, Labels, Mask

_CONFIRMED = 0.9
_CLEAR = 0.8


@dataclass(frozen=True, slots=True, eq=False)
class Confident:
    """What confident learning finds.

    joint: (k, k) estimated share of rows by given class (row) and true class (column), adding up to 1. suspects:
    (n,) rows that are likely of another class than given. suggested: (n,) int64 that class; for other rows, the given
    one. margin: (n,) probability of the given class less the largest of another; the lower, the more suspect.
    """

    joint: Doubles
    suspects: Mask
    suggested: Labels
    margin: Doubles


def confident_learning(y: Labels, probabilities: Doubles) -> Confident:
    """Return the confident joint, calibrated, and the rows that it says are wrong.

    y: (n,) in [0, k). probabilities: (n, k) out-of-fold, each row adding up to 1. A row counts for class j if its
    probability reaches the mean probability of j over rows that are given j (equation 2); with several such
    classes, for the most probable. Raises InvalidInput when shapes disagree or a class has no row.
    """
    n, k = probabilities.shape
    if y.shape != (n,):
        raise InvalidInput(f"{len(y)} labels and {n} rows of probabilities do not belong together.")
    counts = np.bincount(y, minlength=k)
    if not counts.all():
        raise InvalidInput(f"class {int(np.argmin(counts))} has no row: leave out its probabilities.")
    own = probabilities[np.arange(n), y]
    thresholds = np.bincount(y, weights=own, minlength=k) / counts
    passing = np.where(probabilities >= thresholds, probabilities, -1.0)
    best = passing.argmax(axis=1)
    confident = passing[np.arange(n), best] >= 0
    joint = np.zeros((k, k))
    np.add.at(joint, (y[confident], best[confident]), 1)
    estimate = calibrated(joint, counts)
    suggested = pruned(y, probabilities, estimate)
    others = probabilities.copy()
    others[np.arange(n), y] = -np.inf
    margin = own - others.max(axis=1)
    clear = contradicted(margin)
    suggested[clear] = others[clear].argmax(axis=1)
    return Confident(estimate, suggested != y, suggested, margin)


def contradicted(margin: Doubles) -> Mask:
    """Return (n,), rows that are contradicted nearly as clearly as the usual row is confirmed.

    Beside the paper, for what its thresholds miss: half of the rightly labelled rows are below a mean, and so are half
    of a few wrong ones. Asked only where nine rows in ten are confirmed; elsewhere classes overlap, and it says nothing.
    """
    if (margin > 0).mean() < _CONFIRMED:
        return np.zeros(len(margin), bool)
    found: Mask = margin <= -_CLEAR * np.median(margin)
    return found


def pruned(y: Labels, probabilities: Doubles, joint: Doubles) -> Labels:
    """Return (n,) the suggested class of each row, which is the given one where nothing contradicts it.

    Pruning by noise rate (section 3.2, method 4): of the rows given class i, as many as the joint estimates to be of
    class j, those first whose probability of j exceeds that of i the most; never a row that leans towards i.
    """
    suggested = y.copy()
    best = np.zeros(len(y))
    for given in range(len(joint)):
        rows = np.flatnonzero(y == given)
        for true in np.flatnonzero(np.arange(len(joint)) != given):
            count = round(float(joint[given, true]) * len(y))
            gain = probabilities[rows, true] - probabilities[rows, given]
            for row in np.argsort(-gain, kind="stable")[:count]:
                if gain[row] > best[rows[row]]:
                    suggested[rows[row]], best[rows[row]] = true, gain[row]
    return suggested


def calibrated(joint: Doubles, counts: Labels) -> Doubles:
    """Return the joint scaled so that its rows add up to the classes' shares (equation 3).

    A class of which no row is confident is taken as rightly labelled.
    """
    rows = joint.sum(axis=1)
    filled = np.where(rows[:, None] > 0, joint, np.eye(len(joint)))
    scaled: Doubles = filled / filled.sum(axis=1, keepdims=True) * counts[:, None]
    return np.asarray(scaled / scaled.sum(), dtype=np.float64)
