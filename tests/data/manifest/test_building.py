"""Building manifests: what is read, what the fast mode trusts, and files that change meanwhile."""

from __future__ import annotations

import os
import threading

import pytest

from hauberk.core.errors import InvalidInput
from hauberk.core.progress import Quiet
from hauberk.data.manifest import build, compare
from hauberk.data.manifest.model import BLOCK
from hauberk.data.manifest.places import Local


def made(*places, **how):
    return build([str(place) for place in places], **how).manifest


def says(before, after):
    return [str(change) for change in compare(before, after)]


def test_a_change_is_seen_although_size_and_time_stay_also_in_fast_mode(table):
    before = made(table)
    path = table / "part-0.parquet"
    status = path.stat()
    with path.open("r+b") as file:  # in place, so that the inode stays
        file.seek(30)
        byte = file.read(1)
        file.seek(30)
        file.write(bytes([byte[0] ^ 1]))
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))
    for fast in (False, True):
        after = build([str(table)], earlier=before, fast=fast)
        assert says(before, after.manifest) == ["row group 0 of part-0.parquet (100 rows) changed"]
    assert after.hashed == path.stat().st_size
    again = build([str(table)], earlier=after.manifest, fast=True)
    assert (again.hashed, again.believed) == (0, before.size)


def test_the_fast_mode_believes_what_the_file_system_says_and_needs_an_earlier_manifest(tmp_path):
    path = tmp_path / "rows.csv"
    path.write_bytes(b"x" * (2 * BLOCK))
    before = made(path)
    path.write_bytes(b"y" * BLOCK + b"x" * BLOCK + b"z")
    fast = build([str(path)], earlier=before, fast=True)
    # What the fast mode does not see, as it says: a change in the middle of a file that grew.
    assert (fast.manifest.root == made(path).root, fast.believed) == (False, BLOCK)
    table = path
    with pytest.raises(InvalidInput, match="leave fast out"):
        build([str(table)], fast=True)


def test_after_an_append_fast_mode_hashes_what_is_new(tmp_path):
    path = tmp_path / "rows.csv"
    path.write_bytes(b"x" * (3 * BLOCK + 100))
    before = made(path)
    with path.open("ab") as file:
        file.write(b"y" * (BLOCK + 5))
    fast = build([str(path)], earlier=before, fast=True)
    assert fast.manifest.root == made(path).root
    assert fast.believed == 3 * BLOCK
    assert says(before, fast.manifest) == [
        f"block 3 of rows.csv (bytes {3 * BLOCK:,} to {4 * BLOCK:,}) changed",
        f"block 4 of rows.csv (bytes {4 * BLOCK:,} to {4 * BLOCK + 105:,}) was added",
    ]
    path.write_bytes(b"z" * (5 * BLOCK))  # grown, and no append
    assert build([str(path)], earlier=before, fast=True).believed == 0


def test_new_files_of_a_set_are_all_that_fast_mode_reads(table):
    before = made(table)
    (table / "part-3.parquet").write_bytes((table / "part-0.parquet").read_bytes())
    fast = build([str(table)], earlier=before, fast=True)
    assert fast.hashed == (table / "part-3.parquet").stat().st_size
    assert says(before, fast.manifest) == ["file part-3.parquet was added"]


def test_a_file_that_changes_while_it_is_read_is_an_error(pictures):
    class Meddling(Quiet):
        def update(self, done, *, text=""):
            assert text
            if done >= 1:
                (pictures / "0" / "4.png").write_bytes(b"somebody else")

    with pytest.raises(InvalidInput, match=r"0/4.png changed while the set was being read"):
        build([str(pictures)], task=Meddling())


def test_a_file_that_shrinks_under_a_thread_is_an_error(tmp_path, monkeypatch):
    path = tmp_path / "x.bin"
    path.write_bytes(b"x" * (3 * BLOCK))
    chunks, once = Local.chunks, threading.Event()

    def cut_short(self, item, ranges):
        if not once.is_set():
            once.set()
            os.truncate(path, 5)
        return chunks(self, item, ranges)

    monkeypatch.setattr(Local, "chunks", cut_short)
    with pytest.raises(InvalidInput, match="changed while"):
        made(path)
