"""Rotation and rewrapping from the command line: what moves, what is left, and how it goes on after a kill."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time

import pytest

from hauberk.cli.main import run
from hauberk.core.errors import Unavailable
from hauberk.custody import rotation, sealing
from hauberk.custody.keys import open_keys
from hauberk.custody.keys._vault import Cost
from hauberk.custody.keys.keyring import Keyring

PASSPHRASE = "five words that are random"


@pytest.fixture
def project(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HAUBERK_PASSPHRASE", PASSPHRASE)
    Keyring.make(tmp_path / ".hauberk" / "keyring", PASSPHRASE.encode(), cost=Cost(1, 64, 1))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "configuration"))
    for at in range(4):
        (tmp_path / "set" / "part").mkdir(parents=True, exist_ok=True)
        (tmp_path / "set" / "part" / f"{at}.bin").write_bytes(os.urandom(3000 + at))
    (tmp_path / "set" / ".hidden").write_bytes(b"x")
    return tmp_path


@pytest.fixture
def sealed(project, call):
    assert len(call("seal", "set")["files"]) == 4
    return project / "set.sealed"


@pytest.fixture
def call(capsys):
    def run_one(*arguments, code=0):
        capsys.readouterr()
        assert run([*arguments, "--json"]) == code
        return json.loads(capsys.readouterr().out)

    return run_one


def keyring(path=".hauberk/keyring"):
    return open_keys(f"keyring:{path}", passphrase=PASSPHRASE.encode)


def test_a_folder_goes_there_and_back(sealed, project, call):
    files = sorted(path.relative_to(sealed).as_posix() for path in sealed.rglob("*") if path.is_file())
    assert files == [f"part/{at}.bin.sealed" for at in range(4)]
    assert len(call("open", "set.sealed", "--output", "again")["files"]) == 4
    for at in range(4):
        name = f"part/{at}.bin"
        assert (project / "again" / name).read_bytes() == (project / "set" / name).read_bytes()
    assert call("open", "set.sealed/part/1.bin.sealed")["opened"] == "set.sealed/part/1.bin"


def test_rotation_moves_every_file_and_touches_no_ciphertext(sealed, call):
    one = sealed / "part" / "0.bin.sealed"
    before, ends = keyring().ids("data"), one.read_bytes()[-2000:]
    said = call("rotate", "set.sealed")
    assert (said["key"], said["versions"], len(said["rewrapped"]), said["left"]) == ("data", 2, 4, [])
    assert one.read_bytes()[-2000:] == ends
    assert keyring().is_current("data", sealing.read_header(one).wrapped)
    assert keyring().ids("data")[1:] == before
    again = call("rewrap", "set.sealed")
    assert (again["rewrapped"], again["already_current"]) == ([], 4)
    call("open", "set.sealed", "--output", "again")


def test_files_under_other_keys_are_left_alone(sealed, project, call):
    assert sealed
    call("seal", "set/part/0.bin", "--key", "claims", "--make-key")
    other = project / "set" / "part" / "0.bin.sealed"
    before = other.read_bytes()
    said = call("rotate", "set.sealed", "set", "--key", "data")
    assert (len(said["rewrapped"]), said["other_keys"]) == (4, 1)
    assert other.read_bytes() == before
    assert len(call("rewrap", "set", "--key", "data")["rewrapped"]) == 1
    assert sealing.read_header(other).key == "data"


def test_files_move_to_another_key_service(sealed, call, monkeypatch):
    Keyring.make(sealed.parent / "elsewhere", PASSPHRASE.encode(), cost=Cost(1, 64, 1)).create("data", "aes-256")
    said = call("rewrap", "set.sealed", "--to", "keyring:elsewhere")
    assert len(said["rewrapped"]) == 4
    call("open", "set.sealed", "--output", "x", code=1)
    call("open", "set.sealed", "--output", "x", "--keys", "keyring:elsewhere")
    assert call("rewrap", "set.sealed", "--to", "keyring:elsewhere")["already_current"] == 4
    monkeypatch.setenv("HAUBERK_KEYS", "keyring:elsewhere")
    call("open", "set.sealed", "--output", "y")


def test_a_service_that_goes_away_half_way_leaves_the_rest_as_it_was_and_it_goes_on(
    sealed, call, monkeypatch, capsys
):
    wrap, calls = Keyring.wrap, []

    def failing(self, name, secret, associated):
        calls.append(name)
        if len(calls) == 3:
            raise Unavailable("the service went away")
        return wrap(self, name, secret, associated)

    monkeypatch.setattr(Keyring, "wrap", failing)
    said = call("rotate", "set.sealed", code=4)
    assert (len(said["rewrapped"]), len(said["left"]), said["stopped"]) == (2, 2, "the service went away")
    assert said["go_on"] == "hauberk rewrap set.sealed --keys keyring:.hauberk/keyring --key data"
    call("open", "set.sealed", "--output", "half")  # at no moment is there a file that does not open
    assert not list(sealed.rglob("*.tmp"))
    said = call("rewrap", "set.sealed", "--key", "data")
    assert (len(said["rewrapped"]), said["already_current"], said["left"]) == (2, 2, [])
    assert run(["rotate", "set.sealed"]) == 0
    assert "4 files moved" in capsys.readouterr().out


def test_an_interrupt_says_how_many_are_left(sealed, monkeypatch, capsys):
    rewrap = sealing.rewrap

    def interrupted(path, *arguments, **how):
        if path.name.startswith("2"):
            raise KeyboardInterrupt
        return rewrap(path, *arguments, **how)

    monkeypatch.setattr(rotation.sealing, "rewrap", interrupted)
    assert run(["rotate", "set.sealed"]) == 130
    said = " ".join(capsys.readouterr().out.split())
    assert sealed.is_dir()
    assert "Not moved, and open as before: 2 files" in said
    assert "hauberk rewrap set.sealed" in said


def test_one_damaged_file_does_not_stop_the_others(sealed, call):
    damaged = sealed / "part" / "1.bin.sealed"
    data = damaged.read_bytes()
    damaged.write_bytes(data.replace(b'"plain_size":3001', b'"plain_size":3002'))
    said = call("rotate", "set.sealed", code=1)
    assert len(said["rewrapped"]) == 3
    assert [failed["path"] for failed in said["failed"]] == [str(damaged.relative_to(sealed.parent))]
    assert said["left"] == ["set.sealed/part/1.bin.sealed"]


def test_a_signed_release_is_left_as_it_was_signed(sealed, call):
    for name in ("manifest.json", "checkpoint"):
        (sealed / "part" / name).write_text("{}")
    said = call("rotate", "set.sealed")
    assert said["rewrapped"] == []
    assert len(said["kept_in_releases"]) == 4


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("rewrap", "absent"), "no file or folder absent"),
        (("rewrap", "set/part/0.bin"), "not a sealed file"),
        (("rotate", "set.sealed", "--key", "absent"), "no key is named 'absent'; known: data"),
        (("seal", "empty"), "holds no file to seal"),
        (("open", "empty"), "holds no sealed file"),
    ],
)
def test_bad_usage_changes_nothing(sealed, project, call, arguments, message):
    (project / "empty").mkdir()
    before = {path: path.read_bytes() for path in sealed.rglob("*.sealed")}
    assert message in call(*arguments, code=2)["error"]["message"]
    assert {path: path.read_bytes() for path in sealed.rglob("*.sealed")} == before


@pytest.mark.slow
def test_a_kill_at_any_moment_leaves_every_file_open_and_the_rest_to_go_on(project, call):
    many = project / "many"
    many.mkdir()
    for at in range(60):
        (many / f"{at:02}.bin").write_bytes(os.urandom(200_000))
    call("seal", "many")
    for reached in (3, 17, 41):
        sealed = project / "many.sealed" / f"{reached:02}.bin.sealed"
        before = sealed.stat().st_ino
        command = [sys.executable, "-c", "from hauberk.cli.main import main; main()", "rotate", "many.sealed"]
        process = subprocess.Popen(command, cwd=project, stdout=subprocess.DEVNULL)
        while sealed.stat().st_ino == before:
            assert process.poll() is None
            time.sleep(0.0005)
        process.send_signal(signal.SIGKILL)
        process.wait()
        current = [
            keyring().is_current("data", sealing.read_header(path).wrapped) for path in sealed.parent.iterdir()
        ]
        assert reached < sum(current) < 60
        assert len(call("open", "many.sealed", "--output", "again")["files"]) == 60
        assert not [path for path in sealed.parent.iterdir() if path.suffix != ".sealed"]
    said = call("rewrap", "many.sealed")
    assert len(said["rewrapped"]) + said["already_current"] == 60
    assert said["rewrapped"]
    assert call("rewrap", "many.sealed")["already_current"] == 60
    for at in range(60):
        assert (project / "again" / f"{at:02}.bin").read_bytes() == (many / f"{at:02}.bin").read_bytes()
