"""Comparing manifests: every change is located in its row group, block or picture."""

from __future__ import annotations

import polars as pl

from hauberk.data.manifest import build, compare


def made(*places, **how):
    return build([str(place) for place in places], **how).manifest


def says(before, after):
    return [str(change) for change in compare(before, after)]


def flip(path, at):
    data = bytearray(path.read_bytes())
    data[at] ^= 1
    path.write_bytes(data)


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
