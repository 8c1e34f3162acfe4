"""Splitting: the halves add up, hold what they should, and nothing is left half-written."""

from __future__ import annotations

import os
import stat
import tempfile
from contextlib import suppress

import polars as pl
import pytest

from hauberk.core.disk import Disk
from hauberk.core.errors import HauberkError, InvalidInput, Unavailable
from hauberk.data.verification.opening import opened
from hauberk.data.verification.schema import parse_schema
from hauberk.data.verification.splitting import split
from hauberk.data.verification.verifying import verify

SCHEMA = parse_schema(
    """version = 1
[columns.a]
type = "integer"
nullable = true
max = 5
unique = true
[columns.b]
type = "text"
[[groups]]
name = "few"
by = ["b"]
max_rows = 3
"""
)
FRAME = pl.DataFrame({"a": [1, 9, 3, 3, None, None, 4], "b": ["x", "y", "z", "z", "w", "w\n,", "x"]})
WRONG = [1, 2, 3]
READERS = {
    ".parquet": (pl.DataFrame.write_parquet, pl.read_parquet),
    ".arrow": (pl.DataFrame.write_ipc, pl.read_ipc),
    ".csv": (pl.DataFrame.write_csv, pl.read_csv),
    ".jsonl": (pl.DataFrame.write_ndjson, pl.read_ndjson),
}


def run(place, **options):
    with opened(str(place)) as table:
        verified = verify(table, SCHEMA)
        return split(table, SCHEMA, verified, **options)


@pytest.mark.parametrize("end", list(READERS))
def test_halves_add_up_in_the_format_they_came_in(tmp_path, end):
    write, read = READERS[end]
    write(FRAME, tmp_path / f"x{end}")
    wrong, right = tmp_path / "out" / f"q{end}", tmp_path / "out" / f"c{end}"
    counts = run(tmp_path / f"x{end}", quarantine=wrong, clean=right)
    assert (counts.quarantined, counts.clean) == (3, 4)
    assert read(wrong)["hauberk_row"].to_list() == WRONG
    assert read(wrong).drop("hauberk_row").rows() == [FRAME.row(at) for at in WRONG]
    assert read(right).rows() == [FRAME.row(at) for at in range(7) if at not in WRONG]
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == [f"c{end}", f"q{end}"]
    with opened(str(right)) as table:
        assert verify(table, SCHEMA).ok


def test_one_half_alone_and_text_that_is_no_number_stays_as_it_was(tmp_path):
    (tmp_path / "x.csv").write_text("a,b\n1,x\nabc,y\n")
    counts = run(tmp_path / "x.csv", quarantine=tmp_path / "q.csv", clean=None)
    assert (counts.quarantined, counts.clean) == (1, 1)
    assert (tmp_path / "q.csv").read_text() == "hauberk_row,a,b\n1,abc,y\n"


def test_groups_are_set_aside_whole(tmp_path):
    frame = pl.DataFrame({"a": [1, 2, 3, 4, 5], "b": ["x", "x", "y", "x", "x"]})
    frame.write_parquet(tmp_path / "x.parquet")
    run(tmp_path / "x.parquet", quarantine=tmp_path / "q.parquet", clean=tmp_path / "c.parquet")
    assert pl.read_parquet(tmp_path / "q.parquet")["hauberk_row"].to_list() == [0, 1, 3, 4]


class Broken(Disk):
    def rename(self, source, target):  # noqa: ARG002
        raise OSError(28, "No space left on device")


def test_a_failing_disk_leaves_nothing_and_sources_are_never_overwritten(tmp_path):
    FRAME.write_parquet(tmp_path / "x.parquet")
    with pytest.raises(HauberkError, match="no space left"):
        run(tmp_path / "x.parquet", quarantine=tmp_path / "q.parquet", clean=tmp_path / "c.parquet", disk=Broken())
    assert [path.name for path in tmp_path.iterdir()] == ["x.parquet"]
    with pytest.raises(InvalidInput, match="among, the verified files"):
        run(tmp_path / "x.parquet", quarantine=tmp_path / "x.parquet", clean=None)
    with pytest.raises(InvalidInput, match="named for both"):
        run(tmp_path / "x.parquet", quarantine=tmp_path / "q.parquet", clean=tmp_path / "q.parquet")


class Stopped(Disk):
    """A machine that dies at the n-th step of putting files into place."""

    def __init__(self, step):
        self.left = step

    def _step(self):
        self.left -= 1
        if self.left < 0:
            raise KeyboardInterrupt

    def rename(self, source, target):
        self._step()
        super().rename(source, target)

    def remove(self, path):
        self._step()
        super().remove(path)


@pytest.mark.parametrize("step", range(4))
def test_a_clean_file_that_is_there_belongs_to_the_quarantine(tmp_path, step):
    places = {"quarantine": tmp_path / "out" / "q.parquet", "clean": tmp_path / "out" / "c.parquet"}
    pl.concat([FRAME, FRAME]).write_parquet(tmp_path / "old.parquet")
    run(tmp_path / "old.parquet", **places)
    FRAME.write_parquet(tmp_path / "new.parquet")
    with suppress(KeyboardInterrupt):
        run(tmp_path / "new.parquet", **places, disk=Stopped(step))
    rows = [pl.read_parquet(place).height for place in places.values() if place.exists()]
    assert rows == {0: [10, 4], 1: [10], 2: [3], 3: [3, 4]}[step]


@pytest.mark.parametrize("end", [".csv", ".jsonl"])
def test_a_full_disk_is_not_taken_for_damage(tmp_path, end, monkeypatch):
    READERS[end][0](FRAME, tmp_path / f"x{end}")
    (tmp_path / "out").mkdir()
    full = tmp_path / "full"
    try:
        os.mknod(full, 0o600 | stat.S_IFCHR, os.makedev(1, 7))
        full.open("wb").close()
    except OSError as error:
        pytest.skip(f"no device node can be made and opened here: {error}")

    def draft(dir, prefix, suffix):  # noqa: A002 - the name in the standard library
        (dir / f"{prefix}x{suffix}").symlink_to(full)
        return os.open(full, os.O_WRONLY), str(dir / f"{prefix}x{suffix}")

    monkeypatch.setattr(tempfile, "mkstemp", draft)
    with pytest.raises(Unavailable, match="no space left while writing"):
        run(tmp_path / f"x{end}", quarantine=tmp_path / "out" / f"q{end}", clean=None)
    assert not list((tmp_path / "out").iterdir())


def test_a_rule_that_failed_refuses_the_split(tmp_path):
    FRAME.write_parquet(tmp_path / "x.parquet")
    schema = parse_schema('version = 1\n[columns.a]\n[columns.b]\n[[rules]]\nname = "r"\nexpression = "q > 1"\n')
    with opened(str(tmp_path / "x.parquet")) as table, pytest.raises(InvalidInput, match="'r' was not evaluated"):
        split(table, schema, verify(table, schema), quarantine=tmp_path / "q.parquet", clean=None)
