"""Sources: which supplier, annotator, upload or time window do the suspects come from?

A source that sends poison has more suspects than its share of the rows explains. Each source is held against all
others by an exact test (Fisher), and the false-discovery rate over all sources is controlled (Benjamini, Hochberg 1995).
Rows of a guilty source are raised by how much likelier its rows are to be suspects, so that doubtful rows of a bad
supplier come before doubtful rows of a good one. Answers: poison that comes through some of the sources. Does not
answer: poison spread evenly over all of them, or sources that lie about who they are.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from hauberk.data.reading.dataset import Doubles

_GUILTY = 0.01  # false-discovery rate
_WATCHED = 0.02  # share of rows that are counted as suspects, or twice the false alarms when that is more
_LEAST = 3  # suspects without which a source is never guilty


@dataclass(frozen=True, slots=True)
class SourceRow:
    """One source and its suspects.

    rows: it sent. suspects: among the most suspect rows. expected: by its share alone. lift: suspects over expected,
    shrunk towards 1. p: of as many or more by chance. q: p after Benjamini-Hochberg. guilty: q below 0.01.
    """

    source: str
    rows: int
    suspects: int
    expected: float
    lift: float
    p: float
    q: float
    guilty: bool


def lift(
    scores: Doubles, sources: npt.NDArray[np.str_], *, false_alarms: float
) -> tuple[Doubles, tuple[SourceRow, ...]]:
    """Return the scores with rows of guilty sources raised, and the sources, the guiltiest first.

    scores: (n,) 0 or more; a row that nothing speaks against is not raised. sources: (n,). One source alone is never
    guilty: there is nobody to compare it with.
    """
    from scipy.stats import hypergeom

    names, member = np.unique(sources, return_inverse=True)
    member = member.reshape(-1)
    n = len(scores)
    watched = max(1, round(n * max(_WATCHED, 2 * false_alarms)))
    # The rows that are flagged outright are always counted.
    suspects = np.zeros(n, bool)
    suspects[np.argsort(-scores, kind="stable")[:watched]] = True
    suspects |= scores >= -math.log10(false_alarms)
    suspects &= scores > 0
    rows = np.bincount(member, minlength=len(names))
    seen = np.bincount(member, weights=suspects, minlength=len(names)).astype(np.int64)
    total = int(suspects.sum())
    p = hypergeom.sf(seen - 1, n, total, rows) if len(names) > 1 else np.ones(1)
    q = _adjusted(np.asarray(p, np.float64))
    expected = total * rows / n
    # Two pseudo-counts a source: a lift of few rows is worth little.
    ratio = (seen + 2) / (expected + 2)
    guilty = (q < _GUILTY) & (seen >= _LEAST)
    raised = scores + np.where(guilty & (ratio > 1), np.log10(np.maximum(ratio, 1)), 0.0)[member] * (scores > 0)
    table = [
        SourceRow(
            str(names[i]),
            int(rows[i]),
            int(seen[i]),
            float(expected[i]),
            float(ratio[i]),
            float(p[i]),
            float(q[i]),
            bool(guilty[i]),
        )
        for i in np.lexsort((names, q))
    ]
    return raised, tuple(table)


def _adjusted(p: Doubles) -> Doubles:
    order = np.argsort(p)
    ranked = p[order] * len(p) / np.arange(1, len(p) + 1)
    found = np.empty_like(p)
    found[order] = np.minimum(np.minimum.accumulate(ranked[::-1])[::-1], 1.0)
    return found
