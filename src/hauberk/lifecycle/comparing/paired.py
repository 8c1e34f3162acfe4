"""Two models on the same rows: by how much the challenger is better or worse, with an interval.

McNemar's exact test decides whether they differ: if the models are equally good, each row that exactly one of them gets right
falls to either with probability 1/2. Tango's score interval says by how much; it keeps its coverage when the models hardly
differ, where 15 rows without disagreement still allow a large difference. A model is called worse when the test rejects and
the interval lies below zero.
Source: McNemar 1947; Tango 1998, "Equivalence test and confidence interval for the difference in proportions for the
paired-sample design", Statistics in Medicine 17.
"""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from typing import Any

from hauberk.core.errors import InvalidInput
from hauberk.data.reading.dataset import Mask


@dataclass(frozen=True, slots=True)
class Compared:
    """One metric of challenger against champion.

    metric: "accuracy", "robust accuracy: pixels", "selection gap: sex". rows: which rows ("held out", "current", "held out,
    against the trusted release"). n: how many. champion, challenger: the values. difference: challenger less champion, with
    low and high at `confidence`. p: two-sided p-value of the test; None when only an interval is computed.
    higher: whether more is better.
    """

    metric: str
    rows: str
    n: int
    champion: float
    challenger: float
    difference: float
    low: float
    high: float
    confidence: float
    p: float | None
    higher: bool = True

    @property
    def regressed(self) -> bool:
        """Whether the challenger is worse, beyond its interval."""
        return self._sure and (self.high < 0 if self.higher else self.low > 0)

    @property
    def improved(self) -> bool:
        """Whether the challenger is better, beyond its interval."""
        return self._sure and (self.low > 0 if self.higher else self.high < 0)

    @property
    def _sure(self) -> bool:
        return self.p is None or self.p < 1 - self.confidence

    @property
    def unexcluded(self) -> float:
        """The largest loss that the interval does not exclude, 0 or more: a loss that too few rows may hide."""
        return max(0.0, -self.low if self.higher else self.high)

    def to_json(self) -> dict[str, Any]:
        """Return the JSON form that evidence carries."""
        return asdict(self) | {
            "regressed": self.regressed,
            "improved": self.improved,
            "unexcluded_loss": self.unexcluded,
        }

    def __str__(self) -> str:
        return (
            f"{self.metric} on {self.rows}: {self.champion:.4g} to {self.challenger:.4g}, difference {self.difference:+.4g} "
            f"[{self.low:+.4g}, {self.high:+.4g}] at {self.confidence:.2%}, {self.n:,} rows"
        )


def paired(metric: str, rows: str, champion: Mask, challenger: Mask, *, confidence: float) -> Compared:
    """Compare two masks of (n,) right answers, n >= 1. confidence: of the interval, in (0, 1).

    Raises InvalidInput for masks of different lengths and for empty ones.
    """
    from scipy.stats import binomtest

    if champion.shape != challenger.shape or champion.ndim != 1 or not len(champion):
        raise InvalidInput(
            f"{metric}: expected two masks of the same rows, found {champion.shape}, {challenger.shape}."
        )
    n, won, lost = len(champion), int((challenger & ~champion).sum()), int((champion & ~challenger).sum())
    p = float(binomtest(won, won + lost).pvalue) if won + lost else 1.0
    low, high = tango(won, lost, n, confidence=confidence)
    shares = float(champion.mean()), float(challenger.mean())
    return Compared(metric, rows, n, *shares, (won - lost) / n, low, high, confidence, p)


def tango(won: int, lost: int, n: int, *, confidence: float) -> tuple[float, float]:
    """Return the interval of the difference (won - lost) / n of two paired shares, within [-1, 1]; n >= 1."""
    from scipy.optimize import brentq
    from scipy.stats import norm

    z, found = float(norm.ppf((1 + confidence) / 2)), (won - lost) / n

    def beyond(delta: float) -> float:
        return abs(_score(won, lost, n, delta)) - z

    ends = []
    for end in (-1.0, 1.0):
        inner = end * (1 - 1e-12)
        # The score may stay within z up to the edge of the possible range: then the edge is the end.
        inside = found == end or beyond(inner) <= 0
        ends.append(end if inside else float(brentq(beyond, inner, found)))
    return ends[0], ends[1]


def _score(won: int, lost: int, n: int, delta: float) -> float:
    """Return Tango's statistic for a true difference delta: the observed one in units of its error under delta."""
    b = -won - lost + (2 * n - won + lost) * delta
    c = -lost * delta * (1 - delta)
    likely = (math.sqrt(max(0.0, b * b - 8 * n * c)) - b) / (4 * n)  # share of rows lost, the likeliest under delta
    error = n * (2 * likely + delta * (1 - delta))
    distance = won - lost - n * delta
    if abs(distance) < 1e-12:
        return 0.0
    return distance / math.sqrt(error) if error > 0 else math.copysign(math.inf, distance)
