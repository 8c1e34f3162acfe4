"""Turns a schema into checks: Polars expressions that are true for rows that break a rule, or errors.

An expression is never null, so that a missing value cannot count as a pass. A rule that cannot be evaluated on the
table's columns becomes an error and is not skipped.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import TYPE_CHECKING, Any

from hauberk.core.extras import need
from hauberk.data.verification.kinds import family
from hauberk.data.verification.schema import Column, Group, Rule, Schema

if TYPE_CHECKING:
    import polars as pl

# NUL and other control characters, zero-width and bidirectional marks: such text is not what it looks like.
MARKS = r"[\x00-\x08\x0B\x0C\x0E-\x1F\x7F\x{61C}\x{200B}-\x{200F}\x{202A}-\x{202E}\x{2060}-\x{2069}\x{FEFF}]"
_VALUES: dict[str, tuple[type, ...]] = {
    "text": (str,),
    "boolean": (bool,),
    "integer": (int,),
    "float": (int, float),
    "date": (date,),
    "datetime": (datetime,),
}
# Columns of aggregates; the NUL keeps them apart from a table's columns, none of which has one.
ROWS, SUM, STEPS = "\0rows", "\0sum", "\0steps"
_NUMBERS = ("integer", "float", "number")


@dataclass(frozen=True, slots=True)
class RowCheck:
    """A rule about single rows. bad: true for rows that break it, never null. what: reads after "N rows". shows: columns."""

    name: str
    column: str
    what: str
    advice: str
    bad: pl.Expr
    shows: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class GroupCheck:
    """A rule about groups of rows. bad: true for groups that break it, over `aggregates`. known: rows that are grouped."""

    name: str
    by: tuple[str, ...]
    what: str
    advice: str
    aggregates: tuple[pl.Expr, ...]
    bad: pl.Expr
    known: pl.Expr | None = None


@dataclass(frozen=True, slots=True)
class Judged:
    """A verdict without rows: on the table as a whole or, if `failed`, on a rule that cannot be evaluated."""

    name: str
    column: str
    what: str
    advice: str
    failed: bool = False


Check = RowCheck | GroupCheck | Judged


def checks(schema: Schema, found: dict[str, pl.DataType], *, textual: bool, raw: str) -> Iterator[Check]:
    """Yield the checks of a schema for a table with these columns.

    found: column to type, after text was parsed. raw: prefix of the columns with unparsed text, if `textual`.
    """
    for name, column in schema.columns.items():
        if name not in found:
            if column.required:
                yield Judged(
                    f"{name}: present", name, "the column is missing", "Restore it, or say required = false."
                )
            continue
        yield from _column(_Typed(name, column, found[name], raw if textual else ""))
    if schema.table.other_columns == "refuse":
        for name in found:
            if name not in schema.columns:
                yield Judged(
                    f"{name}: known",
                    name,
                    "the schema does not name this column",
                    'Add it to the schema, or say other_columns = "allow" under [table].',
                )
    for combination in schema.table.unique:
        yield _unique(combination, found)
    for rule in schema.rules:
        yield _rule(rule, found)
    for group in schema.groups:
        yield from _group(group, found)


@dataclass(frozen=True, slots=True)
class _Typed:
    """A column of the table and its rules. raw: prefix of the column with its unparsed text; "" if the table has types."""

    name: str
    rules: Column
    dtype: Any
    raw: str

    @property
    def family(self) -> str:
        return family(self.dtype)

    @property
    def value(self) -> pl.Expr:
        column: pl.Expr = need("polars").col(self.name)
        return column

    @property
    def text(self) -> pl.Expr:
        """The value of a text column as a string, also of categorical and enum types."""
        polars = need("polars")
        return (
            self.value.cast(polars.String) if self.family == "text" and self.dtype != polars.String else self.value
        )

    def sets(self, key: str) -> bool:
        return getattr(self.rules, key) is not None

    def breaks(self, kind: str, what: str, bad: pl.Expr, advice: str = "", shown: str = "") -> RowCheck:
        """Return the check of a row rule. shown: the column that samples show; "" for the column itself."""
        shows = (shown or self.name,)
        return RowCheck(f"{self.name}: {kind}", self.name, what, advice or _FIX, bad.fill_null(False), shows)

    def fails(self, kind: str, what: str, advice: str) -> Judged:
        """Return the error of a rule that cannot be evaluated."""
        return Judged(f"{self.name}: {kind}", self.name, what, advice, failed=True)


_AFTER = "Correct the type first: until then this rule cannot be checked."
_FIX = "Correct these values at the source, or separate the rows with --quarantine."


def _column(column: _Typed) -> Iterator[Check]:
    name, rules, dtype = column.name, column.rules, column.dtype
    fits = rules.type in ("any", column.family) or (rules.type == "number" and column.family in _NUMBERS)
    if not fits:
        yield Judged(
            f"{name}: type",
            name,
            f"the column is {dtype}, expected {rules.type}",
            "Write the column with its type, or correct the schema.",
        )
        for key in ("min", "max", "allowed", "pattern", "min_length", "max_length"):
            if column.sets(key):
                yield column.fails(key, f"a rule for {rules.type} cannot be applied to {dtype}", _AFTER)
    elif column.raw and rules.type not in ("text", "any"):
        raw = need("polars").col(column.raw + name)
        kind = "integer of 64 bits" if rules.type == "integer" else rules.type
        bad = raw.is_not_null() & column.value.is_null()
        yield column.breaks("type", f"hold text that is not of type {kind}", bad, shown=column.raw + name)
    yield from _missing(column)
    if fits:
        yield from _range(column)
        yield from _text(column)
    if rules.unique:
        yield _unique((name,), {name: dtype})


def _missing(column: _Typed) -> Iterator[Check]:
    """Yield the checks for null, NaN and infinity, each of which has its own rule."""
    rules, value = column.rules, column.value
    if not rules.nullable:
        # Text that does not parse breaks the type rule only; it is not counted as missing too.
        absent = need("polars").col(column.raw + column.name).is_null() if column.raw else value.is_null()
        yield column.breaks("null", "are null", absent, "Fill them in at the source, or say nullable = true.")
    if column.family == "float":
        if not rules.nan:
            yield column.breaks(
                "nan", "are NaN", value.is_nan(), "Find the computation that failed, or say nan = true."
            )
        if not rules.infinity:
            yield column.breaks(
                "infinity", "are infinite", value.is_infinite(), "Find the overflow, or say infinity = true."
            )


def _range(column: _Typed) -> Iterator[Check]:
    value, dtype = column.value, column.dtype
    low, high = column.rules.min, column.rules.max
    if low is None and high is None:
        return
    wrong = [end for end in (low, high) if end is not None and not _comparable(end, column.family)]
    if wrong:
        yield column.fails("range", f"{wrong[0]!r} cannot be compared with {dtype}", "Correct min and max.")
        return
    if column.family == "integer":
        # Compared as floats, integers beyond 2**53 would be rounded, and some out of range would pass.
        low = math.ceil(low) if isinstance(low, float) else low
        high = math.floor(high) if isinstance(high, float) else high
    sides = []
    if low is not None:
        sides.append((value < literal(low, dtype), value > -math.inf))
    if high is not None:
        sides.append((value > literal(high, dtype), value < math.inf))
    # Infinity and NaN have their own rules; Polars orders NaN above infinity.
    ends = [beyond & finite if column.family == "float" else beyond for beyond, finite in sides]
    bad = ends[0] if len(ends) == 1 else ends[0] | ends[1]
    words = f"above {high}" if low is None else f"below {low}" if high is None else f"outside {low} to {high}"
    yield column.breaks("range", f"are {words}", bad)


def _comparable(end: object, is_family: str) -> bool:
    if isinstance(end, datetime):
        return is_family == "datetime"
    if isinstance(end, date):
        return is_family in ("date", "datetime")
    return is_family in _NUMBERS


def literal(end: Any, dtype: Any) -> Any:  # noqa: ANN401
    """Return a bound for comparison with a column: times in the column's zone; bounds without a zone are taken as UTC."""
    polars = need("polars")
    if isinstance(end, date) and not isinstance(end, datetime) and isinstance(dtype, polars.Datetime):
        end = datetime(end.year, end.month, end.day)  # noqa: DTZ001 - the zone of the column is put on below
    if isinstance(end, datetime) and isinstance(dtype, polars.Datetime):
        if dtype.time_zone is None:
            return end.astimezone(UTC).replace(tzinfo=None) if end.tzinfo else end
        zoned = polars.lit(end.astimezone(UTC) if end.tzinfo else end.replace(tzinfo=UTC))
        return zoned.cast(polars.Datetime("us", "UTC")).dt.convert_time_zone(dtype.time_zone)
    return end


