"""`update` and `rollback` killed with SIGKILL at many points: a whole release is served, and the same command finishes the work.

The child kills itself at its n-th dealing with the disk, a write half way, so that no point is left to chance; and the
command line is killed by the clock, for what happens between.
"""

from __future__ import annotations

import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from sklearn.datasets import load_breast_cancer

import hauberk
from hauberk import project as projects
from hauberk.core.errors import InvalidInput
from hauberk.core.progress import Progress
from hauberk.custody.ledger import Ledger
from hauberk.custody.seen import Seen
from hauberk.lifecycle.releasing import releases
from hauberk.lifecycle.updating.update import PROMOTED, update
from hauberk.project.opening import open_workshop
from hauberk.records import lineage
from hauberk.records.reader import read_publics

pytestmark = pytest.mark.slow

MODEL = """
from torch import nn

def build(spec):
    return nn.Sequential(nn.Linear(spec.features, {width}), nn.ReLU(), nn.Linear({width}, spec.classes))
"""
PROJECT = """
[project]
name = "killed"
seed = 3

[data]
kind = "table"
files = ["base.csv"]
target = "diagnosis"

[model]
build = "model:build"

[[threats]]
kind = "poisoning"
share = 0.05

[training]
epochs = 12
batch = 32
learning_rate = 0.01

[gate]
clean_accuracy = ">= 0.8"

[release]
seal = true
"""
CHILD = """
import os, signal, sys
from pathlib import Path
from hauberk.core.disk import Disk
from hauberk.core.progress import Progress
from hauberk.custody.seen import Seen

class Kills(Disk):
    def __init__(self, after):
        self.left = after

    def spend(self):
        self.left -= 1
        if not self.left:
            os.kill(os.getpid(), signal.SIGKILL)

    def store(self, descriptor, data):
        if self.left == 1:
            super().store(descriptor, data[: len(data) // 2])
        self.spend()
        super().store(descriptor, data)

for name in ("sync", "rename", "exchange", "remove"):
    def wrapped(self, *arguments, _name=name):
        self.spend()
        return getattr(Disk, _name)(self, *arguments)
    setattr(Kills, name, wrapped)

command, folder, after = sys.argv[1], Path(sys.argv[2]), int(sys.argv[3])
how = {"passphrase": lambda: b"correct horse", "seen": Seen(folder.parent / "seen"), "disk": Kills(after)}
if command == "update":
    from hauberk.lifecycle.updating.update import update
    update(folder, data=[str(folder / "new.csv")], progress=Progress(visible=False), **how)
else:
    from hauberk.lifecycle.releasing.rollback import rollback
    rollback(folder, to=int(command), **how)
print(after - how["disk"].left)
"""


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A project with two releases of two models, and a file of new rows; made once, and copied for each test."""
    from hauberk.custody.keys._vault import Cost
    from hauberk.custody.keys.keyring import Keyring

    folder = tmp_path_factory.mktemp("made") / "project"
    (folder / ".hauberk").mkdir(parents=True)
    Keyring.make(folder / ".hauberk" / "keyring", b"correct horse", cost=Cost(time=1, memory=8, lanes=1))
    data = load_breast_cancer()
    order = np.random.default_rng(0).permutation(len(data.target))
    x, y = data.data[order][:, :6], np.array(["bad", "good"])[data.target[order]]
    (folder / "base.csv").write_text(_lines(x[:300], y[:300]))
    (folder / "new.csv").write_text(_lines(x[300:385], y[300:385]))
    (folder / "hauberk.toml").write_text(PROJECT)
    for width in (8, 16):
        (folder / "model.py").write_text(MODEL.format(width=width))
        assert hauberk.protect(folder, progress=Progress(visible=False), **_keys(folder)).allowed
    return folder.parent


@pytest.fixture
def project(made, tmp_path) -> Path:
    shutil.copytree(made, tmp_path / "world")
    return tmp_path / "world" / "project"


def _lines(x, y):
    rows = [",".join([*(f"{v:.6g}" for v in row), t]) for row, t in zip(x, y, strict=True)]
    return "\n".join([",".join([*(f"c{i}" for i in range(x.shape[1])), "diagnosis"]), *rows]) + "\n"


def _keys(folder):
    return {"passphrase": lambda: b"correct horse", "seen": Seen(folder.parent / "seen")}


def child(command, folder, after):
    """Run it, killed at its n-th operation. Returns whether it was, and how many there were otherwise."""
    script = [sys.executable, "-c", CHILD, str(command), str(folder), str(after)]
    environment = {**os.environ, "PYTHONPATH": str(Path(hauberk.__file__).parents[1]), "OMP_NUM_THREADS": "1"}
    ended = subprocess.run(script, env=environment, capture_output=True, text=True, timeout=300, check=False)
    assert ended.returncode in (0, -signal.SIGKILL), ended.stderr
    return ended.returncode != 0, ended.stdout


def served(folder) -> str:
    """Return the model that is served, verified in nine steps as somebody would who never saw this ledger."""
    proven = hauberk.verify(folder / "release", seen=Seen(folder.parent / f"fresh-{time.monotonic_ns()}"))
    assert proven.manifest is not None
    return next(model.sha256 for model in proven.manifest.models if model.name == "model.onnx")


def sound(folder) -> None:
    """Every byte of the ledger leads to its signed root, and the release is one that the ledger has."""
    (key,) = read_publics(folder / ".hauberk" / "ledger.pub")
    with Ledger.open(folder / ".hauberk" / "ledger", publics=[key]) as ledger:
        assert ledger.audit(key).size == ledger.size
    known(folder)


def known(folder):
    """Return the releases on record. Raises NotProven when what is served is none of them."""
    with open_workshop(projects.load(folder), **_keys(folder)) as workshop:
        found = releases.releases(workshop.records)
        assert releases.served(workshop.records, folder / "release", found)
        return found


def count(folder, kind):
    with Ledger.open(
        folder / ".hauberk" / "ledger", publics=read_publics(folder / ".hauberk" / "ledger.pub")
    ) as ledger:
        return sum(json.loads(entry)["kind"] == kind for entry in ledger.entries())


def test_rollback_killed_at_its_operations_serves_one_of_both_and_finishes(project):
    _, told = child(1, project, 10_000)
    operations = int(told)
    assert operations > 60
    first, killed = served(project), 0
    models = {one.number: one.model for one in known(project)[:2]}
    assert first == models[1]
    for turn, after in enumerate(range(1, operations + 1, 4)):
        to = 2 - turn % 2
        was_killed, _ = child(to, project, after)
        killed += was_killed
        assert served(project) in {models[1], models[2]}
        sound(project)
        child(to, project, 10_000)
        assert served(project) == models[to]
        assert not list(project.glob(".release*"))
    assert killed > operations // 5


def test_update_killed_at_its_operations_keeps_the_champion_or_has_promoted_and_finishes(project, tmp_path):
    champion = served(project)
    trial = tmp_path / "trial"
    shutil.copytree(project.parent, trial)
    _, told = child("update", trial / "project", 100_000)
    operations, challenger = int(told), served(trial / "project")
    assert operations > 200
    assert challenger != champion
    killed = 0
    for number, after in enumerate(np.linspace(1, operations - 1, 10).astype(int)):
        world = tmp_path / f"world{number}"
        shutil.copytree(project.parent, world)
        folder = world / "project"
        was_killed, _ = child("update", folder, after)
        killed += was_killed
        assert served(folder) in {champion, challenger} if was_killed else served(folder) == challenger
        sound(folder)
        finish(folder)
        assert served(folder) == challenger, f"killed at operation {after} of {operations}"
        shutil.rmtree(world)
    assert killed >= 8, (
        "a slow run keeps its training's state more often, so that a later one may end before the last points"
    )


def finish(folder):
    """Give the same command again, and find the rows on record once; the decision twice where only the exchange was missing.

    After a kill behind the exchange there is nothing left to do, and it says so.
    """
    if known(folder)[-1].made_by == "update" and served(folder) == known(folder)[-1].model:
        with pytest.raises(InvalidInput, match="on record already: release 3 learned from them"):
            update(folder, data=[str(folder / "new.csv")], progress=Progress(visible=False), **_keys(folder))
        assert len(list(folder.glob(".release*"))) <= 1, "the old release, until the next one is written"
    else:
        child("update", folder, 100_000)
        assert not list(folder.glob(".release*"))
    sound(folder)
    assert count(folder, PROMOTED) in {1, 2}
    assert count(folder, lineage.OFFERED) == 1


def test_update_killed_by_the_clock_again_and_again_gets_there(project):
    rng, champion = random.Random(4), served(project)
    environment = {
        **os.environ,
        "HAUBERK_PASSPHRASE": "correct horse",
        "HAUBERK_STATE": str(project.parent / "seen"),
        "OMP_NUM_THREADS": "1",
    }
    command = [sys.executable, "-c", "from hauberk.cli.main import main; main()", "update", str(project), "--json"]
    for _ in range(6):
        process = subprocess.Popen(
            [*command, "--data", str(project / "new.csv")],
            env=environment,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        time.sleep(rng.uniform(0.5, 3.5))
        process.send_signal(signal.SIGKILL)
        process.wait()
        served(project)
        sound(project)
    finish(project)
    assert served(project) != champion
