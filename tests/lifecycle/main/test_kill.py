"""The main job killed at many moments: whatever was finished stays, the ledger is sound, and the next run goes on."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

import hauberk
from hauberk.core.progress import Progress
from hauberk.custody.ledger import Ledger
from hauberk.custody.seen import Seen
from hauberk.records.reader import read_publics

HAUBERK = [sys.executable, "-c", "from hauberk.cli.main import main; main()"]
DECLARED = """
[[threats]]
kind = "evasion"
cost = 4.0
columns = [{ column = "mean texture", by = 4.0, cost = 1.0 }]

[evaluation]
rows = 40

[gate]
clean_accuracy = ">= 0.5"
"""
MODEL = """
from sklearn.linear_model import LogisticRegression

def build():
    return LogisticRegression(max_iter=2000)
"""


@pytest.fixture
def project(tmp_path, cells_project, cheap_keys):
    folder = cells_project(tmp_path / "project", DECLARED)
    (folder / "model.py").write_text(MODEL)
    cheap_keys(folder / ".hauberk" / "keyring")
    return folder


def start(folder: Path, tmp_path: Path) -> subprocess.Popen[bytes]:
    environment = {
        **os.environ,
        "HAUBERK_PASSPHRASE": "correct horse",
        "HAUBERK_STATE": str(tmp_path / "seen.json"),
        "OMP_NUM_THREADS": "1",
    }
    return subprocess.Popen(
        [*HAUBERK, "protect", str(folder), "--json"],
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )


def audited(folder: Path) -> int:
    if not (folder / ".hauberk" / "ledger" / "checkpoint").exists():
        return 0
    (key,) = read_publics(folder / ".hauberk" / "ledger.pub")
    with Ledger.open(folder / ".hauberk" / "ledger", publics=[key]) as ledger:
        return ledger.audit(key).size


def records(folder: Path) -> set[str]:
    return {path.name for path in (folder / ".hauberk" / "steps").glob("*.json")}


def finish(folder: Path, tmp_path: Path) -> hauberk.lifecycle.main.protect.Result:
    return hauberk.protect(
        folder,
        passphrase=lambda: b"correct horse",
        progress=Progress(visible=False),
        seen=Seen(tmp_path / "seen.json"),
    )


@pytest.mark.slow
def test_kill_9_at_any_point_loses_no_finished_step(project, tmp_path):
    rng = random.Random(5)
    size, before = 0, set()
    for _ in range(12):
        process = start(project, tmp_path)
        time.sleep(rng.uniform(0.3, 4.0))
        process.send_signal(signal.SIGKILL)
        process.wait()
        process.communicate()
        if (project / ".hauberk" / "ledger.pub").exists():
            now = audited(project)
            assert now >= size
            size = now
        after = records(project)
        assert before <= after
        before = after
    result = finish(project, tmp_path)
    assert {step.name.replace("/", "-") + ".json" for step in result.steps if step.cached} >= before - {
        "release.json"
    }
    assert result.allowed
    assert hauberk.verify(result.release, seen=Seen(tmp_path / "seen.json")).ok
    assert audited(project) == result.size
    assert not list(project.glob(".release*"))


@pytest.mark.slow
def test_ctrl_c_ends_with_130_and_one_line(project, tmp_path):
    process = start(project, tmp_path)
    for _ in range(200):
        if records(project):
            break
        time.sleep(0.05)
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=60)
    if process.returncode == 0:
        pytest.fail("the run was over before it could be interrupted")
    assert process.returncode == 130
    assert json.loads(out)["error"]["kind"] == "Interrupted"
    assert b"Traceback" not in err
    assert finish(project, tmp_path).allowed


@pytest.mark.slow
def test_standard_output_holds_the_document_and_nothing_else(project, tmp_path):
    process = start(project, tmp_path)
    out, err = process.communicate(timeout=120)
    assert process.returncode == 0, err
    assert json.loads(out)["verdict"] == "allow"
    assert err == b""
