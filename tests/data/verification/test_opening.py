"""Opening: each source gives the same rows, and what a reader would pass over in silence is an error by name."""

from __future__ import annotations

import gzip

import fsspec
import polars as pl
import pytest

from hauberk.core.errors import InvalidInput, Unavailable
from hauberk.data.verification.opening import MOST_COLUMNS, opened

FRAME = pl.DataFrame({"a": [1, 2, None], "b": [1.5, float("nan"), float("inf")], "c": ["x", "y", None]})


def read(place):
    with opened(str(place)) as table:
        return table.collect(table.scan())


def write(frame, path):
    path.parent.mkdir(parents=True, exist_ok=True)
    {
        ".parquet": frame.write_parquet,
        ".arrow": frame.write_ipc,
        ".csv": frame.write_csv,
        ".tsv": lambda path: frame.write_csv(path, separator="\t"),
        ".jsonl": frame.write_ndjson,
    }[path.suffix](path)
    return path


@pytest.mark.parametrize("end", [".parquet", ".arrow"])
def test_binary_tables_come_back_as_they_were(tmp_path, end):
    assert read(write(FRAME, tmp_path / f"x{end}")).equals(FRAME)


@pytest.mark.parametrize("end", [".csv", ".tsv"])
def test_delimited_tables_are_text(tmp_path, end):
    got = read(write(FRAME, tmp_path / f"x{end}"))
    assert got.rows() == [("1", "1.5", "x"), ("2", "NaN", "y"), (None, "inf", None)]


def test_json_lines_infer_types_from_all_rows(tmp_path):
    (tmp_path / "x.jsonl").write_text('{"a": 1}\n' * 2000 + '{"a": 2.5, "z": "late"}\n')
    got = read(tmp_path / "x.jsonl")
    assert got.schema == {"a": pl.Float64, "z": pl.String}
    assert got["z"].drop_nulls().to_list() == ["late"]


def test_packed_csv_and_zero_rows(tmp_path):
    (tmp_path / "x.csv.gz").write_bytes(gzip.compress(b"a,b\n1,2\n"))
    assert read(tmp_path / "x.csv.gz").rows() == [("1", "2")]
    (tmp_path / "y.csv").write_text("a,b\n")
    assert read(tmp_path / "y.csv").shape == (0, 2)
    assert read(write(FRAME.clear(), tmp_path / "z.parquet")).shape == (0, 3)


@pytest.mark.parametrize("end", [".parquet", ".arrow", ".csv", ".jsonl"])
def test_partitions_number_rows_over_all_parts_and_carry_their_keys(tmp_path, end):
    for year in (2023, 2024):
        write(FRAME[:2].with_columns(pl.col.a + year), tmp_path / f"year={year}" / f"part{end}")
    (tmp_path / "_SUCCESS").touch()
    with opened(str(tmp_path)) as table:
        got = table.collect(table.rows("row"))
    assert got["row"].to_list() == [0, 1, 2, 3]
    assert [str(value) for value in got["year"]] == ["2023", "2023", "2024", "2024"]
    assert [int(value) for value in got["a"]] == [2024, 2025, 2025, 2026]
    assert read(tmp_path / "*" / f"part{end}").height == 4


def test_a_memory_target_is_copied_and_read(tmp_path):
    path = write(FRAME, tmp_path / "x.parquet")
    fsspec.filesystem("memory").pipe("/verify/k=1/x.parquet", path.read_bytes())
    assert read("memory://verify").equals(FRAME.with_columns(k=pl.lit("1")))
    with pytest.raises(InvalidInput, match="nothing to read"):
        read("memory://verify-nothing")
    with pytest.raises((InvalidInput, Unavailable), match="nosuch"):
        read("nosuch://verify")


def test_parts_that_differ_are_named(tmp_path):
    write(FRAME, tmp_path / "1.parquet")
    write(FRAME.with_columns(pl.col.a.cast(pl.Int32)), tmp_path / "2.parquet")
    with pytest.raises(InvalidInput, match=r"column 'a' is Int32 in 2.parquet and Int64 in 1.parquet"):
        read(tmp_path)
    write(FRAME.drop("c"), tmp_path / "2.parquet")
    with pytest.raises(InvalidInput, match=r"1.parquet has a column 'c' that 2.parquet lacks"):
        read(tmp_path)
    write(FRAME, tmp_path / "2.arrow")
    with pytest.raises(InvalidInput, match="mixes formats"):
        read(tmp_path)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"a,b\n1,2\n1,2,3\n", "line 3 has 3 values"),
        (b"a,b\n1,\xff\n", "line 2 is not UTF-8"),
        (b"a,\n1,2\n", "no name for column 2"),
        (b"a,a\n1,2\n", "names the column 'a' twice"),
        (b"", "is empty"),
    ],
)
def test_bad_text_is_named_with_its_line(tmp_path, content, words):
    (tmp_path / "x.csv").write_bytes(content)
    with pytest.raises(InvalidInput, match=words):
        read(tmp_path / "x.csv")


@pytest.mark.parametrize("end", [".parquet", ".arrow"])
def test_truncated_and_damaged_files(tmp_path, end):
    path = write(FRAME, tmp_path / f"x{end}")
    path.write_bytes(path.read_bytes()[:-30])
    with pytest.raises(InvalidInput, match="truncated"):
        read(path)


def test_a_file_that_changes_while_it_is_read_gives_no_verdict(tmp_path):
    path = write(FRAME, tmp_path / "x.parquet")
    with opened(str(path)) as table:
        write(FRAME.vstack(FRAME), path)
        with pytest.raises(InvalidInput, match=r"x\.parquet changed while it was read"):
            table.collect(table.scan())


def test_a_hundred_thousand_columns_are_refused_in_words(tmp_path):
    (tmp_path / "x.csv").write_text(",".join(f"c{n}" for n in range(100_000)) + "\n")
    with pytest.raises(InvalidInput, match=f"100,000 columns; up to {MOST_COLUMNS:,}"):
        read(tmp_path / "x.csv")


def test_nothing_and_unknown_formats(tmp_path):
    with pytest.raises(InvalidInput, match="holds no files"):
        read(tmp_path)
    (tmp_path / "x.bin").write_bytes(b"whatever")
    with pytest.raises(InvalidInput, match="not a known kind of table"):
        read(tmp_path)


@pytest.mark.parametrize("name", ["*", "^a.*$"])
def test_names_that_are_patterns_are_refused(tmp_path, name):
    write(pl.DataFrame({name: [1], "a": [2]}), tmp_path / "x.arrow")
    with pytest.raises(InvalidInput, match="read as a pattern"):
        read(tmp_path / "x.arrow")
