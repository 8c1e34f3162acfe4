"""Two tables compared: every row that differs is counted, by key and by content, whatever null, NaN and order do."""

from __future__ import annotations

import json
import math
from collections import Counter
from datetime import date

import numpy as np
import polars as pl
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from hauberk.cli.main import run
from hauberk.core.errors import InvalidInput
from hauberk.data.manifest.diffing import diff


@pytest.fixture
def frame():
    rng = np.random.default_rng(1)
    return pl.DataFrame(
        {
            "id": np.arange(1000),
            "x": rng.normal(size=1000),
            "t": rng.choice(["a", "b", None], 1000),
            "d": [date(2020, 1, 1)] * 1000,
        }
    )


@pytest.fixture
def save(tmp_path):
    def write(frame, name):
        path = tmp_path / name
        getattr(
            frame, {"parquet": "write_parquet", "csv": "write_csv", "jsonl": "write_ndjson"}[name.split(".")[-1]]
        )(path)
        return str(path)

    return write


def altered(frame):
    """Return the frame with rows 3 and 7 removed, two added, x changed in five rows and t in one of those."""
    ids = pl.col("id")
    frame = frame.with_columns(
        x=pl.when(ids.is_between(10, 14)).then(pl.col("x") + 1).otherwise("x"),
        t=pl.when(ids == 10).then(pl.lit("new")).otherwise("t"),
    )
    more = frame[:2].with_columns(id=pl.Series([2000, 2001]))
    return pl.concat([frame.filter(~ids.is_in([3, 7])), more]).sample(fraction=1, shuffle=True, seed=4)


@pytest.mark.parametrize("ending", ["parquet", "csv", "jsonl"])
def test_by_key_each_kind_is_counted_and_each_column(frame, save, ending):
    found = diff(save(frame, f"a.{ending}"), save(altered(frame), f"b.{ending}"), key=["id"])
    assert (found.rows_a, found.rows_b) == (1000, 1000)
    assert (found.added, found.removed, found.changed) == (2, 2, 5)
    assert found.by_column == {"x": 5, "t": 1}
    assert {int(row["id"]) for row in found.samples["removed"]} == {3, 7}
    assert {int(row["id"]) for row in found.samples["added"]} == {2000, 2001}
    changed = next(row for row in found.samples["changed"] if int(row["id"]) == 10)
    assert changed["t"][1] == "new"
    assert "d" not in changed


@pytest.mark.parametrize("ending", ["parquet", "csv", "jsonl"])
def test_by_content_a_changed_row_is_one_gone_and_one_come(frame, save, ending):
    found = diff(save(frame, f"a.{ending}"), save(altered(frame), f"b.{ending}"))
    assert (found.added, found.removed, found.changed) == (7, 7, 0)
    assert set(found.by_column) == {"id", "x", "t"}
    assert not found.equal


def test_rows_in_another_order_are_the_same_rows(frame, save):
    shuffled = frame.sample(fraction=1, shuffle=True, seed=1)
    for key in ([], ["id"]):
        assert diff(save(frame, "a.parquet"), save(shuffled, "b.parquet"), key=key).equal


def test_repeated_rows_are_counted(frame, save):
    doubled = pl.concat([frame, frame[:3], frame[:3]])
    found = diff(save(frame, "a.parquet"), save(doubled, "b.parquet"))
    assert (found.added, found.removed) == (6, 0)
    assert diff(save(doubled, "c.parquet"), save(doubled.reverse(), "d.parquet")).equal


def test_null_nan_and_infinity_are_three_things(save):
    values = [None, math.nan, math.inf, 0.0, 1.0]
    frame = pl.DataFrame({"id": range(5), "x": values}, schema_overrides={"x": pl.Float64})
    path = save(frame, "a.parquet")
    assert diff(path, save(frame, "b.parquet"), key=["id"]).equal
    for at in range(5):
        for other in values:
            row = pl.Series([other if i == at else v for i, v in enumerate(values)], dtype=pl.Float64)
            same = str(other) == str(values[at])
            for key in ([], ["id"]):
                found = diff(path, save(frame.with_columns(x=row), "b.parquet"), key=key)
                assert found.equal == same, (values[at], other)
                json.dumps(found.to_json(), allow_nan=False)


def test_null_in_a_key_is_a_value(save):
    a = pl.DataFrame({"k": [None, "a"], "v": [1, 2]})
    found = diff(save(a, "a.parquet"), save(a.with_columns(v=pl.Series([1, 3])), "b.parquet"), key=["k"])
    assert (found.added, found.removed, found.changed) == (0, 0, 1)


@pytest.mark.parametrize("side", [0, 1, 2])
def test_a_key_that_names_several_rows_is_refused(frame, save, side):
    double = pl.concat([frame, frame[5:6]])
    a, b = (double if side in (0, 2) else frame), (double if side in (1, 2) else frame)
    with pytest.raises(InvalidInput, match=r"id is not unique in .*1 values occur in several rows, such as 5"):
        diff(save(a, "a.parquet"), save(b, "b.parquet"), key=["id"])
    with pytest.raises(InvalidInput, match="'nope' is not in both tables"):
        diff(save(a, "a.parquet"), save(b, "b.parquet"), key=["nope"])


def test_columns_that_one_table_lacks_or_types_otherwise_are_told(frame, save):
    other = frame.drop("d").with_columns(extra=pl.lit(1), id=pl.col("id").cast(pl.Int16), t=pl.lit(1))
    found = diff(save(frame, "a.parquet"), save(other, "b.parquet"), key=["id"])
    assert (found.columns.only_a, found.columns.only_b) == (("d",), ("extra",))
    assert found.columns.types == {"t": ("text", "integer")}
    assert not found.equal
    with pytest.raises(InvalidInput, match="no column in common"):
        diff(save(frame, "a.parquet"), save(frame.rename(lambda name: name + "2"), "b.parquet"))


