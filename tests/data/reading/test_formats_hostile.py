"""Every bad file is refused with what was found, where, and what to do; none is unpickled or allocated for."""

from __future__ import annotations

import gzip
import io
import pickle
import struct
import tracemalloc
import zipfile
import zlib

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from hauberk.core.errors import InvalidInput
from hauberk.data.reading.formats import read
from hauberk.data.reading.formats._footer import check_footer
from hauberk.data.reading.formats._npy import read_npz
from hauberk.data.reading.formats.idx import read_array
from hauberk.data.reading.loading import DataSpec, load
from hauberk.data.reading.raw import Wanted

TABLE = Wanted("table", "", "", None, 1 << 30)
IMAGE = Wanted("image", "", "", None, 1 << 30)
PICTURES = np.arange(4 * 5 * 6, dtype=np.uint8).reshape(4, 5, 6)


def idx(array, *, claimed=None):
    shape = claimed or array.shape
    return bytes([0, 0, 8, len(shape)]) + struct.pack(f">{len(shape)}I", *shape) + array.tobytes()


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


# -- idx


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


# -- npz


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


# -- Parquet


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


# -- CSV


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


# -- pictures in folders


def picture(path, size=(6, 5), value=100, mode="RGB"):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new(mode, size, value if mode == "L" else (value, 20, 30)).save(path)


def png_claiming(width, height):
    def chunk(kind, body):
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    head = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", head)
        + chunk(b"IDAT", zlib.compress(bytes(1000)))
        + chunk(b"IEND", b"")
    )


def test_pictures_of_differing_sizes_are_named_and_can_be_resized(tmp_path):
    picture(tmp_path / "a/1.png")
    picture(tmp_path / "b/1.png", size=(60, 50))
    with pytest.raises(InvalidInput, match=r"b/1\.png is 60 x 50 pixels and a/1\.png is 6 x 5.*size = \d+"):
        read([tmp_path], IMAGE)
    assert read([tmp_path], Wanted("image", "", "", 8, 1 << 30)).train.x.shape == (2, 8, 8, 3)


@pytest.mark.parametrize("side", [5000, 20_000, 100_000])
@pytest.mark.usefixtures("no_big_memory")
def test_a_decompression_bomb_is_refused_from_its_header(tmp_path, side):
    picture(tmp_path / "a/1.png")
    (tmp_path / "a/2.png").write_bytes(png_claiming(side, side))
    with pytest.raises(InvalidInput, match=r"a/2\.png claims"):
        read([tmp_path], Wanted("image", "", "", 8, 1 << 30))


@pytest.mark.parametrize(
    ("content", "match"),
    [
        (b"", r"2\.png is empty"),
        (b"GIF89a" + bytes(50), r"a/2\.png cannot be read as PNG: it starts with b'GIF89a"),
        (b"P6\n2 2\n255\n" + bytes(12), "cannot be read as PNG"),
        (png_claiming(6, 5)[:-30], r"a/2\.png (cannot be decoded|is no readable)"),
    ],
)
def test_a_bad_picture_is_named(tmp_path, content, match):
    picture(tmp_path / "a/1.png")
    (tmp_path / "a/2.png").write_bytes(content)
    with pytest.raises(InvalidInput, match=match):
        read([tmp_path], IMAGE)


def test_pictures_together_stay_under_the_ceiling(tmp_path):
    for number in range(20):
        picture(tmp_path / f"a/{number}.png")
    with pytest.raises(InvalidInput, match=r"20 pictures.*ceiling"):
        read([tmp_path], Wanted("image", "", "", 64, 1 << 18))


def test_foreign_files_and_links_among_pictures_are_refused(tmp_path):
    picture(tmp_path / "a/1.png")
    (tmp_path / "a/model.pkl").write_bytes(b"x")
    with pytest.raises(InvalidInput, match=r"a/model\.pkl is not a PNG"):
        read([tmp_path], IMAGE)
    (tmp_path / "a/model.pkl").unlink()
    (tmp_path / "a/2.png").symlink_to("/etc/hostname")
    with pytest.raises(InvalidInput, match=r"a/2\.png"):
        read([tmp_path], IMAGE)


def test_the_official_gtsrb_layout_is_read_with_tracks_within_classes(tmp_path):
    for label in ("00000", "00014"):
        for track in range(2):
            for number in range(3):
                picture(tmp_path / label / f"{track:05d}_{number:05d}.ppm", value=40 * number)
        (tmp_path / label / f"GT-{label}.csv").write_text("Filename;Width\n")
    found = read([tmp_path], IMAGE).train
    assert found.x.shape == (12, 5, 6, 3)
    assert sorted(set(found.labels.tolist())) == ["00000", "00014"]
    assert sorted(set(found.groups.tolist())) == ["00000/00000", "00000/00001", "00014/00000", "00014/00001"]
