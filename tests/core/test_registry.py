from __future__ import annotations

import sys
import threading
import types
from dataclasses import dataclass

import pytest

from hauberk.core import registry
from hauberk.core.errors import InvalidInput, Unavailable


@dataclass(frozen=True)
class Params:
    steps: int = 3

    def __post_init__(self) -> None:
        if self.steps < 1:
            raise ValueError("steps must be 1 or more")


MEMBER = """
import family_hook
@family_hook.family.register({name!r}, practice="1a", threats=(), summary="one", params=family_hook.Params)
def run():
    return {name!r}
"""


@pytest.fixture
def family(tmp_path, monkeypatch):
    """A family whose package holds one member in a file of its own."""
    package = tmp_path / "family_package"
    package.mkdir()
    (package / "__init__.py").write_text("")
    (package / "_private.py").write_text("raise RuntimeError('private modules are not members')")
    (package / "first.py").write_text(MEMBER.format(name="first"))
    monkeypatch.syspath_prepend(tmp_path)
    made = registry.Registry("thing", "family_package")
    hook = types.ModuleType("family_hook")
    hook.family, hook.Params = made, Params
    monkeypatch.setitem(sys.modules, "family_hook", hook)
    before = set(sys.modules)
    yield made
    for name in set(sys.modules) - before:
        if name.startswith(("family_package", "theirs")):
            del sys.modules[name]


def test_a_file_in_the_package_is_a_member(family):
    assert family["first"].run() == "first"
    assert family["first"].source == "family_package.first"
    assert [entry.name for entry in family] == ["first"]


def test_a_second_member_of_a_name_is_refused_and_both_sources_are_named(family):
    assert family["first"]
    with pytest.raises(
        InvalidInput,
        match=r"already has a member named 'first': family_package\.first registered it, and .*test_registry",
    ):
        family.register("first", practice="1a", threats=(), summary="again")(lambda: None)
    assert family["first"].run() == "first"


def test_one_module_cannot_register_a_name_twice(family, tmp_path):
    (tmp_path / "family_package" / "second.py").write_text(MEMBER.format(name="second") * 2)
    with pytest.raises(Unavailable, match="already has a member named 'second'"):
        family["first"]


def test_an_unknown_practice_or_kind_of_threat_is_refused_at_registration(family):
    with pytest.raises(InvalidInput, match="no practice '1z'; known: 1a, 1b"):
        family.register("new", practice="1z", threats=(), summary="")
    with pytest.raises(InvalidInput, match="no kind of threat 'magic'; known: evasion, poisoning"):
        family.register("new", practice="1a", threats=("evasion", "magic"), summary="")


def test_an_unknown_name_lists_the_known_ones(family):
    with pytest.raises(InvalidInput, match=r"no thing is named 'fist'; known: first"):
        family["fist"]


def test_parameters_check_themselves_and_unknown_ones_are_listed(family):
    assert family["first"].make({"steps": 5}) == Params(5)
    with pytest.raises(InvalidInput, match="it has: steps"):
        family["first"].make({"step": 5})
    with pytest.raises(InvalidInput, match="steps must be 1 or more"):
        family["first"].make({"steps": 0})


def test_a_package_outside_registers_through_its_entry_point(family, tmp_path, write_plug_in):
    write_plug_in(tmp_path, "theirs", {"theirs/checks.py": MEMBER.format(name="theirs"), "theirs/__init__.py": ""})
    assert [entry.name for entry in family] == ["first", "theirs"]
    assert family["theirs"].source == "theirs.checks of theirs 1.0"


BROKEN = {
    "it needs what is not installed": "import no_such_library",
    "it has a fault": "1 / 0",
    "it ends the process": "raise SystemExit(0)",
    "it takes a name": MEMBER.format(name="first"),
    "it registers, then fails": MEMBER.format(name="half") + "import no_such_library",
    "it serves no practice": MEMBER.format(name="new").replace("1a", "9z"),
}


@pytest.mark.parametrize("source", BROKEN.values(), ids=BROKEN)
def test_a_plug_in_that_cannot_be_imported_is_named_at_each_access(family, tmp_path, write_plug_in, source):
    write_plug_in(tmp_path, "theirs", {"theirs.py": source}, version="2.5")
    said = set()
    for _ in range(3):
        for access in (lambda: list(family), lambda: family["half"], lambda: family["absent"]):
            with pytest.raises(
                Unavailable, match=r"the plug-in theirs 2\.5 \(entry point theirs = theirs\)"
            ) as caught:
                access()
            assert caught.value.__cause__ is not None
            said.add(str(caught.value))
    assert len(said) == 1
    assert family["first"].run() == "first"  # needs no plug-in


def test_a_plug_in_that_was_repaired_is_there_at_the_next_access(family, tmp_path, write_plug_in):
    write_plug_in(tmp_path, "theirs", {"theirs.py": MEMBER.format(name="theirs") + "import theirs_needs"})
    with pytest.raises(Unavailable, match="theirs_needs"):
        list(family)
    (tmp_path / "theirs_needs.py").write_text("")
    registry.importlib.invalidate_caches()
    assert [entry.name for entry in family] == ["first", "theirs"]


def test_a_module_of_the_family_that_cannot_be_imported_is_named_at_each_access(family, tmp_path):
    (tmp_path / "family_package" / "second.py").write_text(MEMBER.format(name="second") + "import no_such_library")
    for _ in range(2):
        with pytest.raises(
            Unavailable, match=r"the thing module family_package\.second cannot be imported: ModuleNot"
        ):
            family["first"]


def test_threads_at_first_access_all_see_all_members(family, tmp_path, write_plug_in):
    # Slow modules: a thread that does not wait for the loading one would see a part.
    for number in range(4):
        slow = f"import time\ntime.sleep(0.02)\n{MEMBER.format(name=f'slow{number}')}"
        (tmp_path / "family_package" / f"slow{number}.py").write_text(slow)
    write_plug_in(
        tmp_path, "theirs", {"theirs.py": "import time\ntime.sleep(0.02)\n" + MEMBER.format(name="theirs")}
    )
    seen: list[object] = []
    start = threading.Barrier(8)

    def look():
        start.wait()
        try:
            seen.append(tuple(entry.name for entry in family))
        except Exception as error:  # noqa: BLE001 - of another thread
            seen.append(error)

    threads = [threading.Thread(target=look) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert set(seen) == {("first", "slow0", "slow1", "slow2", "slow3", "theirs")}


def test_a_plug_in_may_look_at_a_family_while_it_is_imported(family, tmp_path, write_plug_in):
    source = "import family_hook\nseen = [e.name for e in family_hook.family]\n" + MEMBER.format(name="theirs")
    write_plug_in(tmp_path, "theirs", {"theirs.py": source})
    assert [entry.name for entry in family] == ["first", "theirs"]
    assert sys.modules["theirs"].seen == ["first"]


def test_look_ups_are_recorded_for_whoever_asks(family):
    with registry.look_ups() as outer:
        assert family["first"]
        with registry.look_ups() as inner:
            list(family)
    assert family["first"]
    named = registry.LookUp("family_package", "first", "family_package.first")
    every = registry.LookUp("family_package", "", "")
    assert (outer, inner) == ([named, every, named], [every, named])
