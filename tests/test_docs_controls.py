"""The pages that are computed from the registries and the list of practices are up to date, and nothing in them is empty."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
from pathlib import Path

import pytest

from hauberk.cli.controls import page
from hauberk.lifecycle.families import FAMILIES, members

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs" / "controls.md"
ROWS = [row for row in members() if row["source"].startswith("hauberk.")]


def test_the_page_of_controls_is_what_the_registries_give():
    assert PAGE.read_text(encoding="utf-8") == page(ROWS), "run hauberk controls --markdown > docs/controls.md"


@pytest.mark.parametrize("row", ROWS, ids=lambda row: f"{row['family']}: {row['name']}")
def test_every_member_and_every_parameter_is_on_the_page_and_says_what_it_does(row):
    text = PAGE.read_text(encoding="utf-8")
    assert f"| `{row['name']}` | {row['practice']} |" in text
    assert len(row["summary"]) >= 10
    for parameter in row["parameters"]:
        assert f"| `{row['name']}` | `{parameter['name']}` |" in text
        assert len(parameter["help"]) >= 10, f"{row['name']}.{parameter['name']} has no metadata help"


def test_every_registry_of_hauberk_is_among_the_families():
    from hauberk.core.registry import Registry

    for registry in FAMILIES:
        registry.load()
    known = {
        id(value)
        for module in list(sys.modules.values())
        if getattr(module, "__name__", "").startswith("hauberk.")
        for value in vars(module).values()
        if isinstance(value, Registry)
    }
    assert known == {id(registry) for registry in FAMILIES}


def test_the_readme_has_the_table_that_the_list_of_practices_gives():
    spec = importlib.util.spec_from_file_location("practices_table", ROOT / "docs" / "practices_table.py")
    script = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(script)
    text = script.README.read_text(encoding="utf-8")
    assert "| practice | command | status |" in text
    assert script.renewed(text) == text, "run python docs/practices_table.py"


def test_the_command_prints_the_page():
    printed = subprocess.run(
        [sys.executable, "-c", "from hauberk.cli.main import main; main()", "controls", "--markdown"],
        capture_output=True,
        check=True,
        text=True,
    )
    assert printed.stdout == PAGE.read_text(encoding="utf-8")
