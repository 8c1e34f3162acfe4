"""A killed training continues to the same bits; a file of another training, or a broken one, is ignored."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from torch import nn

import hauberk
from hauberk import training
from hauberk.attacks.budget import Ball
from hauberk.core.disk import Disk
from hauberk.core.threats import Norm
from hauberk.training import Hardening, Options, checkpoint, loop, methods
from hauberk.training.checkpoint import Checkpoint
from hauberk.training.guard import Guard
from hauberk.training.heldout import HeldOut
from hauberk.training.options import recipe_of
from hauberk.training.state import State
from hauberk.training.stopping import Stopping

BUDGET = Ball(Norm.LINF, 0.1)


def net(spec):
    """A network with memory: batch norm's statistics, and dropout, which draws from the process-wide generator."""
    return nn.Sequential(
        nn.Flatten(), nn.Linear(64, 24), nn.BatchNorm1d(24), nn.ReLU(), nn.Dropout(0.3), nn.Linear(24, spec.classes)
    )


SCRIPT = """
import sys
from pathlib import Path
import numpy as np, torch
from torch import nn
torch.set_num_threads(1)
from hauberk import training
from hauberk.attacks.budget import Ball
from hauberk.core.threats import Norm
from hauberk.training import checkpoint
from hauberk.training.batch import Batch
checkpoint.Checkpoint.__init__.__kwdefaults__["pause"] = 0.0
folder = Path(sys.argv[1])
data = np.load(folder / "rows.npz")

class Slow:
    def update(self, done, *, text=""):
        (folder / "progress").write_text(str(done))

def net(spec):
    return nn.Sequential(nn.Flatten(), nn.Linear(64, 24), nn.BatchNorm1d(24), nn.ReLU(), nn.Dropout(0.3),
                         nn.Linear(24, spec.classes))

outcome = training.train(net, training.Spec("image", (1, 8, 8), 10), data["x"], data["y"],
    hardening=training.Hardening((Ball(Norm.LINF, 0.1), Ball(Norm.L2, 0.5)), "fgsm-rs", awp=0.005, patience=50),
    options=training.Options(epochs=8, average=0.99, augment="shift"), seed=3, task=Slow(),
    checkpoint=folder / "checkpoint" if len(sys.argv) > 2 else None)
(folder / "weights").write_bytes(outcome.model.weights())
(folder / "history").write_text(str(sorted(outcome.series.items())))
"""


def run_script(folder, *arguments, kill_at=None):
    environment = {**os.environ, "PYTHONPATH": str(Path(hauberk.__file__).parents[1])}
    child = subprocess.Popen([sys.executable, "-c", SCRIPT, str(folder), *arguments], env=environment)
    if kill_at is None:
        assert child.wait(timeout=300) == 0
        return (folder / "weights").read_bytes(), (folder / "history").read_text()
    while child.poll() is None:
        told = (folder / "progress").read_text() if (folder / "progress").exists() else ""
        if told and float(told) >= kill_at:
            os.kill(child.pid, signal.SIGKILL)
            child.wait()
    assert child.returncode == -signal.SIGKILL
    return None


def test_a_killed_training_continues_to_the_same_bits(tmp_path, digits):
    import numpy as np

    np.savez(tmp_path / "rows.npz", x=digits.x, y=digits.y)
    straight = run_script(tmp_path)
    (tmp_path / "progress").unlink()
    run_script(tmp_path, "checkpoint", kill_at=0.55)
    assert (tmp_path / "checkpoint").exists()
    assert run_script(tmp_path, "checkpoint") == straight


def fresh(epochs=4, **options):
    torch.manual_seed(0)
    spec = training.Spec("image", (1, 8, 8), 10)
    return loop.Run(recipe_of(Options(epochs=epochs, **options), spec), 0, "cpu"), net(spec)


@pytest.mark.parametrize("options", [{}, {"average": 0.9}, {"optimizer": "sgd"}])
def test_everything_is_restored_from_the_file(tmp_path, digits, options):
    run, module = fresh(**options)
    pgd = methods.for_torch("pgd", {"steps": 2}, (BUDGET,))
    held = HeldOut(digits.x[:50], digits.y[:50], device="cpu", seed=0)
    run.watches = [Guard(held, single=pgd, strong=pgd, fallback=pgd), Stopping(held, strong=pgd, patience=9)]
    run.checkpoint = Checkpoint(tmp_path / "c", key="k", pause=0.0)
    loop.train(module, digits.x, digits.y, run)
    again, other = fresh(**options)
    state = State.fresh(other, again.recipe, seed=0, device="cpu")
    watches = [Guard(held, single=pgd, strong=pgd, fallback=pgd), Stopping(held, strong=pgd, patience=9)]
    parts = [*watches, run.descent]
    assert Checkpoint(tmp_path / "c", key="k").restore(state, parts)
    assert state.epoch == 4
    assert len(state.history) == 4
    assert watches[1].best_epoch == run.watches[1].best_epoch
    kept = Checkpoint(tmp_path / "d", key="k", pause=0.0)
    kept.keep(state, parts)
    assert (tmp_path / "d").read_bytes() == (tmp_path / "c").read_bytes()


def test_a_file_of_another_training_or_a_broken_one_is_ignored(tmp_path, digits):
    run, module = fresh()
    run.checkpoint = Checkpoint(tmp_path / "c", key="k", pause=0.0)
    loop.train(module, digits.x[:200], digits.y[:200], run)
    state = State.fresh(module, run.recipe, seed=0, device="cpu")
    assert not Checkpoint(tmp_path / "c", key="another").restore(state, [])
    assert not Checkpoint(tmp_path / "missing", key="k").restore(state, [])
    whole = (tmp_path / "c").read_bytes()
    for cut in (0, 5, len(whole) // 2, len(whole) - 1):
        (tmp_path / "c").write_bytes(whole[:cut])
        assert not Checkpoint(tmp_path / "c", key="k").restore(state, [])
    assert state.epoch == 0


def test_the_key_depends_on_everything_that_training_depends_on(digits):
    run, module = fresh()
    hardening = Hardening((BUDGET,))
    usual = {"recipe": run.recipe, "hardening": hardening, "seed": 0, "device": "cpu"}

    def key(x=digits.x, y=digits.y, **changed):
        return checkpoint.key_of(module, x, y, *(usual | changed).values())

    first = key()
    assert key() == first
    others = [
        key(x=digits.x + 1),
        key(y=digits.y[::-1]),
        key(recipe=fresh(epochs=5)[0].recipe),
        key(hardening=None),
        key(hardening=Hardening((Ball(Norm.LINF, 0.2),))),
        key(seed=1),
    ]
    with torch.no_grad():
        module[1].weight[0, 0] += 1
    others.append(key())
    assert len({first, *others}) == 8


def test_a_full_disk_is_reported_and_keeps_the_last_state(tmp_path, digits):
    from hauberk.core.errors import Unavailable

    class Full(Disk):
        writes = 0

        def store(self, descriptor, data):
            Full.writes += 1
            if Full.writes > 2:
                raise OSError(28, "No space left on device")
            super().store(descriptor, data)

    run, module = fresh()
    run.checkpoint = Checkpoint(tmp_path / "c", key="k", pause=0.0, disk=Full())
    with pytest.raises(Unavailable, match="no space left"):
        loop.train(module, digits.x[:200], digits.y[:200], run)
    state = State.fresh(module, run.recipe, seed=0, device="cpu")
    assert Checkpoint(tmp_path / "c", key="k").restore(state, [run.descent])
    assert state.epoch == 2
