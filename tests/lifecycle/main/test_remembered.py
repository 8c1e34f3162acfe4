"""What an edit makes the main job do again: the steps whose code it touched, and no other."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import hauberk

DECLARED = """
[[threats]]
name = "measuring"
kind = "evasion"
columns = [{ column = "mean texture", by = 4.0 }, { column = "worst area", by = 150.0 }]

[evaluation]
rows = 20
attacks = [{ name = "label-search", queries = 20 }]

[gate]
smallest_class = ">= 20"
"""
README = Path(__file__).parents[3] / "README.md"


class Place:
    """A copy of Hauberk's source, an installed plug-in, and a project: what a run of the main job reads."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.package = folder / "source" / "hauberk"
        self.site = folder / "site"

    def run(self) -> tuple[str, set[str]]:
        """Run the main job in a process of its own. Returns its verdict and the steps that it did."""
        environment = {
            **os.environ,
            "PYTHONPATH": f"{self.folder / 'source'}{os.pathsep}{self.site}",
            "PYTHONDONTWRITEBYTECODE": "1",
            "HAUBERK_PASSPHRASE": "correct horse",
            "HAUBERK_STATE": str(self.folder / "seen.json"),
        }
        done = subprocess.run(
            [sys.executable, "-c", "from hauberk.cli.main import main; main()", "protect", "project", "--json"],
            cwd=self.folder,
            env=environment,
            capture_output=True,
            check=False,
        )
        assert done.returncode in (0, 3), done.stderr.decode()
        told = json.loads(done.stdout)
        return told["verdict"], {step["name"] for step in told["steps"] if not step["cached"]}

    def touch(self, module: str) -> None:
        """Add a comment to one of Hauberk's modules, wherever in its room it lies."""
        (path,) = self.package.rglob(module)
        path.write_text(path.read_text() + "\n# touched\n")


@pytest.fixture(scope="module")
def finished(tmp_path_factory, cells_project, cheap_keys, write_plug_in) -> Place:
    """A place where the main job has run; only to be copied."""
    place = Place(tmp_path_factory.mktemp("finished"))
    shutil.copytree(Path(hauberk.__file__).parent, place.package, ignore=shutil.ignore_patterns("__pycache__"))
    text = README.read_text(encoding="utf-8").partition("## Add a control in ten lines")[2]
    printed = text.partition("```python\n")[2].partition("```")[0]
    write_plug_in(place.site, "tiny", {"tiny_checks.py": printed})
    cheap_keys(cells_project(place.folder / "project", DECLARED) / ".hauberk" / "keyring")
    verdict, steps = place.run()
    assert verdict == "allow"
    assert {"load", "verify/tiny-classes", "train/plain", "train/hardened", "release"} <= steps
    return place


@pytest.fixture
def place(finished, tmp_path) -> Place:
    """A copy of the finished place, to edit."""
    shutil.copytree(finished.folder, tmp_path / "place")
    return Place(tmp_path / "place")


ATTACKED = {"attack/measuring/plain", "attack/measuring/hardened"}
DECIDED = {"gate", "release"}


def test_a_run_after_edits_to_the_command_line_the_report_and_other_attacks_does_nothing_again(place):
    for module in (
        "cli/protect.py",
        "report/sections.py",
        "attacks/**/evolutionary.py",
        "release/verification.py",
    ):
        place.touch(module)
    assert place.run() == ("allow", set())


def test_an_edited_plug_in_is_run_again_and_changes_the_verdict(place):
    check = place.site / "tiny_checks.py"
    check.write_text(check.read_text().replace("float(smallest)", "1.0"))
    verdict, steps = place.run()
    assert verdict == "refuse"
    assert "verify/tiny-classes" in steps
    assert not {step for step in steps if step.startswith(("train", "attack"))}


def test_an_edit_of_the_chosen_attack_repeats_the_attack_and_no_training(place):
    place.touch("attacks/**/label_search.py")
    verdict, steps = place.run()
    assert verdict == "allow"
    assert ATTACKED <= steps <= ATTACKED | DECIDED


def test_an_edit_of_the_attack_that_hardening_looks_up_repeats_hardening(place):
    place.touch("attacks/**/coordinate_search.py")
    _, steps = place.run()
    assert "train/hardened" in steps
    assert not steps & {"train/plain", "attack/measuring/plain"}


def test_a_plug_in_that_breaks_stops_the_job_each_time(place):
    (place.site / "tiny_checks.py").write_text("import no_such_library\n")
    for _ in range(2):
        with pytest.raises(AssertionError, match=r"the plug-in tiny 1\.0 \(entry point tiny = tiny_checks\)"):
            place.run()
