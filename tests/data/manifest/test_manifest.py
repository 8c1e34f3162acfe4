"""A manifest names the part that changed, whatever the format, and trusts nothing that it was not told to trust."""

from __future__ import annotations

import json
import os
import threading

import numpy as np
import polars as pl
import pytest

from hauberk.core import canonical
from hauberk.core.errors import InvalidInput, NotProven
from hauberk.core.progress import Quiet
from hauberk.custody.ledger import merkle
from hauberk.data.manifest import Manifest, build, compare
from hauberk.data.manifest.model import BLOCK
from hauberk.data.manifest.places import Local


def made(*places, **how):
    return build([str(place) for place in places], **how).manifest


def says(before, after):
    return [str(change) for change in compare(before, after)]


@pytest.fixture
def table(tmp_path):
    rng = np.random.default_rng(3)
    frame = pl.DataFrame({"a": rng.integers(0, 9, 4000), "b": rng.normal(size=4000)})
    folder = tmp_path / "set"
    folder.mkdir()
    for part in range(3):
        frame[part * 1000 : part * 1000 + 1000].write_parquet(folder / f"part-{part}.parquet", row_group_size=100)
    return folder


@pytest.fixture
def pictures(tmp_path):
    folder = tmp_path / "pictures"
    for number in range(200):
        (folder / str(number % 4)).mkdir(parents=True, exist_ok=True)
        (folder / str(number % 4) / f"{number}.png").write_bytes(f"picture {number}".encode() * 40)
    return folder


def flip(path, at):
    data = bytearray(path.read_bytes())
    data[at] ^= 1
    path.write_bytes(data)


def test_parts_are_the_row_groups_that_pyarrow_sees(table):
    pq = pytest.importorskip("pyarrow.parquet")
    (file,) = made(table / "part-1.parquet").files
    metadata = pq.ParquetFile(table / "part-1.parquet").metadata
    groups = [part for part in file.parts if part.rows is not None]
    assert [part.rows for part in groups] == [metadata.row_group(at).num_rows for at in range(10)]
    for at, part in enumerate(groups):
        chunk = metadata.row_group(at).column(0)
        first = chunk.dictionary_page_offset or chunk.data_page_offset
        assert part.start <= first < part.end
        assert (groups[at - 1].end if at else 4) == part.start
    assert (file.parts[0].start, file.parts[-1].end) == (0, file.size)
    assert file.rows == 1000


def test_a_block_is_an_rfc_6962_leaf_and_a_file_their_tree(tmp_path):
    data = np.random.default_rng(0).bytes(2 * BLOCK + 17)
    (tmp_path / "x.bin").write_bytes(data)
    (file,) = made(tmp_path / "x.bin").files
    assert [part.digest for part in file.parts] == [
        merkle.leaf_hash(data[at : at + BLOCK]) for at in range(0, len(data), BLOCK)
    ]
    assert file.digest == merkle.root_of([part.leaf() for part in file.parts])


def test_a_changed_row_group_is_named_and_so_are_bytes_of_the_footer(table):
    before = made(table)
    part = before.by_name["part-2.parquet"].parts[4]
    flip(table / "part-2.parquet", part.start + 9)
    assert part.name == "row group 3"
    assert says(before, made(table, earlier=before)) == ["row group 3 of part-2.parquet (100 rows) changed"]
    assert says(before, made(table)) == ["row group 3 of part-2.parquet (100 rows) changed"]
    flip(table / "part-0.parquet", (table / "part-0.parquet").stat().st_size - 20)
    assert "footer of part-0.parquet changed" in says(before, made(table, earlier=before))


def test_a_rewritten_file_is_compared_group_by_group(table):
    before = made(table)
    frame = pl.read_parquet(table / "part-1.parquet")
    frame.with_columns(pl.when(pl.int_range(1000) == 555).then(99).otherwise("a").alias("a")).write_parquet(
        table / "part-1.parquet", row_group_size=100
    )
    # Groups after the fifth hold page offsets of this writer, which move; those before are the same bytes.
    assert says(before, made(table, earlier=before))[0] == "row group 5 of part-1.parquet (100 rows) changed"
    frame[:900].write_parquet(table / "part-1.parquet", row_group_size=100)
    assert "row group 9 of part-1.parquet (100 rows) was removed" in says(before, made(table))


def test_rows_written_after_the_last_group_leave_all_groups_as_they_were(table):
    before = made(table / "part-1.parquet")
    frame = pl.read_parquet(table / "part-1.parquet")
    pl.concat([frame, frame[:100]]).write_parquet(table / "part-1.parquet", row_group_size=100)
    assert says(before, made(table / "part-1.parquet")) == ["row group 10 of part-1.parquet (100 rows) was added"]


