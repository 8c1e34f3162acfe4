"""Pictures and arrays as tables: a row a picture, and what is broken is a row too, never the end and never a pass."""

from __future__ import annotations

import gzip
import struct
import zlib

import numpy as np
import polars as pl
import pytest
from PIL import Image

from hauberk.core.errors import InvalidInput
from hauberk.data.verification.api import verify as verify_place
from hauberk.data.verification.inferring import infer
from hauberk.data.verification.opening import opened
from hauberk.data.verification.schema import parse_schema
from hauberk.data.verification.verifying import verify

RULES = """version = 1
[columns.path]
type = "text"
unique = true
[columns.label]
type = "text"
allowed = ["go", "stop"]
[columns.width]
type = "integer"
min = 8
max = 8
[columns.digest]
type = "text"
unique = true
[columns.broken]
type = "boolean"
allowed = [false]
[table]
other_columns = "allow"
"""


@pytest.fixture
def folder(tmp_path):
    rng = np.random.default_rng(5)
    for label in ("go", "stop"):
        (tmp_path / "set" / label).mkdir(parents=True)
        for at in range(4):
            picture = Image.fromarray(rng.integers(0, 256, (8, 8, 3), dtype=np.uint8))
            picture.save(tmp_path / "set" / label / f"{at}.png")
    (tmp_path / "set" / "readme.txt").write_text("beside")
    return tmp_path / "set"


def bomb(path):
    """A PNG of a few bytes whose header claims 50,000 x 50,000 pixels."""
    head = struct.pack(">IIBBBBB", 50_000, 50_000, 8, 2, 0, 0, 0)
    chunk = b"IHDR" + head
    end = b"\0\0\0\0IEND" + struct.pack(">I", zlib.crc32(b"IEND"))
    data = b"IDAT" + zlib.compress(b"\0")
    path.write_bytes(
        b"\x89PNG\r\n\x1a\n"
        + struct.pack(">I", 13) + chunk + struct.pack(">I", zlib.crc32(chunk))
        + struct.pack(">I", len(data) - 4) + data + struct.pack(">I", zlib.crc32(data)) + end
    )  # fmt: skip


def broken(place, text=RULES):
    with opened(str(place)) as table:
        done = verify(table, parse_schema(text))
        return done, {one.rule: [sample.row for sample in one.samples] for one in done.results if one.violations}


def test_good_pictures_pass_and_figures_are_theirs(folder):
    done, wrong = broken(folder)
    assert done.ok, wrong
    assert done.rows == 8
    with opened(str(folder)) as table:
        first = table.scan().collect().row(0, named=True)
    pixels = np.asarray(Image.open(folder / "go" / "0.png"))
    assert (first["path"], first["label"], first["mode"]) == ("go/0.png", "go", "RGB")
    assert (first["low"], first["high"]) == (pixels.min(), pixels.max())
    assert first["mean"] == pytest.approx(pixels.mean())


