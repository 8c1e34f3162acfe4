"""Each registered attack is a function, and the function says what its parameters say.

`python tests/attacks/evasion/test_functions.py` writes src/hauberk/attacks/evasion/__init__.pyi.
"""

from __future__ import annotations

import ast
import dataclasses
import inspect
import math
import pickle
import subprocess
from pathlib import Path

import numpy as np
import pytest

from hauberk.attacks import evasion
from hauberk.attacks.attack import attack
from hauberk.attacks.budget import Ball, ColumnBox
from hauberk.attacks.evasion import ATTACKS
from hauberk.attacks.evasion._functions import function_of
from hauberk.attacks.evasion.methods.transfer import TransferParams
from hauberk.attacks.params import Params
from hauberk.attacks.verdict import SearchResult
from hauberk.core.columns import Column, ColumnKind
from hauberk.core.errors import InvalidInput
from hauberk.core.threats import Norm

NAMES = [entry.name for entry in ATTACKS]
STUB = Path(evasion.__file__).with_suffix(".pyi")
HEAD = """\
# Written by tests/attacks/evasion/test_functions.py from the registry. Do not edit.
from collections.abc import Sequence
import numpy as np

from hauberk.attacks.attack import ATTACKS as ATTACKS
from hauberk.attacks.attack import Attack as Attack
from hauberk.attacks.columnbox import ColumnBox
from hauberk.attacks.evasion._functions import AttackFunction as AttackFunction
from hauberk.attacks.evasion.methods.corruptions import accuracy_by_corruption as accuracy_by_corruption
from hauberk.attacks.verdict import AttackResult
from hauberk.core.progress import Task
from hauberk.models.port import Floats, Labels

def function(name: str) -> AttackFunction: ...
"""


def stub():
    """Return the text that declares the function of each attack."""
    parts = [HEAD]
    ours = [entry.name.replace("-", "_") for entry in ATTACKS if entry.run.__module__.startswith("hauberk.")]
    for name in [*ours, "transfer"]:
        signature = inspect.signature(getattr(evasion, name))
        keywords = [
            f"{key}: {value.annotation}{_default(value.default)}"
            for key, value in signature.parameters.items()
            if value.kind is inspect.Parameter.KEYWORD_ONLY
        ]
        parts.append(
            f"def {name}(\n    model: object, x: Floats, y: Labels, *, {', '.join(keywords)},\n) -> AttackResult: ...\n"
        )
    return "\n".join(parts)


def _default(value):
    if value is inspect.Parameter.empty:
        return ""
    plain = (
        value is None or isinstance(value, bool | int | str) or (isinstance(value, float) and math.isfinite(value))
    )
    return f" = {value!r}" if plain else " = ..."


def test_the_stub_declares_what_the_registry_holds():
    assert ast.dump(ast.parse(STUB.read_text())) == ast.dump(ast.parse(stub())), (
        f"run `python tests/attacks/evasion/{Path(__file__).name}` to write {STUB.name}"
    )


@pytest.mark.parametrize("name", NAMES)
def test_a_function_has_the_params_defaults_and_help(name):
    params, function = ATTACKS[name].params, evasion.function(name)
    keywords = inspect.signature(function).parameters
    for field in dataclasses.fields(params):
        assert keywords[field.name].default == field.default, field.name
        assert keywords[field.name].kind is inspect.Parameter.KEYWORD_ONLY
        assert f"{field.name}: {field.metadata['help']}" in function.__doc__
    assert ("targets" in keywords) == params.targeted
    assert ("targets" in inspect.signature(ATTACKS[name].run).parameters) == params.targeted
    if params.minimal:
        assert keywords["eps"].default == math.inf
    assert getattr(evasion, name.replace("-", "_")) is function
    assert pickle.loads(pickle.dumps(function)) is function
    assert inspect.getdoc(ATTACKS[name].run) in inspect.getdoc(function)


@pytest.mark.parametrize("name", NAMES)
def test_each_param_reaches_the_search(name):
    """The search is replaced by one that returns its params: what the caller passed is what it gets."""
    entry, seen = ATTACKS[name], []

    def spy(_model, x, _y, _budget, params, *, rng, **_):
        seen.append((params, rng.integers(1 << 30)))
        return SearchResult(x, np.zeros(len(x), np.int64), np.zeros(len(x), np.int64))

    function = function_of(name, spy, entry.params, summary=entry.summary)
    region = entry.params.regions[0]
    x, budget = (X[:, 0, 0] if region is ColumnBox else X), BUDGETS[region](entry.params)
    for field in dataclasses.fields(entry.params):
        function(Model(), x, Y, **budget, **{field.name: _other(field)})
        assert getattr(seen[-1][0], field.name) == _other(field), field.name
    function(Model(), x, Y, **budget, generator=7)
    assert seen[-1][0] == entry.make({})
    assert seen[-1][1] == np.random.default_rng(7).integers(1 << 30)


