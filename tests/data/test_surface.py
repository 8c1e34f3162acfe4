"""The room's public names: each is lifted from the module that defines it, and importing the room stays cheap."""

import ast
import importlib
import subprocess
import sys
from pathlib import Path

import pytest

import hauberk.data as room


def _type_checking_imports():
    tree = ast.parse(Path(room.__file__).read_text())
    block = next(node for node in tree.body if isinstance(node, ast.If))
    return {alias.name: node.module for node in block.body for alias in node.names}


@pytest.mark.parametrize("name", room.__all__)
def test_a_public_name_is_the_object_that_its_module_defines(name):
    lifted = getattr(room, name)
    assert lifted is getattr(importlib.import_module(lifted.__module__), name)
    assert lifted.__module__.startswith("hauberk.data.")
    assert lifted.__doc__


def test_types_and_runtime_agree_about_every_name():
    homes = {name: f"hauberk.data.{home}" for name, home in room._HOMES.items()}
    assert _type_checking_imports() == homes
    assert sorted(homes) == sorted(room.__all__)
    assert set(room.__all__) <= set(dir(room))


def test_an_unknown_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match="no attribute 'load_pickle'"):
        room.load_pickle  # noqa: B018 - the access itself is tested


def test_importing_the_room_loads_nothing_heavy():
    script = "import sys, hauberk.data; print(sorted({'numpy', 'polars', 'torch', 'scipy', 'pydantic'} & set(sys.modules)))"
    result = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert result.stdout.strip() == "[]"
