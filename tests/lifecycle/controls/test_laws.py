"""What every control of the jobs keeps to: it measures, and neither knows a project nor signs, logs or reads a clock."""

from __future__ import annotations

import ast
import dataclasses
import inspect
from pathlib import Path

import pytest

import hauberk.lifecycle.controls as package
from hauberk.lifecycle.controls import CONTROLS

FILES = sorted(Path(package.__file__).parent.glob("*.py"))
ABOVE = ("hauberk.records", "hauberk.project", "hauberk.lifecycle.main", "hauberk.lifecycle.updating")


@pytest.mark.parametrize("entry", list(CONTROLS), ids=lambda entry: entry.name)
def test_a_control_is_called_in_the_common_shape_and_its_params_have_defaults(entry):
    assert list(inspect.signature(entry.run).parameters) == ["inputs", "params", "rng", "task"]
    assert entry.make({}) == entry.params()
    assert dataclasses.fields(entry.params) == () or entry.params.__dataclass_params__.frozen


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_a_control_imports_nothing_that_signs_or_logs_and_reads_no_time_of_day(path):
    tree = ast.parse(path.read_text(encoding="utf-8"))
    imported = {node.module or "" for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
    imported |= {name.name for node in ast.walk(tree) if isinstance(node, ast.Import) for name in node.names}
    assert not [name for name in imported if name.startswith(ABOVE)]
    assert "datetime" not in imported
