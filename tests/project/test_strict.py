"""Strict tables: each kind of mistake in our words, at its path; pydantic's own text is never shown."""

from __future__ import annotations

import datetime
from typing import Annotated, Literal

import pytest
from pydantic import AfterValidator, Field

from hauberk.project.problems import Problems
from hauberk.project.strict import Finite, Section, Text, read


def _odd(value: int) -> int:
    if value % 2 == 0:
        raise ValueError("write an odd number.")
    return value


class Inner(Section):
    depth: Annotated[int, Field(ge=1)] = 1


class Outer(Section):
    name: Annotated[Text, Field(description='write name = "x".')]
    share: Annotated[Finite, Field(ge=0, le=1, description="It is a share.")] = 0.5
    many: Annotated[int, Field(ge=2)] | None = None
    odd: Annotated[int, AfterValidator(_odd)] = 1
    flag: bool = False
    way: Literal["warm", "cold"] = "warm"
    words: list[Text] = Field(default_factory=list)
    inner: list[Inner] = Field(default_factory=list)
    alias_: str = Field("", alias="schema")


def complaints(values):
    problems = Problems("x.toml", {("outer", "inner", 1, "depth"): 9, ("outer",): 3})
    assert read(Outer, values, ("outer",), problems) is None
    return problems.found


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({}, '[outer] name: is missing: write name = "x".'),
        ({"name": ""}, '[outer] name: is missing: write name = "x".'),
        ({"name": 3}, "[outer] name: expected a string, found 3."),
        ({"name": datetime.date(2026, 1, 1)}, "[outer] name: expected a string, found a date or time."),
        ({"name": "x" * 99}, None),
        ({"share": True}, "[outer] share: expected a number, found true."),
        ({"share": float("nan")}, "[outer] share: expected a finite number, found nan."),
        ({"share": 2}, "[outer] share: expected between 0 and 1, found 2. It is a share."),
        ({"share": 1}, None),
        ({"many": 1}, "[outer] many: expected 2 or more, found 1."),
        ({"many": 2.0}, "[outer] many: expected a whole number, found 2.0."),
        ({"many": "2"}, '[outer] many: expected a whole number, found "2".'),
        ({"odd": 2}, "[outer] odd: write an odd number."),
        ({"flag": 1}, "[outer] flag: expected true or false, found 1."),
        ({"way": "worm"}, "[outer] way: \"worm\" is not known; did you mean 'warm'? Known: warm, cold."),
        ({"way": 1}, "[outer] way: expected a string, found 1."),
        ({"words": "a"}, '[outer] words: expected a list, found "a".'),
        ({"words": ["a", ""]}, '[outer] words: expected strings, found "".'),
        ({"inner": [1]}, "[outer] inner: expected tables, found 1."),
        ({"inner": [{"dept": 2}]}, "[[outer.inner]] has no key 'dept'; did you mean 'depth'? Known: depth."),
        (
            {"shema": "x"},
            "[outer] has no key 'shema'; did you mean 'schema'? Known: flag, inner, many, name, odd, schema, share, way, words.",
        ),
    ],
)
def test_each_mistake_has_its_words(given, message):
    given = {"name": "x"} | given if given else given
    if message is None:
        assert read(Outer, given, ("outer",), Problems("x.toml", {})) is not None
    else:
        assert [words for _, words in complaints(given)] == [message]


def test_all_mistakes_are_noted_each_on_its_line():
    found = complaints({"flag": "yes", "inner": [{}, {"depth": 0}]})
    assert sorted(line for line, _ in found) == [3, 3, 9]


def test_what_is_no_table_is_said_so():
    problems = Problems("x.toml", {})
    assert read(Outer, [1], ("outer",), problems) is None
    assert problems.found == [(1, "the file outer: expected a table, found a list.")]


def test_what_the_file_sets_is_known():
    table = read(Outer, {"name": "x", "flag": False}, ("outer",), Problems("x.toml", {}))
    assert (table.has("flag"), table.has("way")) == (True, False)