def test_a_csv_is_read_as_the_types_of_the_table_beside_it(frame, save):
    assert diff(save(frame, "a.parquet"), save(frame, "b.csv"), key=["id"]).equal
    assert diff(save(frame, "a.csv"), save(frame, "b.parquet")).equal


def test_the_command_ends_with_0_or_1(frame, save, capsys, tmp_path):
    a, b = save(frame, "a.parquet"), save(altered(frame), "b.parquet")
    assert run(["data", "diff", a, a]) == 0
    assert "Equal" in capsys.readouterr().out
    assert run(["data", "diff", a, b, "--key", "id"]) == 1
    said = capsys.readouterr().out
    assert "columns that differ: x 5, t 1" in said
    assert run(["data", "diff", a, b, "--json"]) == 1
    assert json.loads(capsys.readouterr().out)["added"] == 7
    for side in "pq":
        (tmp_path / side).mkdir()
        (tmp_path / side / "1.png").write_bytes(b"same")
        (tmp_path / side / "2.png").write_bytes(side.encode())
    assert run(["data", "diff", str(tmp_path / "p"), str(tmp_path / "q")]) == 1
    assert "image 2.png changed" in capsys.readouterr().out
    assert run(["data", "diff", str(tmp_path / "p"), str(tmp_path / "p"), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["equal"] is True
    assert run(["data", "diff", a, str(tmp_path / "absent.parquet")]) == 2


def test_arrays_are_compared_byte_by_byte_and_not_by_what_is_told_of_them(tmp_path, capsys):
    for name, pixels in (("a", [0, 1]), ("b", [1, 0])):
        np.savez(tmp_path / f"{name}.npz", x=np.array(pixels, np.uint8).reshape(1, 1, 2), y=np.zeros(1))
    a, b = str(tmp_path / "a.npz"), str(tmp_path / "b.npz")
    with pytest.raises(InvalidInput, match="--files"):
        diff(a, b)
    assert run(["data", "diff", a, b]) == 1
    assert "changed" in capsys.readouterr().out
    assert run(["data", "diff", a, a]) == 0


def test_names_that_polars_or_we_use_are_plain_names(save):
    a = pl.DataFrame({"id": [1, 2], "high": [1, 2], "low": [3, 4], "sign": [1, 1], "literal": ["x", "y"]})
    b = a.with_columns(low=pl.Series([3, 5]))
    for key in ([], ["id"]):
        found = diff(save(a, "a.parquet"), save(b, "b.parquet"), key=key)
        assert found.added + found.changed == 1


@pytest.mark.parametrize("kind", [pl.Int32, pl.UInt8, pl.Float64, pl.Float32, pl.Decimal(10, 2)])
@pytest.mark.parametrize("key", [(), ("id",)])
def test_the_width_of_a_number_is_no_difference(save, kind, key):
    one = pl.DataFrame({"id": [1, 2, 3], "n": [7, 8, None]})
    a, b = save(one, "a.parquet"), save(one.cast(kind), "b.parquet")
    assert diff(a, b, key=key).equal
    changed = save(one.with_columns(n=pl.Series([7, 9, None])).cast(kind), "c.parquet")
    found = diff(a, changed, key=key)
    assert found.changed == 1 if key else (found.added, found.removed) == (1, 1)


@pytest.mark.parametrize(
    "other",
    [
        pl.Series([[1], [2], None]),
        pl.Series([{"of": 1}, {"of": 2}, None]),
        pl.Series([b"1", b"\xff", None]),
        pl.Series(["1", "2", None]),
        pl.Series([True, False, None]),
    ],
)
@pytest.mark.parametrize("key", [(), ("id",)])
def test_values_that_no_type_holds_both_of_are_compared_as_text_and_told(save, other, key):
    one = pl.DataFrame({"id": [1, 2, 3], "n": [1, 2, None]})
    found = diff(save(one, "a.parquet"), save(one.with_columns(n=other), "b.parquet"), key=key)
    assert "n" in found.columns.types
    assert not found.equal


def test_times_with_and_without_a_zone_differ_and_units_do_not(save):
    one = pl.DataFrame({"id": [1], "t": pl.Series([0]).cast(pl.Datetime("us"))})
    a = save(one, "a.parquet")
    assert diff(a, save(one.cast({"t": pl.Datetime("ns")}), "b.parquet")).equal
    zoned = one.with_columns(t=pl.col("t").dt.replace_time_zone("UTC"))
    assert "t" in diff(a, save(zoned, "c.parquet"), key=["id"]).columns.types


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.tuples(st.integers(0, 9), st.sampled_from([0.0, 1.5, None]))), st.data())
def test_both_ways_agree_with_counting_in_python(save, rows, draw):
    others = draw.draw(st.permutations(rows))[: draw.draw(st.integers(0, 9))]
    others += draw.draw(st.lists(st.tuples(st.integers(0, 12), st.sampled_from([0.0, 1.5, None])), max_size=5))
    schema = {"id": pl.Int64, "v": pl.Float64}
    a, b = (
        save(pl.DataFrame(side, schema=schema, orient="row"), f"{name}.parquet")
        for name, side in (("a", rows), ("b", others))
    )
    one, other = Counter(rows), Counter(others)
    found = diff(a, b)
    assert (found.removed, found.added) == ((one - other).total(), (other - one).total())
    assert found.equal == (one == other)
    first, second = dict(rows), dict(others)
    if len(first) == len(rows) and len(second) == len(others):
        found = diff(a, b, key=["id"])
        assert found.added == len(second.keys() - first.keys())
        assert found.changed == sum(first[key] != second[key] for key in first.keys() & second.keys())
