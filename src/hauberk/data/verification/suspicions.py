"""Suspicious columns: leaked targets, identifiers, constants, copies, odd characters, and categories spelt in two ways."""

from __future__ import annotations

from collections import defaultdict
from itertools import combinations
from typing import TYPE_CHECKING

import numpy as np

from hauberk.core.extras import need
from hauberk.core.findings import Finding, Severity
from hauberk.data.verification.relations import codes
from hauberk.data.verification.rules import MARKS
from hauberk.data.verification.summary import ColumnSummary, Summary

if TYPE_CHECKING:
    import polars as pl

LEAK = 0.9  # of the target's entropy: what an honest column rarely explains
_SAME = 0.995
_NAMES_ROWS = 0.9
_MISSING = 0.5
_MOST_COMPARED = 200
_MOST_SPELT = 2000
_MOST_CODED = 1000


def suspicions(
    summary: Summary, sample: pl.DataFrame, related: dict[str, float | None], target: str
) -> tuple[Finding, ...]:
    """Return what a person should look at, the gravest first."""
    found = _whole(summary)
    for column in summary.columns:
        found += _alone(column, related.get(column.name), target)
        if column.kind == "text" and 1 < column.distinct <= _MOST_SPELT:
            found += _spellings(summary, column)
    found += _copies(summary, sample)
    return tuple(sorted(found, key=lambda finding: -finding.severity.rank))


def _whole(summary: Summary) -> list[Finding]:
    polars = need("polars")
    found = []
    if not summary.rows:
        found.append(
            Finding(
                "there are no rows",
                "table",
                Severity.HIGH,
                "Find out what was lost on the way: nothing was measured.",
            )
        )
    names = polars.Series([column.name for column in summary.columns], dtype=polars.String)
    for name in names.filter(names.str.contains(MARKS)):
        what = f"the name {name!r} holds control or bidirectional characters"
        advice = "It does not look like what it is: find out who wrote it, then rename the column."
        found.append(Finding(what, f"column {name}", Severity.HIGH, advice, "poisoning"))
    return found


def _alone(column: ColumnSummary, explained: float | None, target: str) -> list[Finding]:
    name, where, found = column.name, f"column {column.name}", list[Finding]()
    known = column.rows - column.nulls
    identifier = (
        column.kind in ("integer", "text")
        and known >= 20
        and column.distinct >= _NAMES_ROWS * known
        and name != target
    )
    if explained is not None and explained >= LEAK and not identifier:
        what = (
            f"{name!r} explains {explained:.0%} of the target {target!r}: it may be the answer, or written after it"
        )
        advice = "Leave it out unless it is known before the prediction is made."
        found.append(Finding(what, where, Severity.HIGH, advice, "poisoning", explained, LEAK, "share"))
    if identifier:
        what = f"{name!r} has a value of its own in nearly each row ({column.distinct:,} in {known:,})"
        found.append(
            Finding(what, where, Severity.MEDIUM, "It names rows: leave it out of training, or group by it.")
        )
    if column.marked:
        what = f"{column.marked:,} texts of {name!r} hold NUL, control or bidirectional characters"
        advice = "Such text does not look like what it is: find out who wrote it, then remove the characters."
        found.append(Finding(what, where, Severity.HIGH, advice, "poisoning", float(column.marked), 0.0, "rows"))
    ends = [end for end in (column.low, column.high) if isinstance(end, str)]
    if ends:
        what = f"{name!r} holds times that no calendar has: {ends[0]}"
        advice = "Seconds, milliseconds and microseconds were perhaps mistaken for each other: look at the writer."
        found.append(Finding(what, where, Severity.HIGH, advice))
    if column.misfits:
        what = f"{column.misfits:,} values of {name!r} are no {column.kind}, as the others are"
        found.append(
            Finding(
                what, where, Severity.HIGH, "Correct them at the source.", "", float(column.misfits), 0.0, "rows"
            )
        )
    if column.nans or column.infinities:
        what = f"{name!r} holds {column.nans:,} NaN and {column.infinities:,} infinities"
        found.append(Finding(what, where, Severity.MEDIUM, "Find the computation that failed."))
    if column.rows and column.nulls > _MISSING * column.rows:
        share = column.nulls / column.rows
        what = f"{share:.0%} of {name!r} is missing"
        found.append(
            Finding(what, where, Severity.LOW, "Ask why; it may say more by being there than by its value.")
        )
    if column.rows > 1 and known and _constant(column):
        what = f"{name!r} has one value in every row" + (" that has any" if column.nulls else "")
        found.append(Finding(what, where, Severity.LOW, "It explains nothing: leave it out."))
    return found


