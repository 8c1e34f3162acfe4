"""Freshness: the age of the newest row by a given clock, and rows from the future."""

from __future__ import annotations

from datetime import UTC, date, datetime, time, timedelta
from typing import TYPE_CHECKING, Any

from hauberk.core.extras import need
from hauberk.data.verification.kinds import family
from hauberk.data.verification.rules import Check, Judged, RowCheck, literal
from hauberk.data.verification.schema import Freshness, Schema

if TYPE_CHECKING:
    import polars as pl


def freshness(schema: Schema, found: dict[str, pl.DataType], clock: datetime) -> list[Check]:
    """Return the check for rows from the future, or an error result if the column is missing or holds no times."""
    rule = schema.freshness
    if rule is None:
        return []
    dtype: Any = found.get(rule.column)
    if dtype is None or family(dtype) not in ("date", "datetime"):
        what = f"column {rule.column!r} is {'missing' if dtype is None else dtype}, expected a date or datetime"
        return [Judged("freshness", rule.column, what, "Correct the rule or the table.", failed=True)]
    polars = need("polars")
    latest = clock.astimezone(UTC) + rule.ahead
    if family(dtype) == "date":
        end: Any = latest.date()
    else:
        end = literal(latest, dtype)
    bad = (polars.col(rule.column) > end).fill_null(value=False)
    advice = "Check the clock and the time zone of the writer: times without a zone are taken as UTC."
    what = f"are later than {latest:%Y-%m-%d %H:%M:%S} UTC"
    return [RowCheck("freshness: future", rule.column, what, advice, bad, (rule.column,))]


def judged(newest: Any, rule: Freshness, clock: datetime) -> tuple[bool, str, bool]:  # noqa: ANN401 - a time or None
    """Return (whether the newest time is fresh, a sentence about it, whether it could not be judged)."""
    if isinstance(newest, str):
        return False, f"the newest time of column {rule.column!r} is {newest}", False
    if not isinstance(newest, date):
        return False, f"column {rule.column!r} has no time in any row: its age is unknown", True
    if isinstance(newest, datetime):
        moment = newest if newest.tzinfo else newest.replace(tzinfo=UTC)
    else:
        # A date covers its whole day, so its end counts; the calendar's last date has no next day.
        moment = datetime.combine(min(newest, date.max - timedelta(days=1)), time.min, UTC) + timedelta(days=1)
    age = max(clock - moment, timedelta())
    return age <= rule.max_age, f"the newest row is {_words(age)} old, allowed {_words(rule.max_age)}", False


def _words(span: timedelta) -> str:
    hours = span.total_seconds() / 3600
    return f"{hours / 24:.1f} days" if hours >= 48 else f"{hours:.1f} hours"
