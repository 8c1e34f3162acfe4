"""The public surface: what each room lifts resolves, is described, is typed for editors, and loads nothing heavy."""

from __future__ import annotations

import ast
import importlib
import inspect
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest

SOURCE = Path(__file__).parents[1] / "src" / "hauberk"
ROOMS = sorted(p.name for p in SOURCE.iterdir() if (p / "__init__.py").is_file() and p.name != "cli")
HEAVY = ("torch", "sklearn", "polars", "onnx", "onnxruntime", "matplotlib")


def _room(name: str) -> ModuleType:
    return importlib.import_module(f"hauberk.{name}")


def _named(tree: ast.Module) -> set[str]:
    """Return the names that a file imports under TYPE_CHECKING."""
    blocks = [node for node in tree.body if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING"]
    imports = [one for block in blocks for one in block.body if isinstance(one, ast.ImportFrom)]
    return {alias.asname or alias.name for one in imports for alias in one.names}


@pytest.mark.parametrize("room", ROOMS)
def test_each_lifted_name_resolves_and_is_described(room: str) -> None:
    module = _room(room)
    assert module.__all__, f"hauberk.{room} lifts nothing"
    for name in module.__all__:
        value = getattr(module, name)
        if inspect.isfunction(value) or inspect.isclass(value):
            assert inspect.getdoc(value), f"hauberk.{room}.{name} has no docstring"


@pytest.mark.parametrize("room", [room for room in ROOMS if hasattr(_room(room), "_HOMES")])
def test_type_checkers_see_each_lifted_name_from_the_same_module(room: str) -> None:
    tree = ast.parse((SOURCE / room / "__init__.py").read_text(encoding="utf-8"))
    assert _named(tree) == set(_room(room).__all__)
    homes = {
        alias.name: (node.module or "").removeprefix(f"hauberk.{room}.")
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
    }
    assert {name: homes[name] for name in _room(room).__all__} == _room(room)._HOMES


@pytest.mark.parametrize("room", [room for room in ROOMS if hasattr(_room(room), "_HOMES")])
def test_an_unknown_name_is_refused_with_the_known_ones(room: str) -> None:
    with pytest.raises(AttributeError, match=_room(room).__all__[0]):
        _room(room).no_such_name  # noqa: B018 - the access raises


def test_importing_the_rooms_loads_no_heavy_library() -> None:
    code = f"import sys; {'; '.join(f'import hauberk.{room}' for room in ROOMS)}; print(*sys.modules)"
    loaded = set(
        subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    )
    assert not loaded & set(HEAVY)
