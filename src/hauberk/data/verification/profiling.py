"""Profile a table: a summary of each column, its distribution, its relation to the target, and what looks suspicious.

Counts cover all rows, in streaming passes. Quantiles, and the relations of columns to the target and to each other, are
measured on a sample of about `SAMPLED` rows, drawn by a hash of the row number.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from hauberk.core.errors import InvalidInput
from hauberk.core.extras import need
from hauberk.core.findings import Finding
from hauberk.core.progress import Quiet, Task
from hauberk.data.verification.frames import HIDDEN
from hauberk.data.verification.opening import Table
from hauberk.data.verification.relations import association
from hauberk.data.verification.summary import ColumnSummary, Summary, summarise

if TYPE_CHECKING:
    import polars as pl

SAMPLED = 50_000  # rows
BARS = 24  # of a histogram
TOP = 8  # most frequent values shown
MOST_PROFILED = 1000  # columns with histograms and relations; further ones are only summarised
_MICROS = {"time_unit='ms'": 1e3, "time_unit='ns'": 1e-3}
_NUMERIC = ("integer", "float", "number", "date", "datetime")


@dataclass(frozen=True, slots=True)
class Shape:
    """A column's distribution.

    edges: (BARS + 1,) and counts: (BARS,), the histogram of a number column. top: the most frequent values of a text column
    with their counts. quantiles: of numbers, at 0.01, 0.25, 0.5, 0.75 and 0.99.
    """

    edges: tuple[float, ...] = ()
    counts: tuple[int, ...] = ()
    top: tuple[tuple[str, int], ...] = ()
    quantiles: tuple[float, ...] = ()


@dataclass(frozen=True, slots=True)
class ColumnProfile:
    """One column: summary, distribution, and the share of the target's entropy that it explains (0 to 1; None: unknown)."""

    summary: ColumnSummary
    shape: Shape
    association: float | None = None


@dataclass(frozen=True, slots=True)
class Profile:
    """A table's profile: columns in order, suspicious findings, and the number of sampled rows."""

    name: str
    rows: int
    target: str
    columns: tuple[ColumnProfile, ...]
    findings: tuple[Finding, ...]
    sampled: int

    def to_json(self) -> dict[str, Any]:
        """Return the JSON form; dates and times are left as Python objects for the caller to format."""
        return {
            "type": "hauberk/data-profile",
            "version": 1,
            "file": self.name,
            "rows": self.rows,
            "target": self.target,
            "sampled": self.sampled,
            "columns": [
                {**asdict(one.summary), "shape": asdict(one.shape), "association": one.association}
                for one in self.columns
            ],
            "findings": [finding.to_json() for finding in self.findings],
        }


def profile(table: Table, *, target: str = "", task: Task | None = None) -> Profile:
    """Profile an opened table. target: the column that is predicted, or "" for none.

    Raises InvalidInput if the target is not a column. Cost: three passes over the table, and the sample in memory.
    """
    from hauberk.data.verification.suspicions import suspicions

    task = task or Quiet()
    if target and target not in table.schema:
        raise InvalidInput(f"{table.name} has no column {target!r}; it has {', '.join(list(table.schema)[:20])}.")
    summary = summarise(table, task=task)
    columns = summary.columns[:MOST_PROFILED]
    task.update(0.5, text="shapes")
    sample = _sample(summary, [column.name for column in columns])
    shapes = _shapes(summary, columns, sample)
    task.update(0.8, text="relations")
    related: dict[str, float | None] = {}
    if target in sample.columns:
        related = {
            column.name: association(sample[column.name], sample[target])
            for column in columns
            if column.name != target
        }
    profiled = tuple(
        ColumnProfile(column, shapes.get(column.name, Shape()), related.get(column.name))
        for column in summary.columns
    )
    findings = suspicions(summary, sample, related, target)
    task.update(1.0)
    return Profile(table.name, summary.rows, target, profiled, findings, sample.height)


def _sample(summary: Summary, names: list[str]) -> pl.DataFrame:
    """Return at most about SAMPLED rows of the named columns, typed."""
    polars = need("polars")
    if summary.rows <= SAMPLED:
        return summary.frame.table.collect(summary.frame.scan().select(names))
    index = HIDDEN + "row"
    chosen = polars.col(index).hash(seed=0) % summary.rows < SAMPLED
    return summary.frame.table.collect(summary.frame.scan(index).filter(chosen).select(names))


def _shapes(summary: Summary, columns: tuple[ColumnSummary, ...], sample: pl.DataFrame) -> dict[str, Shape]:
    polars = need("polars")
    shapes, queries, edges = dict[str, Shape](), list[Any](), dict[str, Any]()
    for column in columns:
        if column.kind not in _NUMERIC or column.low is None:
            continue
        value = _number(column)
        known = sample.select(value)[column.name].drop_nulls().to_numpy()
        known = known[np.isfinite(known)]
        if not len(known):
            continue
        quantiles = np.quantile(known, [0.01, 0.25, 0.5, 0.75, 0.99])
        # Bars between the 1st and the 99th percentile, with outliers in the outer bars, so that one cannot flatten the rest.
        low, high = quantiles[0], quantiles[-1]
        if not high > low:
            low, high = known.min() - 0.5, known.max() + 0.5
        edges[column.name] = np.linspace(low, high, BARS + 1)
        shapes[column.name] = Shape(tuple(edges[column.name].tolist()), (), (), tuple(quantiles.tolist()))
        place = ((value - low) / (high - low) * BARS).floor().clip(0, BARS - 1)
        queries.append(
            place.cast(polars.Int8, strict=False)
            .filter(value.is_finite())
            .value_counts()
            .implode()
            .alias(column.name)
        )
    counted = summary.frame.table.collect(summary.frame.scan().select(queries)).row(0) if queries else ()
    for name, bars in zip(edges, counted, strict=True):
        counts = [0] * BARS
        for bar in bars or ():
            counts[bar[name]] = bar["count"]
        shape = shapes[name]
        shapes[name] = Shape(shape.edges, tuple(counts), (), shape.quantiles)
    for column in columns:
        if column.kind in ("text", "boolean"):
            shapes[column.name] = Shape(top=_top(summary, column))
    return shapes


def _number(column: ColumnSummary) -> pl.Expr:
    """Return a column as floats; dates and times as microseconds since 1970, also outside Python's calendar."""
    polars = need("polars")
    number: pl.Expr = polars.col(column.name).to_physical().cast(polars.Float64)
    if column.kind == "date":
        return number * 86_400e6
    return number * next((scale for unit, scale in _MICROS.items() if unit in column.dtype), 1.0)


def _top(summary: Summary, column: ColumnSummary) -> tuple[tuple[str, int], ...]:
    """Return the most frequent values with their counts over all rows; () if a large share of the values is distinct."""
    polars = need("polars")
    if column.distinct > max(50, summary.rows / 4):
        return ()
    query = (
        summary.frame.scan().select(polars.col(column.name).cast(polars.String).alias("value")).drop_nulls()
        .group_by("value").agg(polars.len().alias("rows")).top_k(TOP, by=["rows", "value"])
    )  # fmt: skip
    return tuple((str(value), int(rows)) for value, rows in summary.frame.table.collect(query).iter_rows())