def _text(column: _Typed) -> Iterator[Check]:
    polars = need("polars")
    rules, value = column.rules, column.text
    if rules.allowed is not None:
        yield _allowed(column, rules.allowed)
    if column.family != "text":
        for key in ("pattern", "min_length", "max_length"):
            if column.sets(key):
                yield column.fails(key, f"a rule for text cannot be applied to {column.dtype}", _AFTER)
        return
    if rules.pattern is not None:
        try:
            polars.Series([""]).str.contains(rules.pattern)
        except polars.exceptions.PolarsError as error:
            what = f"the pattern is not a valid regular expression: {str(error).splitlines()[0][:120]}"
            yield column.fails("pattern", what, "Correct the pattern.")
        else:
            yield column.breaks("pattern", f"do not match {rules.pattern}", ~value.str.contains(rules.pattern))
    if rules.min_length is not None or rules.max_length is not None:
        length = value.str.len_chars()
        low, high = rules.min_length or 0, rules.max_length
        bad = length < low if high is None else (length < low) | (length > high)
        yield column.breaks("length", f"have a length outside {low} to {'any' if high is None else high}", bad)
    if not rules.marks:
        advice = "Such text is not what it looks like: find out who wrote it, then remove the characters."
        what = "hold NUL, control or bidirectional characters"
        yield column.breaks("marks", what, value.str.contains(MARKS), advice)