def _other(field):
    """Return a legal value other than the default."""
    if isinstance(field.default, bool):
        return not field.default
    if isinstance(field.default, int):
        return field.default + 5
    if isinstance(field.default, float):
        return field.default * 0.5 if field.default else 0.5
    return {"cross-entropy": "margin", "random": "origin", "search": "centre"}[field.default]


X, Y = np.full((3, 1, 6, 6), 0.5, np.float32), np.zeros(3, np.int64)


COLUMNS = tuple(Column(name, ColumnKind.NUMBER, 0, 1) for name in "abcdef")


class Model:
    """Prefers class 0; has gradients."""

    classes, device = 2, "cpu"

    def scores(self, x):
        return np.stack([np.ones(len(x)), np.zeros(len(x))], axis=1).astype(np.float32)

    def logits(self, _x):
        raise AssertionError("the search is replaced")


BUDGETS = {
    Ball: lambda params: {"norm": str(params.norms[0]), "eps": 0.1},
    ColumnBox: lambda _: {"box": ColumnBox(COLUMNS, ())},
}
for _entry in ATTACKS:  # the other regions have keywords of their own, most of them with defaults
    for _region in _entry.params.regions:
        _needed = [f.name for f in dataclasses.fields(_region) if f.default is dataclasses.MISSING]
        BUDGETS.setdefault(_region, lambda _, needed=tuple(_needed): dict.fromkeys(needed, 0.1))


@pytest.fixture(scope="module")
def linear_pictures():
    rng = np.random.default_rng(0)
    x = rng.random((12, 1, 6, 6), dtype=np.float32)
    weights = rng.normal(size=(36, 3)).astype(np.float32)
    return (lambda rows: rows.reshape(len(rows), -1) @ weights), x, (x.reshape(12, -1) @ weights).argmax(1)


def test_a_function_returns_what_the_run_through_the_registry_returns(linear_pictures):
    model, x, y = linear_pictures
    entry = ATTACKS["square"]
    one = evasion.square(model, x, y, norm="linf", eps=0.05, queries=30, generator=3)
    params = entry.make({"queries": 30})
    two = attack(entry.run, model, x, y, Ball(Norm.LINF, 0.05), params, rng=np.random.default_rng(3))
    np.testing.assert_array_equal(one.x, two.x)
    np.testing.assert_array_equal(one.verdicts.queries, two.verdicts.queries)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"norm": "linf", "eps": 0.1, "querys": 3}, "no keyword 'querys'.*Did you mean 'queries'"),
        ({"norm": "linf"}, "eps"),
        ({"norm": "linf", "eps": 0.1, "queries": "many"}, "`queries` is a whole number, found 'many'"),
        ({"norm": "linf", "eps": 0.1, "queries": True}, "`queries` is a whole number, found True"),
        ({"norm": "linf", "eps": "0.1"}, "`eps` is a number"),
        ({"norm": "max", "eps": 0.1}, "no norm is named 'max'; known: linf, l2, l1"),
    ],
)
def test_a_keyword_that_cannot_be_meant_is_named(settings, message, linear_pictures):
    with pytest.raises(InvalidInput, match=message):
        evasion.square(*linear_pictures, **settings)


@pytest.mark.parametrize("settings", [{}, {"norm": "linf"}, {"norm": "linf", "eps": 0.1, "box": ColumnBox((), ())}])
def test_one_budget_is_expected_where_several_kinds_fit(settings, linear_pictures):
    with pytest.raises(InvalidInput, match="`norm` and `eps` or `box`"):
        evasion.label_search(*linear_pictures, **settings)


def test_a_parameter_with_the_name_of_another_keyword_is_refused():
    @dataclasses.dataclass(frozen=True, slots=True)
    class Clash(Params):
        access = "scores"
        norms = (Norm.L2,)
        eps: float = 1.0

    with pytest.raises(TypeError, match="eps"):
        function_of("clash", lambda: None, Clash, summary="x")


def test_what_needs_other_models_is_a_function_outside_the_registry():
    assert "transfer" not in NAMES
    keywords = inspect.signature(evasion.transfer).parameters
    assert keywords["surrogates"].default is inspect.Parameter.empty
    assert {field.name for field in dataclasses.fields(TransferParams)} <= set(keywords)


def test_the_package_lists_its_functions_and_knows_no_others():
    assert {name.replace("-", "_") for name in NAMES} <= set(dir(evasion))
    with pytest.raises(AttributeError, match="pgd2"):
        _ = evasion.pgd2


if __name__ == "__main__":
    STUB.write_text(stub())
    subprocess.run(["ruff", "format", STUB], check=True)