def _constant(column: ColumnSummary) -> bool:
    return column.distinct == 1 and not column.nans and not column.infinities


def _spellings(summary: Summary, column: ColumnSummary) -> list[Finding]:
    """Find categories that differ only in blanks, case or the form of their Unicode."""
    import unicodedata

    polars = need("polars")
    query = summary.frame.scan().select(polars.col(column.name).cast(polars.String).alias("value")).drop_nulls()
    counted = summary.frame.table.collect(
        query.group_by("value").agg(polars.len().alias("rows")).sort("rows", "value")
    )
    alike: dict[str, list[str]] = defaultdict(list)
    for value in counted["value"]:
        alike[" ".join(unicodedata.normalize("NFKC", value).casefold().split())].append(value)
    several = [values[::-1] for values in alike.values() if len(values) > 1]
    if not several:
        return []
    shown = "; ".join(" and ".join(ascii(one)[:30] for one in values[:3]) for values in several[:3])
    count = f"{len(several)} categories" if len(several) > 1 else "a category"
    what = f"{count} of {column.name!r} {'are' if len(several) > 1 else 'is'} spelt in several ways: {shown}"
    advice = "Write each in one way, or the model takes them for different things."
    return [Finding(what, f"column {column.name}", Severity.MEDIUM, advice)]


def _values(summary: Summary, sample: pl.DataFrame) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
    """Return the numbers of number columns, and the codes of text columns, that are worth comparing."""
    numbers: dict[str, np.ndarray] = {}
    named: dict[str, np.ndarray] = {}
    for column in summary.columns[:_MOST_COMPARED]:
        if column.name not in sample.columns or column.distinct < 2 or sample.height < 20:
            continue
        if column.kind in ("integer", "float", "number"):
            polars = need("polars")
            values = sample[column.name].cast(polars.Float64).fill_null(float("nan")).to_numpy()
            if np.isfinite(values).sum() >= 20:
                numbers[column.name] = values
        # Codes of numbers are exact up to 20 values; beyond, they are bins.
        most = {"integer": 20, "text": _MOST_CODED}.get(column.kind, 0)
        labels = codes(sample[column.name]) if column.distinct <= most else None
        if labels is not None:
            named[column.name] = labels
    return numbers, named


def _copies(summary: Summary, sample: pl.DataFrame) -> list[Finding]:
    """Find pairs of columns that say the same: linearly for numbers, one to one for categories."""
    found = []
    numbers, named = _values(summary, sample)
    for (one, a), (other, b) in combinations(numbers.items(), 2):
        both = np.isfinite(a) & np.isfinite(b)
        if both.sum() < 20 or np.isfinite(a).sum() + np.isfinite(b).sum() > 2.1 * both.sum():
            continue
        spread = a[both].std() * b[both].std()
        if spread > 0 and abs(((a[both] - a[both].mean()) * (b[both] - b[both].mean())).mean() / spread) >= _SAME:
            found.append((one, other))
    for (one, a), (other, b) in combinations(named.items(), 2):
        if one in numbers and other in numbers:
            continue
        pairs = len(np.unique(a * (int(b.max()) + 1) + b))
        if pairs == len(np.unique(a)) == len(np.unique(b)) and pairs <= 0.5 * len(a):
            found.append((one, other))
    return [
        Finding(
            f"{one!r} and {other!r} say the same",
            f"columns {one} and {other}",
            Severity.LOW,
            "Keep one: two copies make explanations and attacks on either misleading.",
        )
        for one, other in found
    ]