def _allowed(column: _Typed, values: tuple[Any, ...]) -> Check:
    polars = need("polars")
    kind, boolean = _VALUES.get(column.family, ()), column.family == "boolean"
    if not all(isinstance(one, kind) and (boolean or not isinstance(one, bool)) for one in values):
        return column.fails("allowed", f"the allowed values are not of the column's type, {column.dtype}", _AFTER)
    listed = ", ".join(str(one)[:20] for one in values[:5]) + (", ..." if len(values) > 5 else "")
    # 0.1 in Float32 differs from 0.1 in Float64, so the allowed values are rounded to the column's type.
    known = polars.Series(list(values), dtype=column.dtype).to_list() if column.family == "float" else list(values)
    return column.breaks("allowed", f"are none of {listed}", ~column.text.is_in(known))


def _absent(names: Sequence[str], found: dict[str, Any]) -> str:
    missing = [name for name in names if name not in found]
    return f"the table has no column {missing[0]!r}" if missing else ""


def _unique(by: tuple[str, ...], found: dict[str, Any]) -> Check:
    polars = need("polars")
    name = f"{', '.join(by)}: unique"
    missing = _absent(by, found)
    if missing:
        return Judged(name, by[0], missing, "Correct the rule or the table.", failed=True)
    known = polars.all_horizontal(polars.col(one).is_not_null() for one in by)
    what = "share their values with another row"
    return GroupCheck(
        name, by, what, "Find out which of the rows is right; all are listed.", (), polars.col(ROWS) > 1, known
    )