def test_images_are_named_when_added_removed_changed_or_renamed(pictures):
    before = made(pictures)
    (pictures / "1" / "new.png").write_bytes(b"new")
    (pictures / "0" / "4.png").unlink()
    flip(pictures / "2" / "6.png", 3)
    (pictures / "3" / "7.png").rename(pictures / "3" / "8b.png")
    (pictures / "3" / ".hidden").write_bytes(b"passed over")
    assert says(before, made(pictures)) == [
        "image 0/4.png was removed",
        "image 1/new.png was added",
        "image 2/6.png changed",
        "image 3/7.png is now called 3/8b.png",
    ]


def test_the_root_depends_on_names_and_bytes_alone(pictures, tmp_path):
    before = made(pictures)
    pictures.rename(tmp_path / "elsewhere")
    for path in (tmp_path / "elsewhere").rglob("*.png"):
        os.utime(path, (1, 1))
    assert made(tmp_path / "elsewhere", threads=1).root == before.root
    assert made(tmp_path / "elsewhere", threads=7).root == before.root


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


def test_bytes_are_canonical_and_come_back(table, pictures):
    found = made(table, pictures)
    data = found.to_bytes()
    assert data == canonical.encode(json.loads(data))
    assert Manifest.read(data) == found
    assert any(file.name.startswith("pictures/") for file in found.files)


@pytest.mark.parametrize("field", ["name", "digest", "size"])
def test_an_edited_manifest_is_refused(pictures, field):
    value = json.loads(made(pictures).to_bytes())
    value["files"][3][field] = {"name": "0/other.png", "digest": "00" * 32, "size": 1}[field]
    with pytest.raises(NotProven, match="edited"):
        Manifest.read(canonical.encode(value))


@pytest.mark.parametrize(
    ("change", "error"),
    [
        ({"_type": "https://hauberk.dev/data-manifest/v9"}, "expected _type"),
        ({"block": 1}, "blocks of 1 bytes"),
        ({"files": [{"name": "x"}]}, "KeyError"),
        ({"files": [{"name": "x", "size": 9, "state": "", "form": "blocks", "parts": []}]}, "do not cover"),
    ],
)
def test_other_forms_are_refused(pictures, change, error):
    value = json.loads(made(pictures).to_bytes()) | change
    with pytest.raises(InvalidInput, match=error):
        Manifest.read(canonical.encode(value))


def test_a_damaged_footer_leaves_a_manifest_of_blocks(table):
    path = table / "part-0.parquet"
    path.write_bytes(path.read_bytes()[:-3])
    before, after = made(table / "part-1.parquet"), made(path)
    assert [part.name for part in after.files[0].parts] == ["block 0"]
    assert before.files[0].form == "parquet"


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


def test_what_cannot_be_a_set_is_refused(tmp_path):
    with pytest.raises(InvalidInput, match="does not exist"):
        made(tmp_path / "absent")
    (tmp_path / "empty").mkdir()
    with pytest.raises(InvalidInput, match="holds no files"):
        made(tmp_path / "empty")
    (tmp_path / "empty" / "link").symlink_to(tmp_path)
    with pytest.raises(InvalidInput, match="link to a folder"):
        made(tmp_path / "empty")
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(InvalidInput, match="not a regular file"):
        made(tmp_path / "pipe")
    with pytest.raises(InvalidInput, match="mixed"):
        made(tmp_path / "x", "memory://x")


def test_a_set_in_a_store_has_the_root_that_it_has_here(pictures, table):
    import fsspec

    fs = fsspec.filesystem("memory")
    for root in (pictures, table):
        for path in root.rglob("*.p*"):
            fs.pipe_file(f"/manifest/{root.name}/{path.relative_to(root)}", path.read_bytes())
    assert made("memory://manifest/pictures").root == made(pictures).root
    before = made("memory://manifest/set")
    assert before.root == made(table).root
    fs.pipe_file("/manifest/set/part-0.parquet", b"other")
    assert says(before, made("memory://manifest/set", earlier=before)) == ["file part-0.parquet changed"]
    both = made("memory://manifest/set", "memory://manifest/pictures")
    assert {file.name.split("/")[0] for file in both.files} == {"set", "pictures"}
    with pytest.raises(InvalidInput, match=r"nothing at|holds no files"):
        made("memory://manifest/absent")


def test_files_of_several_folders_keep_names_of_their_own(tmp_path):
    for name in ("data/data", "data/metadata", "more/x"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(name)
    manifest = build([str(tmp_path / "data"), str(tmp_path / "more"), str(tmp_path / "more" / "x")]).manifest
    assert [file.name for file in manifest.files] == ["data/data", "data/metadata", "more/x", "x"]
