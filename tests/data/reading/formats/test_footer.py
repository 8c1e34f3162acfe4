"""Parquet footers: claims are read before Polars sees the file, and lies and damage are refused."""

from __future__ import annotations

import struct
import tracemalloc

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hauberk.core.errors import InvalidInput
from hauberk.data.reading.formats import read
from hauberk.data.reading.formats._footer import check_footer
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


def test_the_footer_says_what_the_table_holds(tmp_path, frame):
    frame.write_parquet(tmp_path / "x.parquet", row_group_size=20)
    claims = check_footer(tmp_path / "x.parquet")
    assert (claims.rows, claims.columns) == (50, 3)
    assert claims.unpacked > 50


@pytest.mark.parametrize("cut", [4, 5, 9, 100, 0.5])
def test_a_truncated_parquet_file_is_refused(tmp_path, frame, cut):
    frame.write_parquet(tmp_path / "x.parquet")
    raw = (tmp_path / "x.parquet").read_bytes()
    (tmp_path / "x.parquet").write_bytes(raw[: -cut if isinstance(cut, int) else int(len(raw) * cut)])
    with pytest.raises(InvalidInput, match=r"x\.parquet does not end with b'PAR1'.*truncated. Fetch it again"):
        read([tmp_path / "x.parquet"], TABLE)


def zigzag(value):
    value, found = value << 1, b""
    while value > 127:
        found += bytes([value & 127 | 128])
        value >>= 7
    return found + bytes([value])


def parquet_claiming(rows):
    # version, an empty schema, rows, one row group with an empty list of columns and the same rows
    group = b"\x19\x0c" + b"\x16" + zigzag(0) + b"\x16" + zigzag(rows) + b"\x00"
    footer = b"\x15\x02" + b"\x19\x0c" + b"\x16" + zigzag(rows) + b"\x19\x1c" + group + b"\x00"
    return b"PAR1" + footer + struct.pack("<I", len(footer)) + b"PAR1"


@pytest.mark.usefixtures("no_big_memory")
def test_a_footer_that_claims_ten_gigabytes_is_refused_before_polars_sees_it(tmp_path):
    (tmp_path / "x.parquet").write_bytes(parquet_claiming(10 * 2**27))
    with pytest.raises(InvalidInput, match=r"\(footer\) asks for 10\.0 GiB of memory; the ceiling is 8\.0 GiB"):
        check_footer(tmp_path / "x.parquet")


def test_a_footer_longer_than_its_file_is_refused(tmp_path):
    (tmp_path / "x.parquet").write_bytes(b"PAR1" + bytes(20) + struct.pack("<I", 2**31) + b"PAR1")
    with pytest.raises(InvalidInput, match=r"claims 2\.0 GiB, and the file can hold at most 20 B"):
        check_footer(tmp_path / "x.parquet")


@settings(max_examples=150, deadline=None)
@given(st.binary(max_size=200))
def test_any_footer_is_parsed_or_refused(tmp_path_factory, footer):
    path = tmp_path_factory.mktemp("parquet") / "x.parquet"
    path.write_bytes(b"PAR1" + footer + struct.pack("<I", len(footer)) + b"PAR1")
    with pytest.raises(InvalidInput):
        read([path], TABLE)
