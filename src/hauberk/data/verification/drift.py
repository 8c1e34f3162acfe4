"""Drift of a table from a reference, column by column, with effect sizes and correction for multiple tests.

With many rows every small difference is significant; with few rows large differences occur by chance. So a column drifts
only if a measure exceeds its limit *and* its p-value, adjusted over all columns (Benjamini-Hochberg), is at most alpha.

numbers, times   PSI over ten bins of the reference; Kolmogorov-Smirnov's D; Wasserstein's distance in standard
                 deviations of the reference
text, booleans   PSI over categories; Cramér's V of side against category; the share of rows in new categories
all              the difference of the shares of nulls, and of NaN

Answers: shifted, scaled, clipped or relabelled columns, and new categories. Does not answer: changed dependence between
columns, or poison that follows the columns' distributions; see `screen`.
Source: Benjamini and Hochberg 1995; PSI as in Siddiqi 2006, "Credit Risk Scorecards"; Cramér 1946, ch. 21.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hauberk.core.extras import need
from hauberk.core.progress import Quiet, Task
from hauberk.data.verification.frames import Frame, framed
from hauberk.data.verification.kinds import family
from hauberk.data.verification.opening import Table
from hauberk.data.verification.schema import Drift, Schema
from hauberk.data.verification.summary import guessed

Floats = NDArray[np.float64]
BINS = 10  # of PSI, by the reference's quantiles
MOST_ROWS = 1_000_000  # values of a column compared on each side, at most; sampled by a hash of the row number
MOST_CATEGORIES = 10_000  # the most frequent categories that are compared
_NUMERIC = ("integer", "float", "number", "date", "datetime", "time", "duration")
_FEW = 5  # categories with fewer expected rows are merged, since the chi-square approximation fails for them


@dataclass(frozen=True, slots=True)
class Measure:
    """One measure of one column: effect, limit, p-value, and the p-value adjusted for all tests.

    p, adjusted: None for measures without a test (new categories; columns that are missing or of another type).
    """

    column: str
    name: str
    effect: float
    limit: float
    p: float | None = None
    adjusted: float | None = None
    note: str = ""
    drifted: bool = False


@dataclass(frozen=True, slots=True)
class Drifted:
    """All measures; `ok` if no column drifted. skipped: (column, reason) for columns that were not compared."""

    rows: int
    reference_rows: int
    measures: tuple[Measure, ...]
    skipped: tuple[tuple[str, str], ...] = ()

    @property
    def ok(self) -> bool:
        """Whether nothing drifted."""
        return not any(measure.drifted for measure in self.measures)

    def to_json(self) -> dict[str, Any]:
        """Return the JSON form."""
        return {
            "ok": self.ok,
            "rows": self.rows,
            "reference_rows": self.reference_rows,
            "measures": [asdict(measure) for measure in self.measures],
            "skipped": [{"column": column, "why": why} for column, why in self.skipped],
        }


def drift(table: Table, reference: Table, schema: Schema, *, task: Task | None = None) -> Drifted:
    """Measure a table's drift from a reference, with the limits of a schema; the module's docstring lists the measures.

    Memory: two columns at a time, at most a million values each. Cost: one pass over each column of each side.
    """
    polars = need("polars")
    task = task or Quiet()
    types = schema if schema.columns or not reference.textual else guessed(reference)
    here, there = framed(table, types), framed(reference, types)
    rows, base = (int(one.table.collect(one.scan().select(polars.len())).item()) for one in (here, there))
    measures, skipped = list[Measure](), list[tuple[str, str]]()
    names = list(there.found) + [name for name in here.found if name not in there.found]
    for at, name in enumerate(names):
        if name not in schema.drift.ignore:
            measured = _column(here, there, name, (rows, base), schema.drift)
            if isinstance(measured, str):
                skipped.append((name, measured))
            else:
                measures += measured
        task.update((at + 1) / len(names), text=name)
    return Drifted(rows, base, judged(measures, schema.drift.alpha), tuple(skipped))


def judged(measures: list[Measure], alpha: float) -> tuple[Measure, ...]:
    """Return the measures with adjusted p-values; a measure drifted if above its limit and, if it is a test, significant."""
    tested = [measure.p for measure in measures if measure.p is not None]
    adjusted = iter(benjamini_hochberg(np.array(tested, np.float64)))
    made = []
    for measure in measures:
        q = None if measure.p is None else float(next(adjusted))
        drifted = measure.effect > measure.limit and (q is None or q <= alpha)
        made.append(
            Measure(
                measure.column, measure.name, measure.effect, measure.limit, measure.p, q, measure.note, drifted
            )
        )
    return tuple(made)


def benjamini_hochberg(p: Floats) -> Floats:
    """Return (n,) p-values adjusted for the false discovery rate, in the order of p. p: (n,) in [0, 1]."""
    order = np.argsort(-p, kind="stable")
    ranks = np.arange(len(p), 0, -1)
    smallest = np.minimum.accumulate(p[order] * len(p) / np.maximum(ranks, 1))
    adjusted = np.empty(len(p))
    adjusted[order] = np.minimum(smallest, 1)
    return adjusted


def _column(here: Frame, there: Frame, name: str, sizes: tuple[int, int], limits: Drift) -> list[Measure] | str:
    if name not in here.found or name not in there.found:
        side = "only the reference has this column" if name in there.found else "only the table has this column"
        return [Measure(name, "present", 1.0, 0.0, note=side)]
    kinds = family(here.found[name]), family(there.found[name])
    numeric = all(kind in _NUMERIC for kind in kinds)
    if kinds[0] != kinds[1] and not (numeric and {*kinds} <= {"integer", "float", "number"}):
        return [Measure(name, "type", 1.0, 0.0, note=f"{here.found[name]}, in the reference {there.found[name]}")]
    if not numeric and kinds[0] not in ("text", "boolean"):
        return f"columns of type {here.found[name]} are not compared"
    if not all(sizes):
        return "one side has no rows"
    if numeric:
        return _numbers(here, there, name, sizes, limits)
    return _categories(here, there, name, limits)


def _numbers(here: Frame, there: Frame, name: str, sizes: tuple[int, int], limits: Drift) -> list[Measure] | str:
    from scipy import special, stats

    (x, nulls, nans), (r, base_nulls, base_nans) = _values(here, name, sizes[0]), _values(there, name, sizes[1])
    n, m = len(x) + nulls + nans, len(r) + base_nulls + base_nans
    measures = [_share(name, "missing", (nulls, n), (base_nulls, m), limits.missing)]
    if nans or base_nans:
        measures.append(_share(name, "nan", (nans, n), (base_nans, m), limits.missing))
    if not len(x) or not len(r):
        return measures
    d = ks(x, r)
    root = np.sqrt(len(x) * len(r) / (len(x) + len(r)))
    p = float(special.kolmogorov(root * d))
    spread = float(r.std()) or float(np.abs(r).max()) or 1.0
    moved = float(stats.wasserstein_distance(x, r)) / spread
    edges = np.unique(np.quantile(r, np.linspace(0, 1, BINS + 1)[1:-1]))
    counts = [np.bincount(np.searchsorted(edges, one, side="left"), minlength=len(edges) + 1) for one in (x, r)]
    return [
        *measures,
        Measure(name, "ks", d, limits.ks, p),
        Measure(name, "wasserstein", moved, limits.wasserstein, p),
        Measure(name, "psi", psi(*counts), limits.psi, _chi_square(*counts)[1]),
    ]


def _values(frame: Frame, name: str, rows: int) -> tuple[Floats, int, int]:
    """Return (sorted finite values, number of nulls, number of NaN and infinities) of all, or the sampled, rows."""
    polars = need("polars")
    value = polars.col(name)
    if family(frame.found[name]) in ("date", "datetime", "time", "duration"):
        value = value.to_physical()
    query = frame.scan("\0row" if rows > MOST_ROWS else "")
    if rows > MOST_ROWS:
        # By a hash and not every k-th row, because rows written in turn by several writers would be sampled unevenly.
        query = query.filter(polars.col("\0row").hash(seed=0) % rows < MOST_ROWS)
    values = frame.table.collect(query.select(value.cast(polars.Float64).alias("value")))["value"]
    nulls = values.null_count()
    array = values.drop_nulls().to_numpy()
    finite = array[np.isfinite(array)]
    return np.sort(finite), nulls, len(array) - len(finite)


def _categories(here: Frame, there: Frame, name: str, limits: Drift) -> list[Measure] | str:
    (x, nulls, known), (r, base_nulls, base) = _counts(here, name), _counts(there, name)
    measures = [_share(name, "missing", (nulls, nulls + known), (base_nulls, base_nulls + base), limits.missing)]
    if len(r) > max(20, base / 2) and family(there.found[name]) == "text":
        return "it is an identifier: nearly every value is different" if not measures[0].effect else measures
    fresh = {one: count for one, count in x.items() if one not in r}
    share = sum(fresh.values()) / max(1, known)
    note = ", ".join(repr(one)[:24] for one in sorted(fresh, key=lambda one: -fresh[one])[:3])
    measures.append(Measure(name, "new categories", share, limits.new_categories, note=note))
    keys = sorted({*x, *r}, key=lambda one: -(r.get(one, 0) + x.get(one, 0)))[:MOST_CATEGORIES]
    if len(keys) > 1:
        a, b = (np.array([side.get(one, 0) for one in keys]) for side in (x, r))
        v, p = _chi_square(a, b)
        measures += [
            Measure(name, "cramers v", v, limits.cramers_v, p),
            Measure(name, "psi", psi(a, b), limits.psi, p),
        ]
    return measures


def _counts(frame: Frame, name: str) -> tuple[dict[Any, int], int, int]:
    """Return the most frequent values with their counts, the number of nulls, and the number of other values."""
    polars = need("polars")
    counted = frame.scan().select(polars.col(name).alias("value")).group_by("value").agg(polars.len().alias("rows"))
    rows = counted.top_k(MOST_CATEGORIES + 1, by="rows")
    total = frame.scan().select(
        polars.col(name).count().alias("known"), polars.col(name).null_count().alias("nulls")
    )
    line = frame.table.collect(total).row(0, named=True)
    values = {value: int(count) for value, count in frame.table.collect(rows).iter_rows() if value is not None}
    return values, int(line["nulls"]), int(line["known"])


def ks(x: Floats, r: Floats) -> float:
    """Return Kolmogorov-Smirnov's D of two sorted samples (n,), (m,): the largest difference of their CDFs, in [0, 1]."""
    both = np.concatenate([x, r])
    cdfs = (np.searchsorted(side, both, side="right") / len(side) for side in (x, r))
    return float(np.abs(np.subtract(*cdfs)).max())


