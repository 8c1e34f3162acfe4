"""When the next run is due; clock and sleep are the test's own."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from hauberk.core.errors import InvalidInput
from hauberk.project.scheduling import check_cron, is_due, next_due, watch

pytest.importorskip("cronsim")
AT = datetime(2026, 3, 1, 2, 30, tzinfo=UTC)


def test_the_next_time_is_after_the_given_one():
    assert next_due("0 3 * * *", AT) == AT.replace(hour=3, minute=0)
    assert next_due("30 2 * * *", AT) == AT + timedelta(days=1)


@pytest.mark.parametrize(
    ("text", "message"), [("0 3 * *", "Write five fields"), ("61 * * * *", "Write five fields")]
)
def test_what_is_no_expression_is_refused(text, message):
    with pytest.raises(InvalidInput, match=message):
        check_cron(text)


def test_an_expression_that_never_matches_is_refused():
    with pytest.raises(InvalidInput, match=r"never matches|not a cron expression"):
        check_cron("0 0 31 2 *")


def test_due_is_once_a_time_passed_and_always_at_first():
    assert is_due("0 3 * * *", None, AT)
    assert not is_due("0 3 * * *", AT, AT + timedelta(minutes=29))
    assert is_due("0 3 * * *", AT, AT + timedelta(minutes=30))


def test_watching_skips_times_that_pass_during_work():
    now, naps, told, worked = [AT], [], [], []

    def sleep(seconds):
        naps.append(seconds)
        now[0] += timedelta(seconds=seconds)

    def work():
        worked.append(now[0])
        now[0] += timedelta(hours=2, minutes=10)  # longer than the hour between two times

    watch("0 * * * *", work, clock=lambda: now[0], sleep=sleep, rounds=2, told=told.append)
    assert [one.hour for one in worked] == [3, 6]
    assert told == worked
    assert max(naps) <= 30  # so that a changed clock is noticed
