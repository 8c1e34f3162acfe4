"""Listing the files of a set: names, and what is refused."""

from __future__ import annotations

import os

import pytest

from hauberk.core.errors import InvalidInput
from hauberk.data.manifest import build


def made(*places, **how):
    return build([str(place) for place in places], **how).manifest


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


def test_files_of_several_folders_keep_names_of_their_own(tmp_path):
    for name in ("data/data", "data/metadata", "more/x"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(name)
    manifest = build([str(tmp_path / "data"), str(tmp_path / "more"), str(tmp_path / "more" / "x")]).manifest
    assert [file.name for file in manifest.files] == ["data/data", "data/metadata", "more/x", "x"]
