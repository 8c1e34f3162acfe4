"""Folders of pictures: bombs, foreign files and differing sizes are refused from headers; GTSRB's layout is read."""

from __future__ import annotations

import struct
import tracemalloc
import zlib

import pytest
from PIL import Image

from hauberk.core.errors import InvalidInput
from hauberk.data.reading.formats import read
from hauberk.data.reading.raw import Wanted

IMAGE = Wanted("image", "", "", None, 1 << 30)


@pytest.fixture
def no_big_memory():
    tracemalloc.start()
    yield
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 64 << 20, f"{peak} bytes were allocated for a tiny file"


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
