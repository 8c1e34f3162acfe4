"""A principal's name and kind, what of it is refused, and that no library code looks for one in the environment."""

import ast
from pathlib import Path

import pytest

import hauberk
from hauberk.core.errors import InvalidInput
from hauberk.core.principal import UNKNOWN, Kind, Known, Principal


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("ana@bank", Principal("ana@bank")),
        ("service:nightly", Principal("nightly", Kind.SERVICE)),
        (" person: ana ", Principal("ana", Kind.PERSON)),
        ("urn:device:7", Principal("urn:device:7")),
    ],
)
def test_a_prefix_names_the_kind(text, expected):
    assert Principal.named(text) == expected


@pytest.mark.parametrize("text", ["", "  ", "device:", "a\nb", "\x1b[2J", "x" * 201])
def test_a_name_that_is_none_is_refused(text):
    with pytest.raises(InvalidInput, match="1 to 200 printable"):
        Principal.named(text)


def test_the_json_form_reads_back_and_damage_reads_as_unknown():
    made = Principal("nightly", Kind.SERVICE, Known.SYSTEM)
    assert Principal.read(made.to_json()) == made
    for damaged in (None, "ana", {}, {**made.to_json(), "kind": "god"}, {**made.to_json(), "id": ""}):
        assert Principal.read(damaged) == UNKNOWN


def test_no_library_code_looks_for_who_acts():
    """`getpass.getuser`, user variables, HAUBERK_PRINCIPAL and host names are for the command line alone."""
    root = Path(hauberk.__file__).parent
    found = [
        f"{path.relative_to(root)}: {bad}"
        for path in sorted(root.rglob("*.py"))
        if path.relative_to(root).parts[0] != "cli"
        for bad in _looks(path)
    ]
    assert found == []
    assert list(_looks(root / "cli" / "_principal.py"))  # the scan sees what it looks for


def _looks(path: Path):
    names = {"getuser", "getlogin", "gethostname", "whoami"}
    variables = {"HAUBERK_PRINCIPAL", "USER", "LOGNAME", "USERNAME"}
    tree = ast.parse(path.read_text(encoding="utf-8"))
    prose = {
        id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)
    }  # docstrings may name the variable
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and node.attr in names:
            yield node.attr
        elif isinstance(node, ast.Name) and node.id in names:
            yield node.id
        elif isinstance(node, ast.Constant) and id(node) not in prose and node.value in variables:
            yield node.value
