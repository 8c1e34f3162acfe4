"""Fetch the first rows that break each rule: their numbers, and the values of the rule's columns."""

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

_NEAR = 1 << 16  # rows; closer samples share a slice, because reading on is cheaper than starting a new slice
_FOOTERS = 2000  # column entries, at most, that slicing may parse: each slice reads the file's footer again


@dataclass(frozen=True, slots=True)
class Sample:
    """A row that breaks a rule: its number, from 0 over all files in order, and the values of the rule's columns."""

    row: int
    values: dict[str, Any]


def fetch(frame: Frame, broken: Sequence[RowCheck], counts: Counts, samples: int) -> dict[str, tuple[Sample, ...]]:
    """Return the first rows that break each rule, at most `samples` for each.

    Parquet rows with known numbers are sliced out of their row groups; all others are found in one pass over the columns
    that the rules use.
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
        # Limited to the known number of rows, so that reading stops after the last of them.
        frame.scan(index)
        .filter(check.bad)
        .select(index, *(polars.col(name) for name in check.shows))
        .head(wanted[check.name])
        for check in rest
    ]
    fetched = frame.table.guarded(lambda: polars.collect_all(queries, engine="streaming")) if queries else []
    rows = {check.name: part for check, part in zip(rest, fetched, strict=True)}
    rows |= {check.name: _cut(frame, check, known[check.name], index) for check in cuts}
    return {check.name: sampled(rows[check.name], index, frame.raw) for check in broken}


def _cut(frame: Frame, check: RowCheck, rows: list[int], index: str) -> pl.DataFrame:
    polars = need("polars")
    parts = [
        # Collected one by one: collected together, Polars would merge them into one scan of the whole file.
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
    """Return (start, length) of slices that cover the given rows, in rising order; near rows share a slice."""
    runs: list[tuple[int, int]] = []
    for row in rows:
        start, length = runs[-1] if runs else (row, 0)
        if row - start - length > _NEAR:
            runs.append((row, 1))
        else:
            runs[-1:] = [(start, row - start + 1)]
    return runs


def sampled(rows: pl.DataFrame, index: str, raw: str) -> tuple[Sample, ...]:
    """Return the rows as samples, in the order of their numbers."""
    return tuple(
        Sample(int(row.pop(index)), {name.removeprefix(raw): value for name, value in row.items()})
        for row in to_dicts(rows.sort(index))
    )
