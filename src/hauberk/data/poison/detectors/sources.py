"""Sources: finds suppliers, annotators, uploads or time windows that sent more suspects than their share of the rows.

Each source is compared with all others by Fisher's exact test, one-sided, and the false-discovery rate over the sources is
controlled (Benjamini, Hochberg 1995). Scores of a guilty source's rows are raised by the decimal logarithm of how many
times likelier its rows are to be suspects, so that doubtful rows of a bad supplier rank above those of a good one.

Answers: poison that comes from some of the sources. Does not answer: poison spread evenly over all sources, or forged
sources.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from hauberk.data.reading.dataset import Doubles

_GUILTY = 0.01  # false-discovery rate over sources
_WATCHED = 0.02  # share of the rows, the most suspect, that count as suspects; at least twice the false-alarm rate
_LEAST = 3  # a source with fewer suspects is never guilty


@dataclass(frozen=True, slots=True)
class SourceRow:
    """One source and its suspects.

    rows: number it sent. suspects: number of these among the most suspect rows. expected: number of suspects if they were
    spread evenly over the rows. lift: suspects over expected, shrunk towards 1 by two pseudo-counts. p: probability of at
    least as many suspects by chance. q: p adjusted after Benjamini-Hochberg. guilty: q < 0.01 and 3 suspects or more.
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
    """Return (n,) scores, raised for rows of guilty sources, and the sources, the lowest q first.

    scores: (n,) >= 0; a score of 0 is not raised. sources: (n,) names. false_alarms: as in `screen`, in (0, 0.5]. A single
    source is never guilty, because there is nothing to compare it with.
    """
    from scipy.stats import hypergeom

    names, member = np.unique(sources, return_inverse=True)
    member = member.reshape(-1)
    n = len(scores)
    watched = max(1, round(n * max(_WATCHED, 2 * false_alarms)))
    # Rows above the flagging threshold always count.
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
    # Two pseudo-counts a source, because the ratio of few rows is uncertain.
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
    q = np.empty_like(p)
    q[order] = np.minimum(np.minimum.accumulate(ranked[::-1])[::-1], 1.0)
    return q
