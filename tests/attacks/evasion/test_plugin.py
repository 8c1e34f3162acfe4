"""A package outside of Hauberk adds an attack: one file and one registration, and everything else follows."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

import hauberk

pytest.importorskip("torch")

ATTACK = '''
from dataclasses import dataclass, field

import numpy as np

from hauberk.attacks.attack import ATTACKS
from hauberk.attacks.draws import Draws
from hauberk.attacks.params import Params
from hauberk.attacks.verdict import SearchResult, predictions
from hauberk.core.threats import Norm


@dataclass(frozen=True, slots=True)
class ScratchParams(Params):
    access = "labels"
    norms = (Norm.LINF,)
    evaluation = {"image": {"tries": 4}}
    campaign = ("image",)
    trial = {"tries": 200}
    anytime = "tries"

    tries: int = field(default=9, metadata={"help": "random corners for each row"})


@ATTACKS.register("scratch-attack", practice="2a", threats=("evasion",), summary="random corners", params=ScratchParams,
                  kinds=("image",))
def run(model, x, y, budget, params, *, rng, task):
    """Try random corners of the ball."""
    draws, found, queries = Draws.of(rng, x, y), x.copy(), np.zeros(len(x), np.int64)
    for number in range(params.tries):
        rows = np.flatnonzero(predictions(model.scores(found)) == y) if number else np.arange(len(x))
        if not len(rows):
            break
        signs = np.repeat(np.repeat(draws.rows(rows).signs((1, 2, 2), step=number), 4, axis=2), 4, axis=3)
        found[rows] = budget.project(x[rows] + budget.eps * signs, x[rows])
        queries[rows] += 2
    return SearchResult(found, queries, np.zeros(len(x), np.int64))
'''

USE = """
import numpy as np

from hauberk.attacks import campaign, evaluation, evasion
from hauberk.core.threats import Evasion, Norm

rng = np.random.default_rng(0)
x = rng.random((20, 1, 8, 8), dtype=np.float32)
weights = rng.normal(size=(64, 2)).astype(np.float32)


class Model:
    classes = 2

    def scores(self, x):
        return x.reshape(len(x), -1) @ weights


y = Model().scores(x).argmax(1)
found = evasion.scratch_attack(Model(), x, y, norm="linf", eps=0.1, tries=3)
assert found.verdicts.allowed.all()
threat = Evasion(norm=Norm.LINF, eps=0.1)
measured = evaluation.evaluate(
    Model(), x, y, threat=threat, columns=(), classes="ab", attacks=(("scratch-attack", {}),), seed=0
)
assert "robust_accuracy_scratch-attack" in measured.metrics
assert "scratch-attack" in [entry.name for entry, _ in evaluation.usual("image")]
assert "scratch-attack" in [chosen.name for chosen in campaign.usual("image")]
"""

LISTED = """
from hauberk.cli.main import run

assert run(["controls"]) == 0
"""


@pytest.fixture(scope="module")
def environment(tmp_path_factory):
    """Return the environment of a process that has the package installed."""
    site = tmp_path_factory.mktemp("site")
    (site / "scratch_attack.py").write_text(ATTACK)
    about = site / "scratch_attack-1.0.dist-info"
    about.mkdir()
    (about / "METADATA").write_text("Metadata-Version: 2.1\nName: scratch-attack\nVersion: 1.0\n")
    (about / "entry_points.txt").write_text("[hauberk.controls]\nscratch = scratch_attack\n")
    source = str(Path(hauberk.__file__).parents[1])
    return {
        **os.environ,
        "PYTHONPATH": os.pathsep.join([str(site), source]),
        "OMP_NUM_THREADS": "1",
        "COLUMNS": "300",
    }


def python(environment, *arguments):
    done = subprocess.run(
        [sys.executable, *arguments], env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    return done.stdout


def test_it_is_a_function_can_be_named_in_an_evaluation_and_joins_the_defaults(environment):
    python(environment, "-c", USE)


def test_the_command_line_knows_it(environment):
    assert "scratch-attack" in python(environment, "-c", LISTED)


def test_the_laws_of_the_family_are_asked_of_it(environment):
    tests = [str(Path(__file__).with_name(name)) for name in ("test_laws.py", "test_functions.py")]
    out = python(environment, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-k", "scratch-attack", *tests)
    passed = int(out.split(" passed")[0].split()[-1])
    assert passed >= 12, out
