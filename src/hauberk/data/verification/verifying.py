"""Verify a table against a schema: one streaming pass counts the rows that break each rule.

1. Rules become expressions (`rules`); a rule that cannot be evaluated is an error, never a pass.
2. One pass over the table counts the rows that break each row rule and lists the first of them (`counting`).
3. Only rows that break a rule are read again, for their values (`samples`). Statistics in files are never used.
4. Group and uniqueness rules take one grouped query each; its memory grows with the number of groups.
5. The files are compared with their state at opening; a table that changed gives no verdict.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import StrEnum
from typing import TYPE_CHECKING, Any

from hauberk.core.errors import InvalidInput
from hauberk.core.extras import need
from hauberk.core.findings import Finding, Kind, Place, Severity
from hauberk.core.progress import Quiet, Task
from hauberk.data.verification.counting import Counts, count
from hauberk.data.verification.frames import Frame, framed
from hauberk.data.verification.freshness import freshness, judged
from hauberk.data.verification.opening import Table
from hauberk.data.verification.rules import ROWS, Check, GroupCheck, Judged, RowCheck, checks
from hauberk.data.verification.samples import Sample, fetch, sampled
from hauberk.data.verification.schema import Schema

if TYPE_CHECKING:
    import polars as pl

SAMPLES = 5  # rows shown for each broken rule


class Status(StrEnum):
    """The result of a rule; `error` means that it could not be evaluated and counts as a failure."""

    PASS = "pass"  # noqa: S105 - no password
    VIOLATED = "violated"
    ERROR = "error"


@dataclass(frozen=True, slots=True)
class Result:
    """The result of one rule. violations: number of rows that break it if `by_row`; else 1 if the table as a whole does."""

    rule: str
    column: str
    status: Status
    violations: int
    what: str
    advice: str
    samples: tuple[Sample, ...] = ()
    by_row: bool = False


@dataclass(frozen=True, slots=True)
class Verified:
    """The verdict on a table: `ok` if every rule was evaluated and holds."""

    name: str
    rows: int
    columns: int
    results: tuple[Result, ...]
    checks: tuple[Check, ...] = field(repr=False, default=())

    @property
    def ok(self) -> bool:
        """Whether every rule was evaluated and holds."""
        return all(result.status is Status.PASS for result in self.results)

    def findings(self) -> tuple[Finding, ...]:
        """Return what a person has to act on, in the order of the schema."""
        return tuple(_finding(result, self.rows) for result in self.results if result.status is not Status.PASS)


def verify(
    table: Table, schema: Schema, *, now: datetime | None = None, samples: int = SAMPLES, task: Task | None = None
) -> Verified:
    """Verify an opened table against a schema.

    now: the clock for freshness, with a time zone; None: the present. samples: rows shown for each broken rule.
    Raises InvalidInput for files that are damaged, ragged or change meanwhile. Cost: one pass, a grouped query for each
    group rule, and a pass over the columns of broken rules.
    """
    task = task or Quiet()
    clock = now or datetime.now(UTC)
    if clock.tzinfo is None:
        raise InvalidInput("the clock has no time zone: pass a datetime with one.")
    frame = framed(table, schema)
    planned = list(checks(schema, frame.found, textual=table.textual, raw=frame.raw))
    planned += freshness(schema, frame.found, clock)
    counts = count(frame, planned)
    task.update(0.6, text="counted")
    results = [*_table_results(schema, counts.rows), *_row_results(frame, planned, counts, samples)]
    task.update(0.8, text="rows fetched")
    groups = [check for check in planned if isinstance(check, GroupCheck)]
    results += [_group_result(frame, check, samples) for check in groups]
    if schema.freshness is not None and any(check.name == "freshness: future" for check in planned):
        results.append(_fresh(counts.newest, schema, clock))
    table.unchanged()
    task.update(1.0)
    return Verified(table.name, counts.rows, len(table.schema), tuple(results), tuple(planned))


def _table_results(schema: Schema, rows: int) -> list[Result]:
    low, high = schema.table.min_rows, schema.table.max_rows
    holds = rows >= low and (high is None or rows <= high)
    what = f"the table has {rows:,} rows, expected {low:,} {'or more' if high is None else f'to {high:,}'}"
    advice = "Find out where rows were lost or added, or correct the bounds under [table]."
    return [Result("table: rows", "", Status.PASS if holds else Status.VIOLATED, int(not holds), what, advice)]


def _row_results(frame: Frame, planned: Sequence[Check], counts: Counts, samples: int) -> list[Result]:
    broken = [check for check in planned if isinstance(check, RowCheck) and _positive(counts.broken[check.name])]
    shown = fetch(frame, broken, counts, samples)
    results = []
    for check in planned:
        if isinstance(check, Judged):
            status = Status.ERROR if check.failed else Status.VIOLATED
            results.append(
                Result(check.name, check.column, status, 0 if check.failed else 1, check.what, check.advice)
            )
        elif isinstance(check, RowCheck):
            broken_by = counts.broken[check.name]
            if not isinstance(broken_by, int):
                why = f"cannot be evaluated: {(str(broken_by).splitlines() or [''])[0][:160]}"
                results.append(
                    Result(check.name, check.column, Status.ERROR, 0, why, "Correct the rule or the column.")
                )
                continue
            status = Status.VIOLATED if broken_by else Status.PASS
            results.append(
                Result(
                    check.name,
                    check.column,
                    status,
                    broken_by,
                    check.what,
                    check.advice,
                    shown.get(check.name, ()),
                    True,
                )
            )
    return results


def _positive(broken_by: Any) -> bool:  # noqa: ANN401 - a count or an error
    return isinstance(broken_by, int) and broken_by > 0


def broken_groups(frame: Frame, check: GroupCheck) -> pl.LazyFrame:
    """Return a query of the groups that break a rule: the values of `by`, and the number of rows."""
    polars = need("polars")
    scan = frame.scan() if check.known is None else frame.scan().filter(check.known)
    groups = scan.group_by(check.by).agg(polars.len().alias(ROWS), *check.aggregates)
    return groups.filter(check.bad).select(*check.by, ROWS)


def _group_result(frame: Frame, check: GroupCheck, samples: int) -> Result:
    polars = need("polars")
    column = check.by[0] if len(check.by) == 1 else ""
    try:
        groups = frame.table.guarded(lambda: broken_groups(frame, check).collect(engine="streaming"))
    except InvalidInput as error:
        if not isinstance(error.__cause__, polars.exceptions.PolarsError):
            raise
        return Result(check.name, column, Status.ERROR, 0, f"cannot be evaluated: {error}", "Correct the rule.")
    members = int(groups[ROWS].sum())
    if not members:
        return Result(check.name, column, Status.PASS, 0, check.what, check.advice)
    index = frame.table.free_name("row")
    first = groups.head(samples).select(check.by).lazy()
    query = (
        frame.scan(index).join(first, on=list(check.by), how="semi", nulls_equal=True).select(index, *check.by)
    ).head(samples)
    rows = frame.table.collect(query)
    return Result(
        check.name,
        column,
        Status.VIOLATED,
        members,
        check.what,
        check.advice,
        sampled(rows, index, frame.raw),
        by_row=True,
    )


def _fresh(newest: Any, schema: Schema, clock: datetime) -> Result:  # noqa: ANN401 - a date, a datetime or None
    assert schema.freshness is not None
    fresh, what, failed = judged(newest, schema.freshness, clock)
    status = Status.ERROR if failed else Status.PASS if fresh else Status.VIOLATED
    advice = "Find out why nothing newer arrived; do not train on old data as if they were new."
    return Result("freshness", schema.freshness.column, status, int(not fresh and not failed), what, advice)


def _finding(result: Result, rows: int) -> Finding:
    first = result.samples[0].row if result.samples else None
    where = Place(Kind.COLUMN, result.column, first) if result.column else Place(Kind.TABLE, index=first)
    if result.status is Status.ERROR:
        return Finding(f"{result.rule} was not evaluated: {result.what}", where, Severity.HIGH, result.advice)
    what = (
        f"{result.rule}: {result.violations:,} of {rows:,} rows {result.what}"
        if result.by_row
        else f"{result.rule}: {result.what}"
    )
    return Finding(
        what, where, Severity.HIGH, result.advice, value=float(result.violations), limit=0.0, unit="rows"
    )
