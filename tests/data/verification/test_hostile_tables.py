"""What writers of bad files do: nothing of it passes, and each is named."""

from __future__ import annotations

import gzip

import polars as pl
import pytest

from hauberk.core.errors import InvalidInput
from hauberk.data.verification.api import infer, profile, verify
from hauberk.data.verification.schema import parse_schema

ONE = 'version = 1\n[table]\nother_columns = "allow"\n[columns.a]\ntype = "integer"\n'


def wrong(place, text=ONE):
    done = verify(place, parse_schema(text)).rules
    return {one.rule: [sample.row for sample in one.samples] for one in done.results if one.violations}


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("a,b\n1,5,7\n2,3\n", "line 2 has 3 values"),
        ("a,b,c\n1,5,7\n2,3,4\n1,2,3,4\n", "line 4 has 4 values"),
        ("a,b,c\n1,5,7\n2,3\n", "line 3 has 2 values"),
        ("a,b\r1,2\r3,4\r", "CR alone"),
        ('a,b\n1,"x\n2,z\n', "damaged"),
    ],
)
def test_ragged_lines_are_named_though_a_rule_asks_for_one_column(tmp_path, content, words):
    (tmp_path / "x.csv").write_bytes(content.encode())
    with pytest.raises(InvalidInput, match=words):
        wrong(tmp_path / "x.csv")
    with pytest.raises(InvalidInput):
        infer(tmp_path / "x.csv")


def test_a_packed_file_that_ends_early_is_named(tmp_path):
    packed = gzip.compress(b"a,b\n" + b"".join(b"%d,2\n" % n for n in range(50_000)))
    (tmp_path / "x.csv.gz").write_bytes(packed[:-200])
    with pytest.raises(InvalidInput, match="truncated"):
        wrong(tmp_path / "x.csv.gz")


def test_statistics_that_lie_hide_no_row(tmp_path):
    path = tmp_path / "x.parquet"
    pl.DataFrame({"a": [1, 2, 3, 777_777]}).write_parquet(path, compression="uncompressed")
    content, high = path.read_bytes(), (777_777).to_bytes(8, "little")
    values = content.index(high) + 8
    lying = content[:values] + content[values:].replace(high, (5).to_bytes(8, "little"))
    assert lying != content
    path.write_bytes(lying)
    assert wrong(path, ONE + "max = 10\n") == {"a: range": [3]}
    assert "max = 777777" in infer(path)
    done = verify(
        path, parse_schema(ONE + "max = 10\n"), quarantine=tmp_path / "q.parquet", clean=tmp_path / "c.parquet"
    )
    assert (done.split.quarantined, done.split.clean) == (1, 3)


def test_partitions_are_named_as_their_writers_mean_it(tmp_path):
    for name in ("k=a%2Fb", "k=__HIVE_DEFAULT_PARTITION__"):
        (tmp_path / "h" / name).mkdir(parents=True)
        pl.DataFrame({"a": [1]}).write_parquet(tmp_path / "h" / name / "x.parquet")
    rule = ONE + '[columns.k]\ntype = "text"\nallowed = ["a/b"]\n'
    assert wrong(tmp_path / "h", rule) == {"k: null": [0]}


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ('{"a":1}\n{"a":\n', "line 2 is not JSON"),
        ('{"a":1}\n{"a":NaN}\n', "line 2 is not JSON: NaN"),
        ('[{"a":1},{"a":2}]\n', "line 1 holds an array"),
        ('{"a":1}\nnull\n', "line 2 holds null"),
        ("1\n2\n", "line 1 holds a single value"),
        ('{"a":' + "[" * 5000 + "]" * 5000 + "}\n", "line 1 is not JSON"),
    ],
)
def test_lines_that_are_no_rows_are_named(tmp_path, content, words):
    (tmp_path / "x.jsonl").write_text(content)
    with pytest.raises(InvalidInput, match=words):
        wrong(tmp_path / "x.jsonl")


