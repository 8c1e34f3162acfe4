"""The schema file: read strictly, and what is wrong is named with its line."""

from __future__ import annotations

from datetime import timedelta

import pytest

from hauberk.core.errors import InvalidInput
from hauberk.data.verification.schema import load_schema, parse_schema

FULL = """version = 1

[table]
min_rows = 10
unique = [["id", "day"]]

[columns.age]
type = "integer"
min = 0
max = 120

[columns."a.b"]
type = "text"
allowed = ["x", "y"]

[[rules]]
name = "order"
expression = "a <= b"

[[rules]]
name = "second"
expression = "a > 0"
nulls = "pass"

[[groups]]
name = "daily"
by = ["day"]
max_rows = 5
sum = {column = "age", max = 100}

[freshness]
column = "seen"
max_age = "36h"
"""


def test_a_full_file_is_read():
    schema = parse_schema(FULL)
    assert schema.columns["age"].max == 120
    assert schema.columns["a.b"].allowed == ("x", "y")
    assert schema.table.unique == (("id", "day"),)
    assert schema.rules[1].nulls == "pass"
    assert schema.groups[0].sum is not None
    assert schema.groups[0].sum.max == 100
    assert schema.freshness is not None
    assert schema.freshness.max_age == timedelta(hours=36)


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("max = 120", "maximum = 120", r"line 10: columns.age.maximum: is not a known key. Known here: .*nullable"),
        ('nulls = "pass"', 'null = "pass"', r"line 23: rules.1.null: is not a known key"),
        ('allowed = ["x", "y"]', 'alowed = ["x"]', r"line 14: columns.a.b.alowed"),
        ("max_rows = 5", "max_rows = 0", r"line 28: groups.0.max_rows"),
        ("min = 0", "min = 500", r"line 7: columns.age: min 500 is above max 120"),
        ('"integer"', '"int"', r"line 8: columns.age.type: Input should be 'boolean'"),
        ("min = 0", 'min = "0"', r"line 9: columns.age.min"),
        ('"36h"', '"soon"', r"line 33: freshness.max_age: expected a span of time"),
        ('name = "second"', 'name = "order"', "two rules are named 'order'"),
        ("version = 1", "version = 2", r"version 2; known: 1"),
        ("version = 1", "", r"version None; known: 1"),
        ("[table]", "[table", r"is not TOML"),
        ("max_rows = 5\n", "", None),
        ('max_rows = 5\nsum = {column = "age", max = 100}\n', "", "has no rule"),
    ],
)
def test_what_is_wrong_is_named_with_its_line(old, new, words):
    text = FULL.replace(old, new, 1)
    assert text != FULL
    if words is None:
        parse_schema(text)
        return
    with pytest.raises(InvalidInput, match=words):
        parse_schema(text)


def test_rules_that_do_not_fit_the_type_are_refused():
    for body, words in (
        ('type = "integer"\npattern = "x"', "pattern is a rule for text"),
        ('type = "text"\nmin = 1', "min and max are rules for numbers"),
        ("min = 1\nmax = 2020-01-01", "different types"),
    ):
        with pytest.raises(InvalidInput, match=words):
            parse_schema(f"version = 1\n[columns.a]\n{body}\n")


def test_an_absent_file_says_how_to_get_one(tmp_path):
    with pytest.raises(InvalidInput, match="hauberk data infer"):
        load_schema(tmp_path / "no.toml")
