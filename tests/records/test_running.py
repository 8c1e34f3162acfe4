"""The runner stamps a measurement with its circumstances, refuses what is not listed, and is alone in making evidence."""

from __future__ import annotations

import ast
import dataclasses
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest

import hauberk
from hauberk.core.control import seed_of
from hauberk.core.errors import InvalidInput
from hauberk.core.evidence import Measurement, Subject
from hauberk.core.principal import Kind, Principal
from hauberk.core.registry import NoParams, Registry
from hauberk.custody.seen import Seen
from hauberk.records import running
from hauberk.records.workshop import Workshop

NOON = datetime(2026, 1, 2, 12, tzinfo=UTC)
DATA = Subject("dataset", "ab" * 32)
BY = Principal("nightly", Kind.SERVICE)
FAMILY = Registry("test control", "hauberk.lifecycle.controls")


@dataclass(frozen=True)
class Params:
    limit: int = 3
    note: str | None = None


@FAMILY.register("double", practice="1a", threats=("poisoning",), summary="doubles", params=Params)
def double(inputs, params, *, rng, task):
    """A control whose inputs are a number, and that draws one."""
    task.update(0.5)
    return Measurement(
        {"value": inputs * params.limit, "drawn": float(rng.random()), "seed": float(seed_of(rng))},
        outputs={"rows.json": b"[1]"},
        details={"read": 1},
        notes=("done",),
    )


DOUBLE = FAMILY._entries["double"]  # the package is not imported for it


class Clock:
    """Each look is a second later."""

    def __init__(self):
        self.looks = 0

    def __call__(self):
        self.looks += 1
        return NOON + timedelta(seconds=self.looks)


@pytest.fixture
def workshop(tmp_path, cheap_keys):
    home = tmp_path / ".hauberk"
    with Workshop.open(
        home,
        name="test",
        keys_uri=cheap_keys(home / "keyring"),
        passphrase=lambda: b"correct horse",
        clock=Clock(),
        seen=Seen(tmp_path / "seen.json"),
        by=BY,
    ) as opened:
        yield opened


def run(workshop, control=DOUBLE, params=None, **changes):
    told = {"role": "data", "about": (DATA,), "seed": 7, **changes}
    return running.run(workshop, control, 2.0, params or Params(), **told)


def test_evidence_carries_who_what_when_and_how(workshop):
    ran = run(workshop, params=Params(limit=5))
    told = ran.statement.predicate
    assert (told["control"], told["practice"], told["role"], told["seed"]) == ("double", "1a", "data", 7)
    assert told["by"] == BY.to_json()
    assert told["parameters"] == {"limit": 5}
    assert told["metrics"] == {"value": 10.0, "drawn": float(np.random.default_rng(7).random()), "seed": 7.0}
    assert told["started"] < told["finished"]
    assert (told["details"], told["notes"]) == ({"read": 1}, ["done"])
    assert "numpy" in told["versions"]
    assert workshop.artifacts.get(ran.outputs["rows.json"]) == b"[1]"


def test_subjects_may_come_from_the_outputs_which_are_then_named_once(workshop):
    ran = run(workshop, about=lambda outputs: [DATA, Subject("rows.json", outputs["rows.json"])])
    assert [subject.name for subject in ran.statement.subjects] == ["dataset", "rows.json"]
    assert ran.statement.predicate["outputs"] == []


def test_a_file_is_kept_without_reading_it_into_the_measurement(workshop, tmp_path):
    (tmp_path / "large").write_bytes(b"x" * 1000)
    control = dataclasses.replace(DOUBLE, run=lambda *_, **__: Measurement({}, files={"large": tmp_path / "large"}))
    assert workshop.artifacts.get(run(workshop, control).outputs["large"]) == b"x" * 1000


@pytest.mark.parametrize(
    ("control", "changes", "message"),
    [
        (DOUBLE, {"role": "king"}, "no role 'king'"),
        (dataclasses.replace(DOUBLE, practice="9z"), {}, "no practice '9z'"),
        (DOUBLE, {"params": NoParams()}, "double takes"),
    ],
)
def test_what_is_not_listed_is_refused_before_the_control_runs(workshop, control, changes, message):
    def never(*_args, **_kwargs):
        raise AssertionError("the control ran")

    with pytest.raises(InvalidInput, match=message):
        run(workshop, dataclasses.replace(control, run=never), **changes)


def test_a_measurement_that_is_not_finite_is_never_signed(workshop):
    control = dataclasses.replace(DOUBLE, run=lambda *_, **__: Measurement({"accuracy": float("nan")}))
    ran = run(workshop, control)
    with pytest.raises(InvalidInput):
        workshop.attest(ran.statement)
    assert workshop.ledger.size == 0


def test_nothing_but_the_runner_makes_evidence():
    """A place that builds evidence by hand can forget who ran it, or name a control that nobody registered."""
    root = Path(hauberk.__file__).parent
    makers = {
        path.relative_to(root).as_posix()
        for path in root.rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Call) and _name(node.func) in {"Evidence", "evidence"}
    }
    assert makers == {"records/running.py"}


def _name(function):
    return function.attr if isinstance(function, ast.Attribute) else getattr(function, "id", "")