def _rule(rule: Rule, found: dict[str, pl.DataType]) -> Check:
    polars = need("polars")
    try:
        expression = polars.sql_expr(rule.expression)
        when = polars.sql_expr(rule.when) if rule.when else None
        names = tuple(
            dict.fromkeys(expression.meta.root_names() + (when.meta.root_names() if when is not None else []))
        )
        for part, text in ((expression, rule.expression), (when, rule.when)):
            wrong = "" if part is None else _shape(part, found)
            if wrong:
                return Judged(rule.name, "", f"{text!r} {wrong}", "Correct the expression.", failed=True)
    except (polars.exceptions.PolarsError, polars.exceptions.PanicException, ValueError) as error:
        what = f"{rule.expression!r} cannot be evaluated: {(str(error).splitlines() or [''])[0][:160]}"
        return Judged(rule.name, "", what, "Correct the expression; it is SQL over the columns.", failed=True)
    bad = ~expression.fill_null(rule.nulls == "pass")
    # Polars orders NaN above every number, so `x > 0` would hold for NaN. Unless the rule mentions NaN, treat it like null.
    floats = [name for name in expression.meta.root_names() if found[name].is_float()]
    if floats and "nan" not in rule.expression.lower():
        unknown = polars.any_horizontal(polars.col(name).is_nan().fill_null(False) for name in floats)
        bad = bad & ~unknown if rule.nulls == "pass" else bad | unknown
    if when is not None:
        bad = bad & when.fill_null(rule.nulls == "violation")
    # A single result for the whole table (SUM(x) > 0) is repeated for each row.
    if found:
        bad = bad & polars.col(next(iter([*names, *found]))).is_null().is_not_null()
    return RowCheck(rule.name, "", f"break {rule.expression}", _FIX, bad, names)


def _shape(expression: pl.Expr, found: dict[str, pl.DataType]) -> str:
    """Return what is wrong with an expression that does not give one boolean column; "" if it does."""
    polars = need("polars")
    kinds = polars.DataFrame(schema=found).lazy().select(expression).collect_schema().dtypes()
    if len(kinds) != 1:
        return f"gives {len(kinds)} columns, expected one"
    return "" if kinds[0] == polars.Boolean else f"is {kinds[0]}, expected true or false"


def _group(group: Group, found: dict[str, Any]) -> Iterator[Check]:
    polars = need("polars")
    named = [one.column for one in (group.sum, group.monotone) if one is not None]
    missing = _absent([*group.by, *named], found)
    advice = "Look at these groups; --quarantine separates all of their rows."
    if missing:
        yield Judged(group.name, "", missing, "Correct the rule or the table.", failed=True)
        return
    label = f"groups by {', '.join(group.by)}"
    aggregates, bad, words = [], [], []
    if group.min_rows is not None:
        bad.append(polars.col(ROWS) < group.min_rows)
        words.append(f"fewer than {group.min_rows} rows")
    if group.max_rows is not None:
        bad.append(polars.col(ROWS) > group.max_rows)
        words.append(f"more than {group.max_rows} rows")
    if group.sum is not None:
        if family(found[group.sum.column]) not in _NUMBERS:
            what = f"column {group.sum.column!r} is {found[group.sum.column]}: it has no sum"
            yield Judged(group.name, group.sum.column, what, "Correct the rule.", failed=True)
            return
        aggregates.append(polars.col(group.sum.column).sum().alias(SUM))
        # NaN satisfies no bounds. Polars orders it above every number, so a lower bound alone would accept it.
        inside = polars.lit(value=True)
        if group.sum.min is not None:
            inside = inside & (polars.col(SUM) >= group.sum.min)
        if group.sum.max is not None:
            inside = inside & (polars.col(SUM) <= group.sum.max)
        bad.append(~inside.fill_null(False))
        words.append(f"a sum of {group.sum.column} outside {group.sum.min} to {group.sum.max}")
    if group.monotone is not None:
        values = polars.col(group.monotone.column).drop_nulls()
        before = values.shift(1)
        rising = group.monotone.order == "rising"
        step = values < before if rising else values > before
        if group.monotone.strict:
            step = step | (values == before)
        aggregates.append(step.sum().alias(STEPS))
        bad.append(polars.col(STEPS) > 0)
        words.append(f"a {group.monotone.column} that is not {group.monotone.order}")
    yield GroupCheck(
        group.name,
        group.by,
        f"are in {label} with {' or '.join(words)}",
        advice,
        tuple(aggregates),
        polars.any_horizontal(bad),
    )
