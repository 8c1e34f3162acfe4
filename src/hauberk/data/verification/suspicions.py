"""Suspicious columns: leaked targets, identifiers, constants, copies, odd characters, and categories with two spellings."""

from __future__ import annotations

from collections import defaultdict
from itertools import combinations
from typing import TYPE_CHECKING

import numpy as np

from hauberk.core.extras import need
from hauberk.core.findings import Finding, Kind, Place, Severity
from hauberk.data.verification.relations import codes
from hauberk.data.verification.rules import MARKS
from hauberk.data.verification.summary import ColumnSummary, Summary

if TYPE_CHECKING:
    import polars as pl

LEAK = 0.9  # share of the target's entropy; a column that is known before the prediction rarely explains as much
_SAME = 0.995  # absolute correlation from which two number columns are copies
_NAMES_ROWS = 0.9  # share of distinct values from which a column is an identifier
_MISSING = 0.5  # share of nulls from which a column is reported
_MOST_COMPARED = 200  # columns that are compared in pairs
_MOST_SPELT = 2000  # distinct values, up to which spellings are compared
_MOST_CODED = 1000  # distinct values, up to which a text column is compared with others


def suspicions(
    summary: Summary, sample: pl.DataFrame, related: dict[str, float | None], target: str
) -> tuple[Finding, ...]:
    """Return what a person should look at, the gravest first. related: column to the share of the target it explains."""
    findings = _whole(summary)
    for column in summary.columns:
        findings += _alone(column, related.get(column.name), target)
        if column.kind == "text" and 1 < column.distinct <= _MOST_SPELT:
            findings += _spellings(summary, column)
    findings += _copies(summary, sample)
    return tuple(sorted(findings, key=lambda finding: -finding.severity.rank))


def _whole(summary: Summary) -> list[Finding]:
    polars = need("polars")
    found = []
    if not summary.rows:
        found.append(
            Finding(
                "there are no rows",
                Place(Kind.TABLE),
                Severity.HIGH,
                "Find out where the rows were lost: nothing was measured.",
            )
        )
    names = polars.Series([column.name for column in summary.columns], dtype=polars.String)
    for name in names.filter(names.str.contains(MARKS)):
        what = f"the name {name!r} holds control or bidirectional characters"
        advice = "The name is not what it looks like: find out who wrote it, then rename the column."
        found.append(Finding(what, Place(Kind.COLUMN, name), Severity.HIGH, advice, "poisoning"))
    return found


def _alone(column: ColumnSummary, explained: float | None, target: str) -> list[Finding]:
    name, where, found = column.name, Place(Kind.COLUMN, column.name), list[Finding]()
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
        advice = "Leave the column out unless it is known before the prediction is made."
        found.append(Finding(what, where, Severity.HIGH, advice, "poisoning", explained, LEAK, "share"))
    if identifier:
        what = f"{name!r} has a different value in nearly every row ({column.distinct:,} in {known:,})"
        found.append(
            Finding(what, where, Severity.MEDIUM, "It is an identifier: leave it out of training, or group by it.")
        )
    if column.marked:
        what = f"{column.marked:,} texts of {name!r} hold NUL, control or bidirectional characters"
        advice = "Such text is not what it looks like: find out who wrote it, then remove the characters."
        found.append(Finding(what, where, Severity.HIGH, advice, "poisoning", float(column.marked), 0.0, "rows"))
    ends = [end for end in (column.low, column.high) if isinstance(end, str)]
    if ends:
        what = f"{name!r} holds times outside the calendar: {ends[0]}"
        advice = "The writer may have confused seconds, milliseconds and microseconds: correct it there."
        found.append(Finding(what, where, Severity.HIGH, advice))
    if column.misfits:
        what = f"{column.misfits:,} values of {name!r} are not of type {column.kind}, as the others are"
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
            Finding(
                what,
                where,
                Severity.LOW,
                "Find out why; whether it is missing may predict more than its value.",
            )
        )
    if column.rows > 1 and known and _constant(column):
        what = f"{name!r} has one value in every row" + (" that is not null" if column.nulls else "")
        found.append(Finding(what, where, Severity.LOW, "It explains nothing: leave it out."))
    return found


def _constant(column: ColumnSummary) -> bool:
    return column.distinct == 1 and not column.nans and not column.infinities


def _spellings(summary: Summary, column: ColumnSummary) -> list[Finding]:
    """Return a finding if categories differ only in blanks, case or Unicode form."""
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
    advice = "Spell each in one way; otherwise a model treats the spellings as different categories."
    return [Finding(what, Place(Kind.COLUMN, column.name), Severity.MEDIUM, advice)]


def _values(summary: Summary, sample: pl.DataFrame) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
    """Return the columns to compare: values of number columns, and category codes of text and small integer columns."""
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
        # `codes` bins numbers beyond 20 values, so one-to-one relations are exact only up to 20.
        most = {"integer": 20, "text": _MOST_CODED}.get(column.kind, 0)
        labels = codes(sample[column.name]) if column.distinct <= most else None
        if labels is not None:
            named[column.name] = labels
    return numbers, named


def _copies(summary: Summary, sample: pl.DataFrame) -> list[Finding]:
    """Return a finding for each pair of copies: numbers that correlate perfectly, categories that map one to one."""
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
            f"{one!r} and {other!r} hold the same information",
            Place(Kind.COLUMN, other),
            Severity.LOW,
            "Keep one: with two copies, explanations of either and attacks on either are misleading.",
        )
        for one, other in found
    ]
