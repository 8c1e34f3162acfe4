"""Commands that read records: under a foreign lock, without the keyring, and on a disk that takes no writes."""

from __future__ import annotations

import json
import multiprocessing
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest

import hauberk
from hauberk.cli.main import run
from hauberk.core.progress import Progress
from hauberk.custody.ledger.writer import locked
from hauberk.custody.seen import Seen
from hauberk.records.jobs import only_job

PASSPHRASE = "correct horse"
DECLARED = """
[[threats]]
kind = "evasion"
cost = 1.0
columns = [{ column = "mean texture", by = 1.0, cost = 1.0 }]

[evaluation]
rows = 10

[gate]
clean_accuracy = ">= 0.1"
"""


@pytest.fixture(scope="module")
def protected(tmp_path_factory, cells_project):
    """A project with a release and everything in its ledger, and a proof about a row."""
    from hauberk import protect

    folder = tmp_path_factory.mktemp("reading") / "cells"
    folder.mkdir()
    cells_project(folder, DECLARED)
    protect(
        folder,
        passphrase=PASSPHRASE.encode,
        progress=Progress(visible=False),
        seen=Seen(folder.parent / "state.json"),
    )
    return folder


@pytest.fixture
def project(protected, tmp_path, monkeypatch):
    """A copy of it for one test, in the current folder. No passphrase is set."""
    shutil.copytree(protected, tmp_path / "cells")
    monkeypatch.setenv("HAUBERK_STATE", str(tmp_path / "state.json"))
    monkeypatch.delenv("HAUBERK_PASSPHRASE", raising=False)
    monkeypatch.chdir(tmp_path / "cells")
    return tmp_path / "cells"


READING = {
    "rollback --list": ["rollback", "--list"],
    "data history": ["data", "history"],
    "report": ["report", "--output", "../page.html"],
    "ledger show": ["ledger", "show"],
    "ledger prove": ["ledger", "prove", "0"],
    "ledger audit": ["ledger", "audit"],
}
PROVE = ["data", "prove", "--data", "sklearn:breast_cancer", "--row", "3", "--output", "../proof.json"]
CHECK = ["data", "prove", "--check", "../proof.json", "--ledger", ".hauberk"]


def answer(capsys, arguments, code=0):
    capsys.readouterr()
    assert run([*arguments, "--json"]) == code, capsys.readouterr()
    return json.loads(capsys.readouterr().out)


def hold(home, held, done):
    """Another process: it holds the ledger's lock and the job lock, as a writer in the middle of a commit."""
    with only_job(home, "protect"), locked(home / "ledger"):
        held.set()
        done.wait(60)


@pytest.fixture
def foreign_lock(project):
    context = multiprocessing.get_context("spawn")
    held, done = context.Event(), context.Event()
    process = context.Process(target=hold, args=(project / ".hauberk", held, done))
    process.start()
    assert held.wait(60)
    yield
    assert process.is_alive(), "the lock was held all the time"
    done.set()
    process.join(60)


@pytest.mark.usefixtures("foreign_lock")
def test_every_reading_command_works_while_another_process_holds_the_locks(project, capsys, monkeypatch):
    for arguments in READING.values():
        before = time.monotonic()
        assert answer(capsys, arguments)
        assert time.monotonic() - before < 10, "nobody waited for the lock, which is given up after 30 s"
    monkeypatch.setenv("HAUBERK_PASSPHRASE", PASSPHRASE)
    assert answer(capsys, PROVE)["claims"]
    assert answer(capsys, CHECK)["ok"]
    assert (project.parent / "page.html").stat().st_size > 10_000


def test_without_the_keyring_everything_is_read_but_what_is_sealed(project, capsys, monkeypatch):
    monkeypatch.setenv("HAUBERK_PASSPHRASE", PASSPHRASE)
    answer(capsys, PROVE)
    monkeypatch.delenv("HAUBERK_PASSPHRASE")
    (project / ".hauberk" / "keyring").unlink()
    for arguments in READING.values():
        assert answer(capsys, arguments)
    assert answer(capsys, CHECK)["ok"]
    failed = answer(capsys, PROVE, code=2)["error"]["message"]
    assert "the row tree of entry" in failed
    assert "there is no keyring at" in failed
    assert "--check" in failed
    assert not (project / ".hauberk" / "keyring").exists(), "reading makes no keys"


READ_ONLY = """
import json, os, sys
folder, commands = sys.argv[1], json.loads(sys.argv[2])
from hauberk.cli.main import run

WRITES = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND
CHANGES = {"os.mkdir", "os.rename", "os.remove", "os.rmdir", "os.link", "os.symlink", "os.truncate", "os.chmod"}

def guard(event, arguments):
    if event == "open":
        path, _, flags = arguments
        writes = bool(flags & WRITES)
    elif event in CHANGES:
        path, writes = arguments[0], True
    else:
        return
    if writes and isinstance(path, (str, bytes)) and os.path.abspath(os.fsdecode(path)).startswith(folder):
        raise OSError(30, "Read-only file system", os.fsdecode(path))

sys.addaudithook(guard)
codes = [run([*arguments, "--json"]) for arguments in commands]
print(json.dumps(codes), file=sys.stderr)
"""


def test_every_reading_command_works_on_a_read_only_disk(project):
    """The guard refuses what a read-only file system refuses: any open for writing, new file, rename or removal."""
    before = {path: path.stat().st_mtime_ns for path in project.rglob("*") if path.suffix != ".pyc"}
    commands = [*READING.values(), PROVE, CHECK, ["report"]]
    environment = {
        **os.environ,
        "PYTHONPATH": str(Path(hauberk.__file__).parents[1]),
        "HAUBERK_PASSPHRASE": PASSPHRASE,
        "PYTHONDONTWRITEBYTECODE": "1",
    }
    done = subprocess.run(
        [sys.executable, "-c", READ_ONLY, str(project), json.dumps(commands)],
        cwd=project, env=environment, capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    codes = json.loads(done.stderr.strip().splitlines()[-1])
    assert codes == [0] * (len(commands) - 1) + [2], done.stdout + done.stderr
    assert "Read-only file system" in done.stderr, "the last one writes into the project, and the guard refuses it"
    assert {path: path.stat().st_mtime_ns for path in project.rglob("*") if path.suffix != ".pyc"} == before


def test_a_ledger_rolled_back_behind_what_was_seen_is_not_listed(project, capsys, monkeypatch, tmp_path):
    """Reading without the workshop notices what the workshop would have noticed."""
    old = tmp_path / "old"
    shutil.copytree(project / ".hauberk", old)
    monkeypatch.setenv("HAUBERK_PASSPHRASE", PASSPHRASE)
    Path("new.csv").write_text("a,b\n1,2\n3,4\n")
    assert run(["data", "import", "new.csv", "--name", "new", "--json"]) == 0
    assert answer(capsys, READING["rollback --list"])["served"] == 1
    shutil.rmtree(project / ".hauberk")
    shutil.copytree(old, project / ".hauberk")
    failed = answer(capsys, READING["rollback --list"], code=1)
    assert "Entries were removed" in failed["error"]["message"]


@pytest.mark.parametrize("command", READING)
def test_without_records_every_reading_command_says_so(tmp_path, capsys, monkeypatch, command, cells_project):
    cells_project(tmp_path, DECLARED)
    shutil.rmtree(tmp_path / ".hauberk", ignore_errors=True)
    monkeypatch.chdir(tmp_path)
    assert "there is no" in answer(capsys, READING[command], code=2)["error"]["message"]
    assert not (tmp_path / ".hauberk").exists(), "reading makes nothing"
