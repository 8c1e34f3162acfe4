from __future__ import annotations

import json
from dataclasses import dataclass, field

import pytest

from hauberk.cli.controls import page
from hauberk.cli.main import run
from hauberk.data.checks import CHECKS
from hauberk.lifecycle.families import FAMILIES, members


@dataclass(frozen=True)
class Params:
    limit: float = field(default=0.5, metadata={"help": "how much | of it"})
    names: tuple[str, ...] = field(default_factory=lambda: ("a", "b"), metadata={"help": "which"})
    must: int = field(kw_only=True, metadata={"help": "has no default"})


@pytest.fixture
def guest():
    """A check that a plug-in, here this file, has registered."""
    CHECKS.load()
    CHECKS.register("guest", practice="4c", threats=("evasion",), summary="of a guest", params=Params)(lambda: None)
    yield
    del CHECKS._entries["guest"]


@pytest.mark.usefixtures("guest")
def test_controls_lists_every_member_with_its_parameters(capsys):
    assert run(["controls", "--json"]) == 0
    listed = json.loads(capsys.readouterr().out)["controls"]
    assert {(row["family"], row["name"]) for row in listed} == {
        (registry.family, entry.name) for registry in FAMILIES for entry in registry
    }
    (row,) = [row for row in listed if row["name"] == "guest"]
    assert (row["practice"], row["threats"]) == ("4c", ["evasion"])
    assert row["source"] == __name__
    assert row["parameters"] == [
        {"name": "limit", "type": "float", "default": 0.5, "help": "how much | of it"},
        {"name": "names", "type": "tuple[str, ...]", "default": ["a", "b"], "help": "which"},
        {"name": "must", "type": "int", "default": None, "help": "has no default"},
    ]


@pytest.mark.usefixtures("guest")
def test_controls_prints_names_parameters_and_where_a_guest_comes_from(capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "300")
    assert run(["controls"]) == 0
    shown = capsys.readouterr().out
    assert "limit = 0.5: how much | of it" in shown
    assert f"({__name__})" in shown
    assert "coordinate-search" in shown


@pytest.mark.usefixtures("guest")
def test_the_page_lists_no_plug_ins_and_escapes_what_would_end_a_cell(capsys):
    assert run(["controls", "--markdown"]) == 0
    assert "guest" not in capsys.readouterr().out
    rows = [{**row, "source": "hauberk.made"} for row in members() if row["name"] == "guest"]
    assert "| `guest` | `limit` | float | `0.5` | how much \\| of it |" in page(rows)
