"""Problems: collected, ordered by line, and raised as one error."""

from __future__ import annotations

import datetime

import pytest

from hauberk.core.errors import InvalidInput
from hauberk.project.problems import Problems, named, suggestion, title


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (True, "true"),
        ("x", '"x"'),
        ("x" * 61, '"' + "x" * 57 + '..."'),
        (1.5, "1.5"),
        ([1], "a list"),
        ({}, "a table"),
        (datetime.date(2026, 1, 1), "a date or time"),
    ],
)
def test_a_value_is_written_as_the_file_writes_it(value, text):
    assert named(value) == text


def test_a_misspelt_name_and_initials_find_the_name_meant():
    assert suggestion("epoch", ["batch", "epochs"]) == "did you mean 'epochs'? Known: batch, epochs."
    assert suggestion("lr", ["learning_rate"]) == "did you mean 'learning_rate'? Known: learning_rate."
    assert suggestion("zzz", []) == "Known: none."
    assert suggestion("zzz", map(str, range(50))).endswith("39, and 10 more.")


@pytest.mark.parametrize(
    ("path", "text"),
    [
        ((), "the file"),
        (("data",), "[data]"),
        (("threats", 0), "[[threats]]"),
        (("threats", 0, "columns", 2), "[[threats.columns]]"),
    ],
)
def test_a_table_has_the_heading_of_the_file(path, text):
    assert title(path) == text


def test_all_problems_come_at_once_in_the_order_of_the_file():
    problems = Problems("x.toml", {("b",): 2, ("a",): 7, ("a", "k"): 8})
    problems.wrong(("a", "k", 1), "second.")
    problems.wrong(("b", "absent"), "first.")
    problems.wrong(("b", "absent"), "first.")
    assert problems.take(("a",), lambda: 5) == 5

    def fail():
        raise InvalidInput("third.")

    assert problems.take(("a", "k", 0), fail) is None
    with pytest.raises(InvalidInput) as caught:
        problems.stop()
    lines = str(caught.value).split("\n")
    assert lines[0] == "x.toml:2: [b] absent: first."
    assert sorted(lines[1:]) == ["x.toml:8: [a] k: second.", "x.toml:8: third."]


def test_without_problems_nothing_is_raised():
    Problems("x.toml", {}).stop()
