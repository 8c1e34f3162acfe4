"""Verify a table against a schema: one streaming pass counts what breaks each rule, a second one fetches samples.

1. Rules become expressions (`rules`); what cannot be one is an error of its own, never a pass.
2. One pass over the table counts the rows that break each row rule. When the pass fails, each rule is tried alone, so
   that one bad expression names itself and does not hide the others.
3. Rules of groups and uniqueness take one grouped query each; its memory grows with the number of groups.
4. Only broken rules are looked at again, for row numbers and values. Statistics in files are used for neither pass.
5. The files are compared with their state before: a table that changed gives no verdict.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import StrEnum
from typing import TYPE_CHECKING, Any

from hauberk.core.errors import InvalidInput
from hauberk.core.extras import need
from hauberk.core.findings import Finding, Severity
from hauberk.core.progress import Quiet, Task
from hauberk.data.verification.freshness import freshness, judged
from hauberk.data.verification.kinds import family, from_text
from hauberk.data.verification.opening import Table, header, uneven
from hauberk.data.verification.rules import ROWS, Check, GroupCheck, Judged, RowCheck, checks
from hauberk.data.verification.schema import Schema

if TYPE_CHECKING:
    import polars as pl

SAMPLES = 5


class Status(StrEnum):
    """What became of a rule; `error` means that it could not be evaluated, which is no pass."""

    PASS = "pass"  # noqa: S105 - no password
    VIOLATED = "violated"
    ERROR = "error"


@dataclass(frozen=True, slots=True)
class Sample:
    """A row that breaks a rule: its number, from 0 over all files in order, and the values that the rule looks at."""

    row: int
    values: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Result:
    """What became of one rule. violations: rows that break it, when `by_row`; else 1, of the table as a whole."""

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
    """The verdict on a table: `ok` when every rule was evaluated and held."""

    name: str
    rows: int
    columns: int
    results: tuple[Result, ...]
    checks: tuple[Check, ...] = field(repr=False, default=())

    @property
    def ok(self) -> bool:
        """Whether nothing is violated and nothing failed to be evaluated."""
        return all(result.status is Status.PASS for result in self.results)

    def findings(self) -> tuple[Finding, ...]:
        """Return what a person has to act on, in the order of the schema."""
        return tuple(_finding(result, self.rows) for result in self.results if result.status is not Status.PASS)


@dataclass(frozen=True, slots=True)
class Frame:
    """A table read as its schema says: `scan(index)` gives typed columns, and the raw text beside them for CSV."""

    table: Table
    schema: Schema
    found: dict[str, pl.DataType]
    raw: str

    def scan(self, index: str = "") -> pl.LazyFrame:
        """Start a query; with `index`, row numbers are in that column."""
        polars = need("polars")
        scan = self.table.rows(index) if index else self.table.scan()
        if not self.table.textual:
            return scan
        known = {name: column.type for name, column in self.schema.columns.items() if name in self.table.schema}
        return scan.with_columns(
            *(from_text(name, kind) for name, kind in known.items()),
            *(polars.col(name).alias(self.raw + name) for name in known),
        )


def framed(table: Table, schema: Schema) -> Frame:
    """Return the table with the types that the schema gives to text."""
    raw = "\0"
    bare = Frame(table, schema, dict(table.schema), raw)
    if not table.textual:
        return bare
    types = bare.scan().collect_schema()
    return Frame(table, schema, {name: types[name] for name in table.schema}, raw)


def verify(
    table: Table, schema: Schema, *, now: datetime | None = None, samples: int = SAMPLES, task: Task | None = None
) -> Verified:
    """Verify an opened table against a schema.

    now: the clock for freshness, with a time zone; the present when None. samples: rows shown for each broken rule.
    Raises InvalidInput for files that are damaged, ragged or change meanwhile. Cost: one pass, a grouped query for each
    rule of groups, and a pass over the columns of broken rules.
    """
    task = task or Quiet()
    clock = now or datetime.now(UTC)
    if clock.tzinfo is None:
        raise InvalidInput("the clock has no time zone: pass a datetime with one.")
    frame = framed(table, schema)
    planned = list(checks(schema, frame.found, textual=table.textual, raw=frame.raw))
    planned += freshness(schema, frame.found, clock)
    rows, counts = _count(frame, planned)
    task.update(0.6, text="counted")
    results = [*_table_results(schema, rows), *_row_results(frame, planned, counts, samples)]
    task.update(0.8, text="rows fetched")
    groups = [check for check in planned if isinstance(check, GroupCheck)]
    results += [_group_result(frame, check, samples) for check in groups]
    if schema.freshness is not None and "freshness" in counts:
        results.append(_fresh(counts["freshness"], schema, clock))
    table.unchanged()
    task.update(1.0)
    return Verified(table.name, rows, len(table.schema), tuple(results), tuple(planned))


def _count(frame: Frame, planned: Sequence[Check]) -> tuple[int, dict[str, Any]]:
    """Return the rows and, for each row check by name, how many break it; or the error that it raised."""
    polars = need("polars")
    asked: dict[str, pl.Expr] = {}
    for check in planned:
        if isinstance(check, RowCheck):
            asked[check.name] = check.bad.sum()
    fresh = frame.schema.freshness
    if (
        fresh is not None
        and fresh.column in frame.found
        and family(frame.found[fresh.column]) in ("date", "datetime")
    ):
        asked["freshness"] = polars.col(fresh.column).max()
    extra = []
    if frame.table.textual:
        # All columns are asked for: Polars drops what a line has too much unless it reads every column.
        known = set(frame.scan().collect_schema())
        absent = [
            polars.col(frame.raw + name if frame.raw + name in known else name).null_count()
            for name in frame.table.schema
        ]
        extra = [absent[-1].alias("last"), polars.sum_horizontal(absent).alias("absent")]
    names = list(asked)
    query = frame.scan().select(
        polars.len().alias("rows"), *extra, *(asked[name].alias(f"{at}") for at, name in enumerate(names))
    )
    counts: dict[str, Any]
    try:
        line = query.collect(engine="streaming").row(0, named=True)
        counts = {name: line[f"{at}"] for at, name in enumerate(names)}
    except (polars.exceptions.PolarsError, polars.exceptions.PanicException, OSError):
        line = frame.table.collect(frame.scan().select(polars.len().alias("rows"), *extra)).row(0, named=True)
        counts = {name: _alone(frame, asked[name]) for name in names}
        if not any(isinstance(count, Exception) for count in counts.values()):
            # No rule is to blame, so reading is: rules alone read fewer columns, and may not see what is wrong.
            frame.table.collect(query)
    frame.table.unchanged()
    if line.get("last"):
        refuse_short_lines(frame.table)
    return int(line["rows"]), counts


def _alone(frame: Frame, asked: pl.Expr) -> Any:  # noqa: ANN401 - a count, a time, or an error
    polars = need("polars")
    try:
        return frame.scan().select(asked).collect(engine="streaming").item()
    except (polars.exceptions.PolarsError, polars.exceptions.PanicException) as error:
        return error


def refuse_short_lines(table: Table) -> None:
    """Polars fills lines with too few values with nulls; only when the last column has a null can that be."""
    separator = "\t" if table.format == "tsv" else ","
    for part in table.parts:
        wrong = uneven(part, separator, len(header(part, separator)))
        if wrong:
            raise InvalidInput(wrong)


def _table_results(schema: Schema, rows: int) -> list[Result]:
    low, high = schema.table.min_rows, schema.table.max_rows
    fine = rows >= low and (high is None or rows <= high)
    what = f"the table has {rows:,} rows, expected {low:,} {'or more' if high is None else f'to {high:,}'}"
    advice = "Find out what was lost or added on the way, or correct the bounds under [table]."
    return [Result("table: rows", "", Status.PASS if fine else Status.VIOLATED, int(not fine), what, advice)]


def _row_results(frame: Frame, planned: Sequence[Check], counts: dict[str, Any], samples: int) -> list[Result]:
    broken = [check for check in planned if isinstance(check, RowCheck) and _positive(counts[check.name])]
    shown = _samples(frame, broken, {check.name: min(samples, counts[check.name]) for check in broken})
    results = []
    for check in planned:
        if isinstance(check, Judged):
            status = Status.ERROR if check.failed else Status.VIOLATED
            results.append(
                Result(check.name, check.column, status, 0 if check.failed else 1, check.what, check.advice)
            )
        elif isinstance(check, RowCheck):
            count = counts[check.name]
            if not isinstance(count, int):
                why = f"cannot be evaluated: {(str(count).splitlines() or [''])[0][:160]}"
                results.append(
                    Result(check.name, check.column, Status.ERROR, 0, why, "Correct the rule or the column.")
                )
                continue
            status = Status.VIOLATED if count else Status.PASS
            results.append(
                Result(
                    check.name,
                    check.column,
                    status,
                    count,
                    check.what,
                    check.advice,
                    shown.get(check.name, ()),
                    True,
                )
            )
    return results


def _positive(count: Any) -> bool:  # noqa: ANN401 - a count or an error
    return isinstance(count, int) and count > 0


def _samples(frame: Frame, broken: Sequence[RowCheck], wanted: dict[str, int]) -> dict[str, tuple[Sample, ...]]:
    """Fetch the first rows that break each rule, all rules in one pass over the columns that they look at."""
    polars = need("polars")
    if not any(wanted.values()):
        return {}
    index = frame.table.free_name("row")
    queries = [
        # No more rows are asked for than there are, so that reading ends with the last of them.
        frame.scan(index)
        .filter(check.bad)
        .select(index, *(polars.col(name) for name in check.shows))
        .head(wanted[check.name])
        for check in broken
    ]
    found = frame.table.guarded(lambda: polars.collect_all(queries, engine="streaming"))
    return {check.name: sampled(rows, index, frame.raw) for check, rows in zip(broken, found, strict=True)}


def sampled(rows: pl.DataFrame, index: str, raw: str) -> tuple[Sample, ...]:
    """Return rows as samples, in order."""
    return tuple(
        Sample(int(row.pop(index)), {name.removeprefix(raw): value for name, value in row.items()})
        for row in rows.sort(index).to_dicts()
    )


def broken_groups(frame: Frame, check: GroupCheck) -> pl.LazyFrame:
    """Return the groups that break a rule: the values of `by`, and their number of rows."""
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
    count = int(groups[ROWS].sum())
    if not count:
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
        count,
        check.what,
        check.advice,
        sampled(rows, index, frame.raw),
        by_row=True,
    )


def _fresh(newest: Any, schema: Schema, clock: datetime) -> Result:  # noqa: ANN401 - a date, a datetime or None
    assert schema.freshness is not None
    fine, what, failed = judged(newest, schema.freshness, clock)
    status = Status.ERROR if failed else Status.PASS if fine else Status.VIOLATED
    advice = "Find out why nothing newer arrived; do not train on old data as if they were new."
    return Result("freshness", schema.freshness.column, status, int(not fine and not failed), what, advice)


def _finding(result: Result, rows: int) -> Finding:
    where = f"column {result.column}" if result.column else "table"
    if result.samples:
        where += ", row " + ", ".join(str(sample.row) for sample in result.samples)
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
