"""CSV: types come from all rows, and errors name their line."""

from __future__ import annotations

import gzip
import tracemalloc

import polars as pl
import pytest

from hauberk.core.errors import InvalidInput
from hauberk.data.reading.formats import read
from hauberk.data.reading.raw import Wanted

TABLE = Wanted("table", "", "", None, 1 << 30)


@pytest.fixture
def frame():
    return pl.DataFrame(
        {"a": list(range(50)), "b": [f"w{i % 3}" for i in range(50)], "y": [i % 2 for i in range(50)]}
    )


@pytest.fixture
def no_big_memory():
    tracemalloc.start()
    yield
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 64 << 20, f"{peak} bytes were allocated for a tiny file"


def csv(tmp_path, text, name="x.csv"):
    (tmp_path / name).write_bytes(text if isinstance(text, bytes) else text.encode())
    return [tmp_path / name]


@pytest.mark.parametrize(
    ("text", "match"),
    [
        (b"a,b\n1,\xff\xfe\n", r"x\.csv, line 2 is not UTF-8"),
        ("a,b\n1,2\n3,4,5\n", r"x\.csv, line 3 has 3 values, and the header names 2 columns"),
        ("39, State-gov, 77516\n50, Private, 83311\n", "no header line. Add a line with the column names"),
        ("a,b,a\n1,2,3\n", "names the column 'a' twice"),
        ("a,b\n", "0 rows"),
        ("\n\n", "line 1 is blank"),
        ("a,b\n" + "1,2\n" * 20 + "n/a,3\n", r"row 20, column 'a' holds 'n/a' among numbers"),
        (b"a,b\n1,\x00\n", "not text"),
    ],
)
def test_a_bad_csv_is_refused_with_its_line(tmp_path, text, match):
    with pytest.raises(InvalidInput, match=match):
        read(csv(tmp_path, text), TABLE)


@pytest.mark.usefixtures("no_big_memory")
def test_a_compressed_csv_stops_at_the_ceiling(tmp_path):
    paths = csv(tmp_path, gzip.compress(b"a,b\n" + b"1,2\n" * (4 << 20)), "x.csv.gz")
    with pytest.raises(InvalidInput, match=r"the ceiling is 1\.0 MiB"):
        read(paths, Wanted("table", "", "", None, 1 << 20))


def test_csv_types_come_from_all_rows_and_question_marks_are_missing(tmp_path):
    frame = read(csv(tmp_path, "a; b ;c;d\n1; x;0.5;true\n2;?;1e3;False\n;z; 7;true\n"), TABLE).train.frame
    assert frame.columns == ["a", "b", "c", "d"]
    assert frame.to_dict(as_series=False) == {
        "a": [1, 2, None],
        "b": ["x", None, "z"],
        "c": [0.5, 1000.0, 7.0],
        "d": [True, False, True],
    }