def psi(counts: Any, base: Any) -> float:  # noqa: ANN401 - arrays of counts
    """Return the population stability index, in nats, of two (k,) arrays of counts; 0.5 is added to each count."""
    p = (counts + 0.5) / (counts.sum() + 0.5 * len(counts))
    q = (base + 0.5) / (base.sum() + 0.5 * len(base))
    return float(((p - q) * np.log(p / q)).sum())


def _chi_square(counts: Any, base: Any) -> tuple[float, float]:  # noqa: ANN401 - arrays of counts
    """Return Cramér's V and the p-value of the chi-square test of equal distributions."""
    from scipy import stats

    table = np.array([counts, base], np.float64)
    table = table[:, table.sum(axis=0) > 0]
    smaller = table.sum(axis=0) * table.sum(axis=1).min() / table.sum() < _FEW
    if smaller.any():
        table = np.concatenate([table[:, ~smaller], table[:, smaller].sum(axis=1, keepdims=True)], axis=1)
    if table.shape[1] < 2 or (table.sum(axis=1) == 0).any():
        return 0.0, 1.0
    expected = np.outer(table.sum(axis=1), table.sum(axis=0)) / table.sum()
    statistic = float(((table - expected) ** 2 / expected).sum())
    return float(np.sqrt(statistic / table.sum())), float(stats.chi2.sf(statistic, table.shape[1] - 1))


def _share(column: str, name: str, here: tuple[int, int], there: tuple[int, int], limit: float) -> Measure:
    """Compare two shares, given as (count, total), by the pooled z-test."""
    from scipy import special

    (a, n), (b, m) = here, there
    difference = a / max(1, n) - b / max(1, m)
    pooled = (a + b) / max(1, n + m)
    error = np.sqrt(pooled * (1 - pooled) * (1 / max(1, n) + 1 / max(1, m)))
    p = float(special.erfc(abs(difference) / error / np.sqrt(2))) if error else 1.0
    return Measure(column, name, abs(difference), limit, p, note=f"{b / max(1, m):.2%} to {a / max(1, n):.2%}")
