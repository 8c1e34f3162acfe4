"""Families of types: text parses to what it says and to nothing else; times beyond Python's calendar survive."""

from datetime import UTC, datetime

import polars as pl
import pytest

from hauberk.data.verification.kinds import family, from_text, to_dicts


@pytest.mark.parametrize(
    ("kind", "good", "bad"),
    [
        ("integer", ["1", "-7"], ["1.5", "one", " 1", "99999999999999999999", ""]),
        ("float", ["1", "1.5", "-2e3"], ["1,5", "x"]),
        ("boolean", ["true", "False", "TRUE"], ["yes", "1"]),
        ("date", ["2026-01-31"], ["2026-02-30", "31.01.2026"]),
        (
            "datetime",
            ["2026-01-31T12:00:00", "2026-01-31 12:00:00.5", "2026-01-31T12:00:00Z"],
            ["2026-01-31", "noon"],
        ),
        ("time", ["12:00:00"], ["25:00:00"]),
    ],
)
def test_text_parses_or_is_null(kind, good, bad):
    frame = pl.DataFrame({"a": [*good, *bad]}).select(from_text("a", kind))
    assert frame["a"].is_null().to_list() == [False] * len(good) + [True] * len(bad)
    assert family(frame["a"].dtype) == kind


def test_a_zone_in_text_is_taken_off_in_utc():
    frame = pl.DataFrame({"a": ["2026-01-31T12:00:00+02:00"]}).select(from_text("a", "datetime"))
    assert frame["a"].to_list() == [datetime(2026, 1, 31, 10)]  # noqa: DTZ001 - the column has no zone


def test_times_that_python_cannot_hold_become_text_and_others_stay():
    moment = datetime(2026, 1, 1, tzinfo=UTC)
    far = pl.Series("a", [1 << 60, None, 0]).cast(pl.Datetime("us"))
    known = pl.Series("b", [moment] * 3)
    rows = to_dicts(pl.DataFrame([far, known]))
    assert rows[0]["a"] == f"{1 << 60} us, beyond any calendar"
    assert rows[1]["a"] is None
    assert [row["b"] for row in rows] == [moment] * 3
