from __future__ import annotations

import errno
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from hauberk.core.errors import InvalidInput, Unavailable
from hauberk.data.poison import repair_files
from hauberk.data.poison.repair import repair
from hauberk.data.poison.repair_files import write_repaired
from hauberk.data.poison.screening import Screening
from hauberk.data.reading.loading import DataSpec, load_whole


def screened(side, bad, wrong):
    scores, names = np.zeros(len(side)), np.full(len(side), "", "U20")
    scores[bad], names[bad] = 4.0, "floods"
    scores[wrong], names[wrong] = 4.0, "label-errors"
    suggested = np.full(len(side), -1, np.int64)
    suggested[wrong] = (side.y[wrong] + 1) % len(side.classes)
    flags = scores > 2.3
    reasons = {int(row): f'reason, of "{row}"\nin two lines' for row in np.flatnonzero(flags)}
    return Screening(scores, flags, names, reasons, suggested, side.classes, 0.005, (), (), {})


@pytest.fixture
def frame():
    rng = np.random.default_rng(0)
    text = ["=1+1", "a,b", 'say "x"', "two\nlines", "\u202eabc", None]
    return pl.DataFrame(
        {
            "number": rng.normal(size=120),
            "text": [text[i % 6] for i in range(120)],
            "unused": [None if i % 3 else float(i) for i in range(120)],
            "label": [("no", "yes", "maybe")[i % 3] for i in range(120)],
        }
    )


def read(path):
    return {
        ".parquet": pl.read_parquet,
        ".csv": pl.read_csv,
        ".jsonl": lambda path: pl.read_ndjson(path, infer_schema_length=None),
    }[path.suffix](path)


@pytest.mark.parametrize("ending", [".parquet", ".csv", ".jsonl"])
def test_the_two_files_hold_every_row_once_with_its_values(ending, frame, tmp_path):
    source = tmp_path / "in.parquet"
    frame.write_parquet(source)
    spec = DataSpec("table", (str(source),), target="label", drop=("unused",))
    side = load_whole(spec).side
    found = screened(side, [3, 70], [5])
    done = repair(found, side.y)
    clean, aside = tmp_path / f"clean{ending}", tmp_path / f"quarantine{ending}"
    before = source.read_bytes()
    written = write_repaired(spec, found, done, clean=clean, quarantine=aside)
    assert (written.rows, written.clean, written.quarantined, written.relabelled) == (120, 117, 3, 0)
    kept, bad = read(clean), read(aside)
    assert bad["hauberk_row"].to_list() == [3, 5, 70]
    assert bad["hauberk_detector"].to_list() == ["floods", "label-errors", "floods"]
    assert "in two lines" in bad["hauberk_reason"][0]
    again = [None] * 120
    for row, values in zip(done.kept, kept.iter_rows(), strict=True):
        again[row] = values
    for row, values in zip([3, 5, 70], bad.select(frame.columns).iter_rows(), strict=True):
        again[row] = values
    assert again == list(frame.iter_rows())
    assert source.read_bytes() == before
    assert {path.name for path in tmp_path.iterdir()} == {"in.parquet", clean.name, aside.name}


def test_a_new_label_is_a_value_of_the_file_and_the_old_one_stands_beside_it(frame, tmp_path):
    source = tmp_path / "in.parquet"
    frame.with_columns(pl.col("label").replace_strict({"no": 10, "yes": 20, "maybe": 30})).write_parquet(source)
    spec = DataSpec("table", (str(source),), target="label", drop=("unused",))
    side = load_whole(spec).side
    found = screened(side, [3], [5, 6])
    done = repair(found, side.y, relabel=True)
    clean = tmp_path / "clean.parquet"
    assert write_repaired(spec, found, done, clean=clean, quarantine=tmp_path / "q.parquet").relabelled == 2
    kept = pl.read_parquet(clean).filter(pl.col("hauberk_relabelled_from").is_not_null())
    assert kept["hauberk_relabelled_from"].to_list() == [30, 10]
    assert kept["label"].to_list() == [10, 20]
    assert "was changed" in kept["hauberk_reason"][0]
    assert pl.read_parquet(tmp_path / "q.parquet")["label"].to_list() == [10]


def test_pictures_are_split_with_their_groups_and_reasons(tmp_path):
    rng = np.random.default_rng(0)
    x, y = rng.integers(0, 255, (90, 6, 6, 3), dtype=np.uint8), np.arange(90) % 3 + 7
    source = tmp_path / "in.npz"
    np.savez(source, x=x, y=y, group=np.arange(90) // 2)
    spec = DataSpec("image", (str(source),))
    side = load_whole(spec).side
    found = screened(side, [0, 88], [4])
    done = repair(found, side.y, relabel=True)
    write_repaired(spec, found, done, clean=tmp_path / "c.npz", quarantine=tmp_path / "q.npz")
    clean, aside = np.load(tmp_path / "c.npz"), np.load(tmp_path / "q.npz")
    assert np.array_equal(clean["x"], x[done.kept])
    assert aside["hauberk_row"].tolist() == [0, 88]
    assert np.array_equal(aside["x"], x[[0, 88]])
    assert clean["group"].tolist() == (np.arange(90) // 2)[done.kept].tolist()
    assert clean["y"][3] == 9  # row 4 was 8
    assert clean["hauberk_relabelled_from"][3] == 8
    assert len(load_whole(DataSpec("image", (str(tmp_path / "c.npz"),))).side) == 88


def test_no_file_is_overwritten_and_endings_are_checked(frame, tmp_path):
    source, there = tmp_path / "in.parquet", tmp_path / "there.parquet"
    frame.write_parquet(source)
    there.write_bytes(b"mine")
    spec = DataSpec("table", (str(source),), target="label", drop=("unused",))
    side = load_whole(spec).side
    found = screened(side, [3], [])
    done = repair(found, side.y)
    good = tmp_path / "new.parquet"
    for clean, aside, word in (
        (source, good, "source files"),
        (there, good, "exists"),
        (good, good, "two files"),
        (tmp_path / "new.xlsx", good, "parquet"),
    ):
        with pytest.raises(InvalidInput, match=word):
            write_repaired(spec, found, done, clean=clean, quarantine=aside)
    assert there.read_bytes() == b"mine"
    frame.head(100).write_parquet(source)
    with pytest.raises(InvalidInput, match="100 rows"):
        write_repaired(spec, found, done, clean=good, quarantine=tmp_path / "q.csv")
    assert {path.name for path in tmp_path.iterdir()} == {"in.parquet", "there.parquet"}


def test_a_disk_that_fills_up_leaves_neither_file(frame, tmp_path, monkeypatch):
    source = tmp_path / "in.parquet"
    frame.write_parquet(source)
    spec = DataSpec("table", (str(source),), target="label", drop=("unused",))
    side = load_whole(spec).side
    found = screened(side, [3], [])
    moves = []

    def replace(self, target):
        moves.append(target)
        if len(moves) == 2:
            raise OSError(errno.ENOSPC, "No space left on device")
        return original(self, target)

    original = Path.replace
    monkeypatch.setattr(repair_files.Path, "replace", replace)
    with pytest.raises(Unavailable, match="no space"):
        write_repaired(
            spec, found, repair(found, side.y), clean=tmp_path / "c.parquet", quarantine=tmp_path / "q.parquet"
        )
    assert len(moves) == 2
    assert [path.name for path in tmp_path.iterdir()] == ["in.parquet"]
