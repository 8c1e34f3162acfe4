from __future__ import annotations

import pytest

from hauberk.core import practices
from hauberk.core.errors import InvalidInput


def test_the_ids_are_those_of_the_blueprint_and_each_is_used_once():
    ids = [practice.id for practice in practices.PRACTICES]
    assert ids == [
        "1a",
        "1b",
        "1c",
        "2a",
        "2b",
        "2c",
        "3a",
        "3b",
        "3c",
        "4a",
        "4b",
        "4c",
        "5a",
        "5b",
        "A1",
        "A2",
        "A3",
        "A4",
    ]


def test_unknown_practices_and_roles_are_refused_with_the_known_ones():
    practices.check_practice("A4")
    practices.check_role("hardened")
    with pytest.raises(InvalidInput, match="no practice 'A5'; known: 1a"):
        practices.check_practice("A5")
    with pytest.raises(InvalidInput, match="no role 'hardend' in evidence; known: data, plain"):
        practices.check_role("hardend")


def test_the_table_names_each_practice_and_says_what_does_not_work():
    head, _, *rows, last = practices.practice_table().splitlines()
    assert head == "| practice | command | status |"
    assert all(line.count("|") == 4 for line in (*rows, last))
    run = [practice for practice in practices.PRACTICES if practice.command]
    for practice, row in zip(run, rows, strict=True):
        assert f"{practice.id} " in row
        assert practice.name in row
        assert practice.command in row
        assert "| works" in row
    assert "no evidence yet" in last
    assert all((practice.name in last) != bool(practice.command) for practice in practices.PRACTICES)
