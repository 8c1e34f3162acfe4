from __future__ import annotations

import sys
import types
from dataclasses import dataclass
from functools import partial

import pytest

from hauberk.core import code
from hauberk.core.progress import Progress
from hauberk.core.registry import Registry
from hauberk.custody.seen import Seen
from hauberk.records.steps import Product, Steps, modules_of
from hauberk.records.workshop import Workshop


@pytest.fixture
def steps(tmp_path, cheap_keys) -> Steps:
    uri = cheap_keys(tmp_path / ".hauberk" / "keyring")
    workshop = Workshop.open(
        tmp_path / ".hauberk",
        name="test",
        keys_uri=uri,
        passphrase=lambda: b"correct horse",
        seen=Seen(tmp_path / "seen"),
    )
    return Steps(workshop, progress=Progress(visible=False))


def forget() -> None:
    """Clear what was read of files, as in the next process."""
    code._digest.cache_clear()
    code._scan.cache_clear()


@pytest.fixture
def family(tmp_path, monkeypatch):
    """A family of two members that this test's modules do not import."""
    package = tmp_path / "step_family"
    package.mkdir()
    (package / "__init__.py").write_text("")
    hook = types.ModuleType("step_hook")
    hook.family = Registry("thing", "step_family")
    for name in ("one", "two"):
        (package / f"{name}.py").write_text(
            "import step_hook\n"
            f"@step_hook.family.register({name!r}, practice='1a', threats=(), summary='')\n"
            f"def run(): return {name!r}\n"
        )
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setitem(sys.modules, "step_hook", hook)
    forget()
    yield hook.family
    for name in [name for name in sys.modules if name.startswith("step_family")]:
        del sys.modules[name]


def nothing(_task) -> Product:
    return Product(values={"n": 1})


def test_a_step_is_done_once_for_the_same_inputs(steps):
    assert [steps.do("s", "S", {"a": 1}, nothing).cached for _ in range(2)] == [False, True]
    assert not steps.do("s", "S", {"a": 2}, nothing).cached


def test_work_counts_with_the_functions_and_members_that_it_holds_on_to(family):
    entry = family["one"]

    def closes_over(_task):
        return entry

    @dataclass
    class Holder:
        member: object

    holder = Holder(entry)

    def closes_over_a_dataclass(_task):
        return holder

    def calls(_task, then=closes_over):
        return then(_task)

    def has_a_default(_task, entry=entry):
        return entry

    for work in (closes_over, closes_over_a_dataclass, has_a_default, calls, partial(nothing, entry)):
        assert modules_of(work) == {__name__, "step_family.one"}


def test_a_method_and_an_object_that_is_called_count_with_their_class():
    class Work:
        def method(self, _task): ...

        def __call__(self, _task): ...

    Work.__module__ = "elsewhere"
    assert modules_of(Work()) == {"elsewhere"}
    assert modules_of(Work().method) == {"elsewhere", __name__}


def looked_up(family, name):
    def work(_task) -> Product:
        return Product(values={"ran": [entry.run() for entry in family] if name is None else [family[name].run()]})

    return work


@pytest.fixture
def edit(tmp_path):
    """Edit a member's file, and read it again, as the next process does."""

    def change(name: str) -> None:
        path = tmp_path / "step_family" / f"{name}.py"
        path.write_text(path.read_text() + "# edited\n" if path.exists() else "")
        forget()

    return change


def test_a_member_that_work_looks_up_counts(steps, family, edit):
    work = looked_up(family, "one")
    assert not steps.do("s", "S", {}, work).cached
    assert steps.do("s", "S", {}, work).cached
    edit("one")
    assert not steps.do("s", "S", {}, work).cached


def test_all_members_count_where_work_looks_at_all(steps, family, edit):
    work = looked_up(family, None)
    assert not steps.do("s", "S", {}, work).cached
    assert steps.do("s", "S", {}, work).cached
    edit("two")
    assert not steps.do("s", "S", {}, work).cached
    edit("a_new_member")
    assert not steps.do("s", "S", {}, work).cached


def test_work_whose_code_cannot_be_read_is_done_each_time(steps):
    scope = {"__name__": "typed_at_a_prompt", "Product": Product}
    exec("def work(_task): return Product()", scope)
    assert not any(steps.do("s", "S", {}, scope["work"]).cached for _ in range(2))
