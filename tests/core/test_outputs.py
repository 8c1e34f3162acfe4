"""What a user names is followed and written through; only a regular file is replaced."""

from __future__ import annotations

import errno
import os
import socket
import stat
import subprocess
import sys
import threading

import pytest

from hauberk.core import outputs
from hauberk.core.disk import Disk
from hauberk.core.errors import InvalidInput, Unavailable

DATA = os.urandom(300_000)  # more than a pipe holds at once


class Reader:
    """Reads a pipe to its end in a thread."""

    def __init__(self, path):
        self.got = b""
        self._thread = threading.Thread(target=self._read, args=(path,), daemon=True)
        self._thread.start()

    def _read(self, path):
        self.got = path.read_bytes()

    def result(self):
        self._thread.join(timeout=20)
        assert not self._thread.is_alive(), "nothing was written to the pipe"
        return self.got


def deliver(path, way):
    if way == "write":
        outputs.write(path, DATA)
    else:
        with outputs.drafts([path]) as (draft,):
            draft.write_bytes(DATA)


ways = pytest.mark.parametrize("way", ["write", "drafts"])


@ways
def test_a_new_file_gets_its_folders_and_mode(tmp_path, way):
    deliver(tmp_path / "a" / "b.html", way)
    assert (tmp_path / "a" / "b.html").read_bytes() == DATA
    assert stat.S_IMODE((tmp_path / "a" / "b.html").stat().st_mode) == 0o644
    assert [entry.name for entry in (tmp_path / "a").iterdir()] == ["b.html"]


@ways
def test_a_replaced_file_never_becomes_more_open(tmp_path, way):
    (tmp_path / "x").write_bytes(b"old")
    (tmp_path / "x").chmod(0o600)
    deliver(tmp_path / "x", way)
    assert (tmp_path / "x").read_bytes() == DATA
    assert stat.S_IMODE((tmp_path / "x").stat().st_mode) == 0o600


@ways
@pytest.mark.parametrize("dangling", [True, False])
def test_a_link_stays_and_its_target_is_written(tmp_path, way, dangling):
    there = tmp_path / "there"
    there.mkdir()
    if not dangling:
        (there / "x").write_bytes(b"old")
    (tmp_path / "middle").symlink_to("there/x")
    (tmp_path / "link").symlink_to("middle")
    deliver(tmp_path / "link", way)
    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "middle").is_symlink()
    assert (there / "x").read_bytes() == DATA
    assert [entry.name for entry in there.iterdir()] == ["x"]


@ways
@pytest.mark.parametrize("linked", [True, False])
def test_a_pipe_is_written_through_and_stays(tmp_path, way, linked):
    pipe = name = tmp_path / "pipe"
    os.mkfifo(pipe)
    if linked:
        name = tmp_path / "link"
        name.symlink_to("pipe")
    reader = Reader(pipe)
    deliver(name, way)
    assert reader.result() == DATA
    assert stat.S_ISFIFO(pipe.stat().st_mode)
    assert not pipe.is_symlink()


@ways
def test_a_device_is_written_through_and_stays(tmp_path, way):
    device = tmp_path / "null"  # a node of the test's own, so that a fault destroys nothing of the machine's
    try:
        os.mknod(device, 0o600 | stat.S_IFCHR, os.makedev(1, 3))
        device.write_bytes(b"")
    except OSError as error:
        pytest.skip(f"no device node can be made and opened here: {error}")
    deliver(device, way)
    assert stat.S_ISCHR(device.stat().st_mode)
    assert device.stat().st_rdev == os.makedev(1, 3)


@ways
@pytest.mark.parametrize("name", ["/dev/stdout", "/dev/fd/1", "/proc/self/fd/1"])
@pytest.mark.parametrize("redirected", [True, False])
def test_standard_output_is_written_at_its_position(tmp_path, way, name, redirected):
    code = f"""
import os
from pathlib import Path
from hauberk.core import outputs
os.write(1, b"before ")
if {way!r} == "write":
    outputs.write(Path({name!r}), b"data ")
else:
    with outputs.drafts([Path({name!r})]) as (draft,):
        draft.write_bytes(b"data ")
os.write(1, b"after")
"""
    command = [sys.executable, "-c", code]
    if redirected:
        with (tmp_path / "out").open("wb") as file:
            subprocess.run(command, stdout=file, check=True, timeout=60)
        got = (tmp_path / "out").read_bytes()
    else:
        got = subprocess.run(command, stdout=subprocess.PIPE, check=True, timeout=60).stdout
    assert got == b"before data after"


@ways
def test_folders_sockets_and_circles_are_refused(tmp_path, way, monkeypatch):
    monkeypatch.chdir(tmp_path)  # a socket's path may have 108 bytes at most
    (tmp_path / "folder").mkdir()
    (tmp_path / "a").symlink_to("b")
    (tmp_path / "b").symlink_to("a")
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind("socket")
        for name, message in (("folder", "is a folder"), ("socket", "is a socket"), ("a", "back to itself")):
            with pytest.raises(InvalidInput, match=message):
                deliver(tmp_path / name, way)
    assert stat.S_ISSOCK((tmp_path / "socket").lstat().st_mode)


def test_a_block_device_is_refused(tmp_path):
    disk = tmp_path / "disk"
    try:
        os.mknod(disk, 0o600 | stat.S_IFBLK, os.makedev(240, 200))  # a number that no driver has
    except OSError as error:
        pytest.skip(f"no device node can be made here: {error}")
    with pytest.raises(InvalidInput, match="is a block device"):
        outputs.write(disk, b"x")
    assert stat.S_ISBLK(disk.stat().st_mode)


def test_a_pipe_whose_reader_goes_away_is_unavailable(tmp_path):
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    thread = threading.Thread(target=lambda: pipe.open("rb").close())
    thread.start()
    with pytest.raises(Unavailable, match="Broken pipe"):
        outputs.write(pipe, DATA)
    thread.join()


def test_a_failed_block_delivers_nothing(tmp_path):
    (tmp_path / "x").write_bytes(b"old")

    def fail():
        with outputs.drafts([tmp_path / "x", tmp_path / "y"]) as (draft, _):
            draft.write_bytes(DATA)
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fail()
    assert [entry.name for entry in tmp_path.iterdir()] == ["x"]
    assert (tmp_path / "x").read_bytes() == b"old"


def test_a_failed_second_delivery_takes_the_first_new_file_back(tmp_path):
    class Full(Disk):
        def rename(self, source, target):
            if target.name == "y":
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            super().rename(source, target)

    with (
        pytest.raises(Unavailable, match="no space left"),
        outputs.drafts([tmp_path / "x", tmp_path / "y"], disk=Full()),
    ):
        pass
    assert list(tmp_path.iterdir()) == []