def test_times_that_no_calendar_has_are_told_and_break_nothing(tmp_path, capfd):
    far = {
        "day": pl.Series([0, 2**31 - 1], dtype=pl.Int32).cast(pl.Date),
        "at": pl.Series([0, 2**60]).cast(pl.Datetime("us")),
        "zoned": pl.Series([0, -(2**60)]).cast(pl.Datetime("us", "Europe/Vienna")),
        "span": pl.Series([0, 2**63 - 1]).cast(pl.Duration("ms")),
        "last": pl.Series([0, 2_932_896], dtype=pl.Int32).cast(pl.Date),
    }
    pl.DataFrame(far).write_parquet(tmp_path / "x.parquet")
    text = 'version = 1\n[table]\nother_columns = "allow"\n[columns.day]\ntype = "date"\nmax = 2030-01-01\n'
    done = verify(tmp_path / "x.parquet", parse_schema(f'{text}[freshness]\ncolumn = "at"\nmax_age = "1d"\n')).rules
    assert [one.rule for one in done.results if one.violations] == ["day: range", "freshness: future", "freshness"]
    assert done.results[2].samples[0].values == {"day": "2147483647 days, beyond any calendar"}
    assert "# max: 1152921504606846976 us" in infer(tmp_path / "x.parquet")
    assert "max = 9999-12-31" in infer(tmp_path / "x.parquet")
    named = {str(one.where) for one in profile(tmp_path / "x.parquet").findings}
    assert named == {"column day", "column at", "column zoned", "column span"}
    verify(tmp_path / "x.parquet", parse_schema(f'{text}[freshness]\ncolumn = "last"\nmax_age = "1d"\n'))
    assert "panicked" not in capfd.readouterr().err


def test_names_with_marks_are_found_and_names_with_nul_refused(tmp_path):
    pl.DataFrame({"a\u202eb": [1]}).write_parquet(tmp_path / "x.parquet")
    assert [one.rule for one in verify(tmp_path / "x.parquet").rules.results if one.violations] == [
        "a\u202eb: name"
    ]
    assert "name 'a\\u202eb'" in profile(tmp_path / "x.parquet").findings[0].what
    pl.DataFrame({"a\0b": [1]}).write_parquet(tmp_path / "y.parquet")
    with pytest.raises(InvalidInput, match="at NUL"):
        wrong(tmp_path / "y.parquet")


def test_numbers_of_twenty_digits_are_not_rounded_into_one(tmp_path):
    rows = "".join(f"{10**19 + n}\n" for n in range(100))
    (tmp_path / "x.csv").write_text("a\n" + rows)
    text = infer(tmp_path / "x.csv")
    assert 'type = "text"' in text
    assert "unique = true" in text
    assert wrong(tmp_path / "x.csv") == {"a: type": [0, 1, 2, 3, 4]}


def test_columns_named_like_those_that_queries_add(tmp_path):
    (tmp_path / "x.csv").write_text("group0,row,rows,last,absent\n1,1,2,3,4\n1,2,2,3,4\n2,3,2,3,4\n")
    text = 'version = 1\n[table]\nother_columns = "allow"\n[columns.group0]\ntype = "integer"\n[columns.row]\nmax = 2\n'
    text += 'type = "integer"\n[[groups]]\nname = "one"\nby = ["group0"]\nmax_rows = 1\n'
    done = verify(tmp_path / "x.csv", parse_schema(text), quarantine=tmp_path / "q.csv", clean=tmp_path / "c.csv")
    assert {one.rule: one.violations for one in done.rules.results if one.violations} == {"row: range": 1, "one": 2}
    assert (done.split.quarantined, done.split.clean) == (3, 0)


def test_no_place_and_no_rows_are_said():
    with pytest.raises(InvalidInput, match="name is empty"):
        wrong("")
    assert [one.what for one in profile(pl.DataFrame(schema={"a": pl.Int64})).findings] == ["there are no rows"]
