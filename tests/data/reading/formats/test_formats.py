"""All formats: empty, foreign and absent files are refused by name."""

from __future__ import annotations

import pytest

from hauberk.core.errors import InvalidInput
from hauberk.data.reading.formats import read
from hauberk.data.reading.loading import DataSpec, load
from hauberk.data.reading.raw import Wanted

TABLE = Wanted("table", "", "", None, 1 << 30)


@pytest.mark.parametrize("name", ["x.parquet", "x.csv", "x.npz", "x-idx3-ubyte", "x-idx3-ubyte.gz", "x.bin"])
def test_an_empty_file_is_named(tmp_path, name):
    (tmp_path / name).touch()
    with pytest.raises(InvalidInput, match=rf"{name} is empty: 0 bytes\. Fetch it again"):
        read([tmp_path / name], TABLE)


@pytest.mark.parametrize(
    ("name", "expected"),
    [("x.parquet", "PAR1"), ("x.npz", "PK"), ("x-idx3-ubyte", "00 00 08 03"), ("x.bin", "no known format")],
)
def test_wrong_magic_says_what_was_expected(tmp_path, name, expected):
    (tmp_path / name).write_bytes(b"GIF89a" + bytes(100))
    with pytest.raises(InvalidInput, match=expected):
        read([tmp_path / name], TABLE)


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(InvalidInput, match=r"cannot read .*nothing\.csv: No such file"):
        load(DataSpec("table", (str(tmp_path / "nothing.csv"),), target="y"), seed=0)
