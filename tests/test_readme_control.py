"""The README's "Add a control in ten lines": what is printed runs, and passes the checks of the tree.

`tests/lifecycle/main/test_remembered.py` runs the same lines from a package of its own, in the main job.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import hauberk

ROOT = Path(__file__).parents[1]


@pytest.fixture(scope="module")
def printed() -> str:
    text = (ROOT / "README.md").read_text(encoding="utf-8").partition("## Add a control in ten lines")[2]
    return re.search(r"```python\n(.*?)```", text, re.DOTALL)[1]


def test_it_has_ten_lines(printed):
    statements = [line for line in printed.splitlines() if line.strip() and not line.strip().startswith('"""')]
    assert len(statements) <= 10


def test_it_runs_from_a_package_of_its_own(printed, tmp_path, write_plug_in):
    site = write_plug_in(tmp_path, "tiny", {"tiny_checks.py": printed})
    told = subprocess.run(
        [
            sys.executable,
            "-c",
            f"""
import sys
sys.path.insert(0, {str(site)!r})
import numpy as np
from hauberk.core.progress import Quiet
from hauberk.data.checks import CHECKS
from hauberk.data.reading.loading import DataSpec, load
split = load(DataSpec(files=("sklearn:breast_cancer",), kind="table"), seed=0)
entry = CHECKS["tiny-classes"]
measured = entry.run(split, entry.make({{}}), rng=np.random.default_rng(0), task=Quiet())
assert measured.metrics == {{"smallest_class": float(np.bincount(split.train.y).min())}}
print(entry.source, measured.metrics["smallest_class"])
""",
        ],
        capture_output=True,
        check=True,
        text=True,
    ).stdout
    assert re.fullmatch(r"tiny_checks of tiny 1\.0 1\d\d\.0\n", told)


@pytest.fixture(scope="module")
def tree(printed, tmp_path_factory) -> Path:
    """A copy of the tree with the control in its place."""
    copy = tmp_path_factory.mktemp("tree")
    shutil.copy(ROOT / "pyproject.toml", copy)
    package = Path(hauberk.__file__).parent
    shutil.copytree(package, copy / "src" / "hauberk", ignore=shutil.ignore_patterns("__pycache__"))
    (copy / "src" / "hauberk" / "data" / "checks" / "tiny_classes.py").write_text(printed)
    return copy


def in_tree(tree: Path, *command: str) -> None:
    place = "src/hauberk/data/checks/tiny_classes.py"
    done = subprocess.run(
        [sys.executable, "-m", *command, place], cwd=tree, capture_output=True, check=False, text=True
    )
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("command", [("ruff", "check"), ("ruff", "format", "--check")], ids=" ".join)
def test_lint_and_format_pass_in_the_tree(tree, command):
    in_tree(tree, *command)


@pytest.mark.slow
def test_types_pass_in_the_tree(tree):
    in_tree(tree, "mypy", "--follow-imports=silent")


def test_it_is_a_member_in_the_tree(tree):
    listed = subprocess.run(
        [sys.executable, "-c", "from hauberk.cli.main import main; main()", "controls", "--markdown"],
        env={"PYTHONPATH": str(tree / "src"), "PATH": ""},
        capture_output=True,
        check=True,
        text=True,
    ).stdout
    assert "| `tiny-classes` | 1a | poisoning | image, table | classes with few rows |" in listed
