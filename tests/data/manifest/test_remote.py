"""Remote sets have the same root as local ones."""

from __future__ import annotations

import pytest

from hauberk.core.errors import InvalidInput
from hauberk.data.manifest import build, compare


def made(*places, **how):
    return build([str(place) for place in places], **how).manifest


def says(before, after):
    return [str(change) for change in compare(before, after)]


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
