"""NPZ archives: objects are never unpickled, and bombs, duplicates and damage are refused."""

from __future__ import annotations

import io
import pickle
import struct
import tracemalloc
import zipfile

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hauberk.core.errors import InvalidInput
from hauberk.data.reading.formats import read
from hauberk.data.reading.formats._npy import read_npz
from hauberk.data.reading.raw import Wanted

IMAGE = Wanted("image", "", "", None, 1 << 30)


PICTURES = np.arange(4 * 5 * 6, dtype=np.uint8).reshape(4, 5, 6)


@pytest.fixture
def no_big_memory():
    tracemalloc.start()
    yield
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 64 << 20, f"{peak} bytes were allocated for a tiny file"


def npz(path, members, *, method=zipfile.ZIP_DEFLATED):
    with zipfile.ZipFile(path, "w", method) as archive:
        for name, content in members:
            archive.writestr(name, content)
    return path


def npy(array, *, shape=None):
    buffer = io.BytesIO()
    np.lib.format.write_array(buffer, array)
    raw = buffer.getvalue()
    return raw if shape is None else raw.replace(str(array.shape).encode(), str(shape).encode(), 1)


class _Bomb:
    ran = False

    def __reduce__(self):
        return (setattr, (_Bomb, "ran", True))


def test_an_object_array_is_refused_and_never_unpickled(tmp_path):
    array = np.empty(1, object)
    array[0] = _Bomb()
    np.savez(tmp_path / "x.npz", x=array, y=np.zeros(1))
    with pytest.raises(InvalidInput, match=r"member 'x.npy' holds object values.*never loaded"):
        read([tmp_path / "x.npz"], IMAGE)
    assert not _Bomb.ran


def test_a_pickle_in_an_archive_or_alone_is_refused(tmp_path):
    npz(tmp_path / "x.npz", [("x.npy", pickle.dumps(_Bomb()))])
    with pytest.raises(InvalidInput, match="no valid array header"):
        read_npz(tmp_path / "x.npz")
    (tmp_path / "y.npz").write_bytes(pickle.dumps(_Bomb()))
    with pytest.raises(InvalidInput, match="another format"):
        read([tmp_path / "y.npz"], IMAGE)
    assert not _Bomb.ran


@pytest.mark.usefixtures("no_big_memory")
def test_a_header_that_claims_ten_gigabytes_in_a_tiny_member_is_refused(tmp_path):
    npz(tmp_path / "x.npz", [("x.npy", npy(np.zeros((2, 3), np.uint8), shape=(100000, 100000)))])
    with pytest.raises(InvalidInput, match=r"claims shape \(100000, 100000\) of uint8, 9\.3 GiB, and holds"):
        read_npz(tmp_path / "x.npz")


@pytest.mark.usefixtures("no_big_memory")
def test_a_zip_bomb_is_refused_before_it_is_inflated(tmp_path):
    path = npz(tmp_path / "x.npz", [("x.npy", bytes(40 << 20))])
    with pytest.raises(InvalidInput, match=r"asks for 40\.0 MiB of memory; the ceiling is 8\.0 MiB"):
        read_npz(path, ceiling=8 << 20)


def test_members_that_together_pass_the_ceiling_are_refused(tmp_path):
    path = npz(tmp_path / "x.npz", [(f"{i}.npy", bytes(1 << 20)) for i in range(4)])
    with pytest.raises(InvalidInput, match=r"x\.npz asks for 4\.0 MiB"):
        read_npz(path, ceiling=3 << 20)


def test_a_size_that_deflate_cannot_reach_is_refused(tmp_path):
    path = npz(tmp_path / "x.npz", [("x.npy", npy(np.zeros(4)))])
    raw = bytearray(path.read_bytes())
    at = raw.rindex(b"PK\x01\x02")
    raw[at + 24 : at + 28] = struct.pack("<I", 0xFFFFFFF0)
    path.write_bytes(raw)
    with pytest.raises(InvalidInput, match=r"claims 4\.0 GiB, and the file can hold at most"):
        read_npz(path)


@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_a_name_twice_in_an_archive_is_refused(tmp_path):
    path = npz(tmp_path / "x.npz", [("x.npy", npy(np.zeros(4))), ("x.npy", npy(np.ones(4)))])
    with pytest.raises(InvalidInput, match="twice"):
        read_npz(path)


@settings(max_examples=150, deadline=None)
@given(st.data())
def test_a_damaged_archive_is_read_as_it_was_or_refused(tmp_path_factory, data):
    path = tmp_path_factory.mktemp("npz") / "x.npz"
    np.savez_compressed(path, x=PICTURES, y=np.arange(4))
    raw = bytearray(path.read_bytes())
    raw[data.draw(st.integers(0, len(raw) - 1))] ^= data.draw(st.integers(1, 255))
    path.write_bytes(raw)
    try:
        found = read_npz(path)
    except InvalidInput:
        return
    assert all(array.dtype.kind in "biufUS" for array in found.values())
