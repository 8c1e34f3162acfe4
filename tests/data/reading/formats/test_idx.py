"""IDX: arrays read back, and headers that lie about sizes are refused."""

from __future__ import annotations

import gzip
import struct
import tracemalloc

import numpy as np
import pytest

from hauberk.core.errors import InvalidInput
from hauberk.data.reading.formats import read
from hauberk.data.reading.formats.idx import read_array
from hauberk.data.reading.raw import Wanted

IMAGE = Wanted("image", "", "", None, 1 << 30)


PICTURES = np.arange(4 * 5 * 6, dtype=np.uint8).reshape(4, 5, 6)


def idx(array, *, claimed=None):
    shape = claimed or array.shape
    return bytes([0, 0, 8, len(shape)]) + struct.pack(f">{len(shape)}I", *shape) + array.tobytes()


@pytest.fixture
def no_big_memory():
    tracemalloc.start()
    yield
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 64 << 20, f"{peak} bytes were allocated for a tiny file"


def test_idx_reads_back_plain_and_gzip(tmp_path):
    (tmp_path / "a").write_bytes(idx(PICTURES))
    (tmp_path / "a.gz").write_bytes(gzip.compress(idx(PICTURES)))
    np.testing.assert_array_equal(read_array(tmp_path / "a"), PICTURES)
    np.testing.assert_array_equal(read_array(tmp_path / "a.gz"), PICTURES)


@pytest.mark.parametrize("pack", [bytes, gzip.compress])
@pytest.mark.usefixtures("no_big_memory")
def test_idx_header_of_ten_gigabytes_in_a_tiny_file_is_refused(tmp_path, pack):
    (tmp_path / "x-idx3-ubyte").write_bytes(pack(idx(PICTURES, claimed=(10_000, 1000, 1000))))
    with pytest.raises(InvalidInput, match=r"claims 9\.3 GiB, and the file can hold at most"):
        read_array(tmp_path / "x-idx3-ubyte", ceiling=1 << 40)


@pytest.mark.usefixtures("no_big_memory")
def test_idx_above_the_ceiling_is_refused_even_when_the_bytes_could_be_there(tmp_path):
    (tmp_path / "x").write_bytes(gzip.compress(idx(np.zeros((1000, 100, 100), np.uint8))))
    with pytest.raises(InvalidInput, match=r"asks for 9\.5 MiB of memory; the ceiling is 1\.0 MiB"):
        read_array(tmp_path / "x", ceiling=1 << 20)


@pytest.mark.parametrize("pack", [bytes, gzip.compress])
def test_idx_that_is_too_short_or_too_long_is_refused(tmp_path, pack):
    whole = pack(idx(PICTURES))
    (tmp_path / "x").write_bytes(whole[:-4])
    with pytest.raises(InvalidInput, match="truncated"):
        read_array(tmp_path / "x")
    (tmp_path / "x").write_bytes(pack(idx(PICTURES) + b"!"))
    with pytest.raises(InvalidInput, match="has bytes after the 120"):
        read_array(tmp_path / "x")


def test_idx_pair_of_different_lengths_is_refused(tmp_path):
    (tmp_path / "i-idx3-ubyte").write_bytes(idx(PICTURES))
    (tmp_path / "l-idx1-ubyte").write_bytes(idx(np.zeros(3, np.uint8)))
    with pytest.raises(InvalidInput, match="4 pictures and l-idx1-ubyte holds 3 labels"):
        read([tmp_path / "i-idx3-ubyte", tmp_path / "l-idx1-ubyte"], IMAGE)
    with pytest.raises(InvalidInput, match="one idx file of pictures and one of labels"):
        read([tmp_path / "i-idx3-ubyte"], IMAGE)
