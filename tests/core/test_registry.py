from __future__ import annotations

import importlib.metadata
import sys
import types
from dataclasses import dataclass

import pytest

from hauberk.core import registry
from hauberk.core.errors import InvalidInput


@dataclass(frozen=True)
class Params:
    steps: int = 3

    def __post_init__(self) -> None:
        if self.steps < 1:
            raise ValueError("steps must be 1 or more")


@pytest.fixture
def family(tmp_path, monkeypatch):
    """A family whose package holds one member in a file of its own."""
    package = tmp_path / "family_package"
    package.mkdir()
    (package / "__init__.py").write_text("")
    (package / "_private.py").write_text("raise RuntimeError('private modules are not members')")
    monkeypatch.syspath_prepend(tmp_path)
    made = registry.Registry("thing", "family_package")
    (package / "first.py").write_text(
        "import family_hook\n"
        "@family_hook.family.register('first', practice='1a', threats=(), summary='the first',"
        " params=family_hook.Params)\n"
        "def run():\n    return 'ran'\n"
    )
    hook = types.ModuleType("family_hook")
    hook.family, hook.Params = made, Params
    monkeypatch.setitem(sys.modules, "family_hook", hook)
    yield made
    sys.modules.pop("family_package", None)
    sys.modules.pop("family_package.first", None)


def test_a_file_in_the_package_is_a_member(family):
    assert family["first"].run() == "ran"
    assert [entry.name for entry in family] == ["first"]


def test_a_name_is_taken_once(family):
    assert family["first"]
    with pytest.raises(InvalidInput, match="already has a member named 'first'"):
        family.register("first", practice="1a", threats=(), summary="again")(lambda: None)


def test_an_unknown_name_lists_the_known_ones(family):
    with pytest.raises(InvalidInput, match=r"no thing is named 'fist'; known: first"):
        family["fist"]


def test_parameters_check_themselves_and_unknown_ones_are_listed(family):
    assert family["first"].make({"steps": 5}) == Params(5)
    with pytest.raises(InvalidInput, match="it has: steps"):
        family["first"].make({"step": 5})
    with pytest.raises(InvalidInput, match="steps must be 1 or more"):
        family["first"].make({"steps": 0})


def test_a_package_outside_registers_through_its_entry_point(family, monkeypatch):
    class Point:
        value = "somebody_elses_package"

        def load(self):
            family.register("theirs", practice="1a", threats=(), summary="from outside")(lambda: None)

    monkeypatch.setattr(importlib.metadata, "entry_points", lambda group: [Point()] if "controls" in group else [])
    monkeypatch.setattr(registry, "_THIRD_PARTIES", [])
    assert [entry.name for entry in family] == ["first", "theirs"]
