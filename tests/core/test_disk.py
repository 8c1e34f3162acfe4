from __future__ import annotations

import errno
import os

import pytest

from hauberk.core.disk import Disk, explain
from hauberk.core.errors import InvalidInput, Unavailable


class FailsAt(Disk):
    """A disk that fails at one of its operations."""

    def __init__(self, operation: str, code: int) -> None:
        self.operation, self.code = operation, code

    def _maybe(self, operation: str) -> None:
        if operation == self.operation:
            raise OSError(self.code, os.strerror(self.code))

    def sync(self, descriptor):
        self._maybe("sync")
        super().sync(descriptor)

    def rename(self, source, target):
        self._maybe("rename")
        super().rename(source, target)


@pytest.mark.parametrize("operation", ["sync", "rename"])
def test_a_full_disk_leaves_the_old_bytes_and_nothing_else(tmp_path, operation):
    path = tmp_path / "file"
    Disk().write(path, b"old")
    with pytest.raises(Unavailable, match="no space left"):
        FailsAt(operation, errno.ENOSPC).write(path, b"new")
    assert path.read_bytes() == b"old"
    assert [entry.name for entry in tmp_path.iterdir()] == ["file"]


def test_a_folder_that_may_not_be_written_is_bad_input(tmp_path):
    with pytest.raises(InvalidInput, match="Choose a folder that you may write to"):
        FailsAt("rename", errno.EACCES).write(tmp_path / "file", b"new")


def test_a_file_where_a_folder_should_be_is_explained(tmp_path):
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises((InvalidInput, Unavailable), match="cannot write"):
        Disk().write(tmp_path / "file" / "under", b"x")


def test_a_write_makes_folders_and_sets_the_mode(tmp_path):
    Disk().write(tmp_path / "a" / "b" / "secret", b"x", mode=0o600)
    assert (tmp_path / "a" / "b" / "secret").stat().st_mode & 0o777 == 0o600


def test_an_unknown_error_keeps_its_words(tmp_path):
    assert "Input/output error" in str(explain(OSError(errno.EIO, "Input/output error"), tmp_path))


@pytest.mark.parametrize("planted", ["link", "hard link", "pipe"])
def test_filling_a_file_does_not_write_to_what_was_planted_under_its_name(tmp_path, planted):
    victim, path = tmp_path / "victim", tmp_path / "intent"
    victim.write_bytes(b"precious")
    if planted == "link":
        path.symlink_to(victim)
    elif planted == "hard link":
        path.hardlink_to(victim)
    else:
        os.mkfifo(path)
    Disk().fill([(path, b"new")])
    assert (victim.read_bytes(), path.read_bytes(), path.is_symlink()) == (b"precious", b"new", False)
