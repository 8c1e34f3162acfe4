"""Cutting: parts are the row groups that pyarrow sees, whole files are covered, and damage falls back to blocks."""

from __future__ import annotations

import pytest

from hauberk.data.manifest import build


def made(*places, **how):
    return build([str(place) for place in places], **how).manifest


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


def test_a_damaged_footer_leaves_a_manifest_of_blocks(table):
    path = table / "part-0.parquet"
    path.write_bytes(path.read_bytes()[:-3])
    before, after = made(table / "part-1.parquet"), made(path)
    assert [part.name for part in after.files[0].parts] == ["block 0"]
    assert before.files[0].form == "parquet"