def test_what_is_wrong_is_found_by_row(folder):
    whole = (folder / "go" / "1.png").read_bytes()
    (folder / "go" / "1.png").write_bytes(whole[: len(whole) // 2])
    bomb(folder / "go" / "2.png")
    (folder / "go" / "3.png").write_bytes(b"not a picture")
    Image.open(folder / "stop" / "0.png").save(folder / "stop" / "1.png", compress_level=0)
    Image.open(folder / "stop" / "2.png").resize((9, 8)).save(folder / "stop" / "3.png")
    done, wrong = broken(folder)
    assert wrong["broken: allowed"] == [1, 2, 3]
    assert wrong["width: range"] == [7]
    # The copy has other bytes and the same pixels.
    assert wrong["digest: unique"] == [4, 5]
    assert wrong["width: null"] == [1, 2, 3]
    assert not done.ok
    with opened(str(folder)) as table:
        why = table.scan().filter(pl.col("broken")).collect()["problem"].to_list()
    assert "truncated" in why[0]
    assert "pixels" in why[1]
    assert "damaged" in why[2]


def test_without_a_schema_broken_pictures_are_found_and_whole_ones_pass(folder, tmp_path):
    assert verify_place(folder).ok
    np.savez(tmp_path / "x.npz", x=np.arange(48).reshape(3, 4, 4), y=np.arange(3))
    assert verify_place(tmp_path / "x.npz").ok
    bomb(folder / "go" / "2.png")
    found = [one for one in verify_place(folder).rules.results if one.violations]
    assert [(one.rule, one.violations) for one in found] == [("pictures: whole", 1)]
    assert found[0].samples[0].values["path"] == "go/2.png"


def test_a_schema_is_inferred_and_accepts_its_own_folder(folder):
    with opened(str(folder)) as table:
        text = infer(table)
    done, wrong = broken(folder, text)
    assert done.ok, wrong
    (folder / "go" / "0.png").write_bytes(b"\x89PNG\r\n\x1a\nnothing")
    assert "broken: allowed" in broken(folder, text)[1] or "width: null" in broken(folder, text)[1]


def test_a_picture_that_changes_gives_no_verdict(folder):
    with opened(str(folder)) as table:
        (folder / "go" / "0.png").write_bytes(b"")
        with pytest.raises(InvalidInput, match="changed while it was read"):
            verify(table, parse_schema(RULES))


def idx(array, path):
    head = bytes([0, 0, 8, array.ndim]) + struct.pack(f">{array.ndim}I", *array.shape)
    path.write_bytes(gzip.compress(head + array.astype(np.uint8).tobytes()))


def test_idx_pairs_have_labels_and_figures(tmp_path):
    rng = np.random.default_rng(5)
    x, y = rng.integers(0, 256, (1500, 4, 5)), rng.integers(0, 3, 1500)
    idx(x, tmp_path / "t-images-idx3-ubyte.gz")
    idx(y, tmp_path / "t-labels-idx1-ubyte.gz")
    with opened(str(tmp_path / "t-*-ubyte.gz")) as table:
        frame = table.scan().collect()
    assert frame["label"].to_list() == [str(one) for one in y]
    assert frame["mean"].to_numpy() == pytest.approx(x.reshape(1500, -1).mean(axis=1))
    assert set(frame.select("width", "height").unique().rows()) == {(5, 4)}
    idx(y[:-1], tmp_path / "t-labels-idx1-ubyte.gz")
    with pytest.raises(InvalidInput, match="different lengths"), opened(str(tmp_path / "t-*-ubyte.gz")):
        pass


def test_npz_of_pictures_and_of_tables(tmp_path):
    rng = np.random.default_rng(5)
    x = rng.random((10, 3, 6, 7), np.float32)
    x[4, 0, 0, 0] = np.nan
    labels = np.array(["a", "b"] * 5)
    np.savez(tmp_path / "p.npz", x_train=x, y_train=labels, x_test=x[:2], y_test=labels[:2])
    with opened(str(tmp_path / "p.npz")) as table:
        frame = table.scan().collect()
    assert frame["side"].to_list() == ["train"] * 10 + ["test"] * 2
    assert frame["broken"].arg_true().to_list() == [4]
    assert set(frame.select("width", "height", "mode").unique().rows()) == {(7, 6, "3 x float32")}
    assert frame["digest"][0] == frame["digest"][10]
    np.savez(tmp_path / "t.npz", x=np.array([[1.0, np.inf], [np.nan, 2]]), y=[0, 1])
    done, wrong = broken(
        tmp_path / "t.npz",
        'version = 1\n[columns.x0]\ntype = "float"\n[columns.x1]\ntype = "float"\n[columns.y]\ntype = "integer"\n',
    )
    assert wrong == {"x0: nan": [1], "x1: infinity": [0]}
    assert done.rows == 2


def test_arrays_that_are_no_table_are_refused(tmp_path):
    np.savez(tmp_path / "a.npz", x=np.zeros((2, 3)), y=np.zeros(3))
    np.savez(tmp_path / "b.npz", x=np.zeros((2, 3)), y=np.float64(1))
    np.savez(tmp_path / "c.npz", x=np.zeros((2, 3, 3)), z=np.zeros((2, 3, 3)))
    (tmp_path / "d.npz").write_bytes((tmp_path / "a.npz").read_bytes()[:200])
    for name, words in (
        ("a", "different lengths"),
        ("b", "single value"),
        ("c", "one of them"),
        ("d", "truncated"),
    ):
        with pytest.raises(InvalidInput, match=words), opened(str(tmp_path / f"{name}.npz")):
            pass
