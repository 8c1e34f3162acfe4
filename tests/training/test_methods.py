"""Adding a method is one file with one registration: everything else finds it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

import hauberk
from hauberk.attacks.budget import Ball
from hauberk.core.errors import InvalidInput
from hauberk.core.threats import Norm
from hauberk.training import methods
from hauberk.training.adversarial import HARDENING
from hauberk.training.batch import Batch

METHOD = '''
from dataclasses import dataclass
from typing import ClassVar
import torch
from hauberk.training.adversarial import HARDENING, Traits

@dataclass(frozen=True, slots=True)
class Scratch:
    """A coin for each pixel: one end of the budget or the other."""
    traits: ClassVar[Traits] = Traits(rank=9, pays_from=2)
    warmup: float = 0.5

@HARDENING.register("scratch", practice="2a", threats=("evasion",), summary="a coin for each pixel", params=Scratch)
def scratch(module, batch, budget, params, *, rng):
    """Return corners of the budget."""
    return budget.start(batch.x, torch.randint(0, 2, batch.x.shape, generator=rng).float())
'''

USE = """
import itertools, json, sys
import numpy as np, torch
from torch import nn
from hauberk import training
from hauberk.attacks.budget import Ball
from hauberk.core.errors import InvalidInput
from hauberk.core.threats import Norm
from hauberk.training import Hardening, Options

rng = np.random.default_rng(0)
x, y = rng.random((200, 1, 4, 4), dtype=np.float32), rng.integers(0, 3, 200)
spec = training.Spec("image", (1, 4, 4), 3)

def build(spec):
    return nn.Sequential(nn.Flatten(), nn.Linear(16, spec.classes))

budgets = (Ball(Norm.LINF, 0.1),)
outcome = training.train(build, spec, x, y, hardening=Hardening(budgets, "scratch"), options=Options(epochs=4))
clock = itertools.count()
found = training.plan(build, spec, x, y, hardening=Hardening(budgets), minutes=1, clock=lambda: float(next(clock)))
own = lambda data, model, harden: model if harden(model, torch.from_numpy(data.x), torch.from_numpy(data.y)) is not None else None
refused = ""
try:
    training.train_own(own, spec, x, y, build=build, hardening=Hardening(budgets, "trades"))
except InvalidInput as error:
    refused = str(error)
weights = training.train(build, spec, x, y, options=Options(epochs=4)).model.weights()
print(json.dumps({"trained": outcome.method, "planned": found.method, "note": found.notes[0], "refused": refused,
                  "changed": weights != outcome.model.weights()}))
"""


def test_a_method_from_one_file_of_a_plug_in_trains_and_is_planned(tmp_path):
    (tmp_path / "scratch_hardening.py").write_text(METHOD)
    info = tmp_path / "scratch_hardening-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: scratch-hardening\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[hauberk.controls]\nscratch = scratch_hardening\n")
    path = os.pathsep.join([str(tmp_path), str(Path(hauberk.__file__).parents[1])])
    done = subprocess.run(
        [sys.executable, "-c", USE],
        env={**os.environ, "PYTHONPATH": path},
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    said = json.loads(done.stdout)
    assert said["trained"] == said["planned"] == "scratch"
    assert said["changed"]
    assert ", ".join(name for name, _ in methods.ladder()) not in said["note"]
    assert "scratch " in said["note"].partition("to take: ")[2]
    assert "scratch with it" in said["refused"]


def test_the_budget_of_a_batch_grows_with_its_strength_and_takes_turns():
    chosen = methods.for_torch("auto", {}, (Ball(Norm.LINF, 0.2), Ball(Norm.LINF, 0.4)))
    module, x = torch.nn.Flatten(), torch.full((3, 1, 2, 2), 0.5)
    y = torch.zeros(3, dtype=torch.int64)
    reached = [
        float((chosen.perturb(module, Batch.of(x, y, strength=s, turn=t), rng=torch.Generator()) - x).abs().max())
        for s, t in ((0.5, 0), (0.5, 1), (1.0, 0), (1.0, 3))
    ]
    assert reached == pytest.approx([0.1, 0.2, 0.2, 0.4], abs=1e-6)


def test_auto_is_the_method_that_declares_itself_the_default():
    assert methods.resolve("auto", "torch") == methods.for_torch("auto", {}, (Ball(Norm.L2, 1.0),)).name
    assert methods.resolve("auto", "sklearn") == methods.for_estimator("auto", {})[0]
    assert methods.resolve("anything", "torch") == "anything"


def test_a_budget_that_a_method_cannot_serve_is_refused_before_training():
    with pytest.raises(InvalidInput, match=r'"noise" trains for smoothing'):
        methods.for_torch("noise", {}, (Ball(Norm.LINF, 0.1),))


def test_the_documentation_names_every_method_with_the_passes_it_declares():
    page = (Path(__file__).parents[2] / "docs" / "training.md").read_text()
    rows = [line.split("|") for line in page.splitlines() if line.startswith("| `")]
    documented = {row[1].strip(" `"): row[3].strip() for row in rows if len(row) == 6}
    declared = {entry.name: str(getattr(entry.make({}), "passes", "\u2013")) for entry in HARDENING}
    assert documented == declared
