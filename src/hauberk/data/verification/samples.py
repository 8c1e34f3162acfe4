"""Fetch the rows that break a rule: their numbers, and the values that the rule looks at."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from hauberk.core.extras import need
from hauberk.data.verification.counting import Counts
from hauberk.data.verification.frames import Frame
from hauberk.data.verification.kinds import to_dicts
from hauberk.data.verification.rules import RowCheck

if TYPE_CHECKING:
    import polars as pl

_NEAR = 1 << 16  # rows that are read along rather than started for anew
_FOOTERS = 2000  # columns, over all slices: each slice reads the file's footer again


@dataclass(frozen=True, slots=True)
class Sample:
    """A row that breaks a rule: its number, from 0 over all files in order, and the values that the rule looks at."""

    row: int
    values: dict[str, Any]


def fetch(frame: Frame, broken: Sequence[RowCheck], counts: Counts, samples: int) -> dict[str, tuple[Sample, ...]]:
    """Fetch the first rows that break each rule; `samples` at most for each.

    Rows of Parquet whose numbers are known are cut out of their row groups, column by column; all others are found
    in one pass over the columns that the rules look at.
    """
    polars = need("polars")
    if not samples:
        return {}
    index = frame.table.free_name("row")
    wanted = {check.name: min(samples, counts.broken[check.name]) for check in broken}
    known = {check.name: counts.first.get(check.name, [])[: wanted[check.name]] for check in broken}
    cuts = [check for check in broken if frame.table.sliced and len(known[check.name]) == wanted[check.name]]
    if sum(len(_runs(known[check.name])) for check in cuts) * len(frame.table.schema) > _FOOTERS:
        cuts = []
    rest = [check for check in broken if check not in cuts]
    queries = [
        # No more rows are asked for than there are, so that reading ends with the last of them.
        frame.scan(index)
        .filter(check.bad)
        .select(index, *(polars.col(name) for name in check.shows))
        .head(wanted[check.name])
        for check in rest
    ]
    found = frame.table.guarded(lambda: polars.collect_all(queries, engine="streaming")) if queries else []
    rows = {check.name: part for check, part in zip(rest, found, strict=True)}
    rows |= {check.name: _cut(frame, check, known[check.name], index) for check in cuts}
    return {check.name: sampled(rows[check.name], index, frame.raw) for check in broken}


def _cut(frame: Frame, check: RowCheck, rows: list[int], index: str) -> pl.DataFrame:
    polars = need("polars")
    parts = [
        # One by one: together, Polars would take them for one scan of the whole file.
        frame.table.collect(
            frame.table.scan()
            .slice(start, length)
            .with_row_index(index, offset=start)
            .filter(polars.col(index).is_in(rows))
            .select(index, *check.shows)
        )
        for start, length in _runs(rows)
    ]
    whole: pl.DataFrame = polars.concat(parts)
    return whole


def _runs(rows: list[int]) -> list[tuple[int, int]]:
    """Return (start, length) of slices that hold these rows, which rise; near ones share a slice."""
    runs: list[tuple[int, int]] = []
    for row in rows:
        start, length = runs[-1] if runs else (row, 0)
        if row - start - length > _NEAR:
            runs.append((row, 1))
        else:
            runs[-1:] = [(start, row - start + 1)]
    return runs


def sampled(rows: pl.DataFrame, index: str, raw: str) -> tuple[Sample, ...]:
    """Return rows as samples, in order."""
    return tuple(
        Sample(int(row.pop(index)), {name.removeprefix(raw): value for name, value in row.items()})
        for row in to_dicts(rows.sort(index))
    )
