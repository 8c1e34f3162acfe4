"""When the next audit or update is due, from a cron expression; clock and sleep are arguments.

Five fields (minute, hour, day of month, month, day of week), or six with seconds first, in the syntax of cronsim: Debian
cron's rules, daylight saving included. Times are this machine's local time.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime, timedelta

from hauberk.core.errors import InvalidInput, MissingExtra
from hauberk.core.extras import need

Clock = Callable[[], datetime]
_NAP_S = 30.0  # a changed clock, or a laptop that slept, is noticed within this time


def next_due(expression: str, after: datetime) -> datetime:
    """Return the first matching time after `after`, which has a time zone. Raises InvalidInput."""
    cronsim = need("cronsim")
    try:
        found: datetime = next(cronsim.CronSim(expression, after))
    except cronsim.CronSimError as error:
        raise InvalidInput(
            f'{expression[:80]!r} is not a cron expression: {error}. Write five fields, such as "0 3 * * *" for 03:00 each day.'
        ) from error
    except StopIteration as error:
        raise InvalidInput(f"{expression[:80]!r} never matches a time.") from error
    return found


def check_cron(expression: str) -> None:
    """Raise InvalidInput for an invalid expression. Without cronsim installed, it is checked only when it is used."""
    with suppress(MissingExtra):
        next_due(expression, datetime(2026, 1, 1, tzinfo=UTC))


def is_due(expression: str, last: datetime | None, now: datetime) -> bool:
    """Return whether a matching time has passed since `last`; True when `last` is None."""
    return next_due(expression, now if last is None else last) <= now or last is None


def watch(  # noqa: PLR0913 - clock and sleep are arguments
    expression: str,
    work: Callable[[], None],
    *,
    clock: Clock,
    sleep: Callable[[float], None],
    rounds: int | None = None,
    told: Callable[[datetime], None] = lambda _due: None,
) -> None:
    """Call `work` at each matching time, until interrupted. Times that pass during work are skipped.

    rounds: stop after this many. told: called with each next time.
    """
    done = 0
    while rounds is None or done < rounds:
        due = next_due(expression, clock())
        told(due)
        while (left := due - clock()) > timedelta(0):
            sleep(min(_NAP_S, left.total_seconds()))
        work()
        done += 1
