from __future__ import annotations

import numpy as np
import pytest

from hauberk.attacks import relations
from hauberk.core.columns import Column, ColumnKind
from hauberk.core.errors import InvalidInput
from hauberk.core.relations import parse

COLUMNS = (
    Column("parts", ColumnKind.NUMBER, 0, 10),
    Column("labour", ColumnKind.NUMBER, 0, 10),
    Column("total", ColumnKind.NUMBER, 0, 20),
    Column("cover", ColumnKind.CATEGORY, 0, 1, ("full", "none")),
)
KNOWN = {column.name: column for column in COLUMNS}
PLACE = {column.name: index for index, column in enumerate(COLUMNS)}


def violation(text, *rows):
    return relations.broken_by(parse(text), COLUMNS, np.array(rows, np.float32), PLACE)[0].tolist()


def test_the_violation_of_an_equality_is_its_absolute_gap():
    assert violation("total = parts + labour", [1, 2, 3, 0], [1, 2, 5, 0], [1, 2, 1, 0]) == [0, 2, 2]


def test_the_violation_of_an_inequality_has_one_side():
    assert violation("parts <= 2 * labour", [4, 2, 0, 0], [5, 2, 0, 0], [1, 2, 0, 0]) == [0, 1, -3]


def test_an_implication_counts_only_where_its_conditions_hold():
    text = 'cover = "full" and parts > 3 => labour <= 1'
    assert violation(text, [4, 5, 0, 0], [4, 5, 0, 1], [3, 5, 0, 0]) == [4, 0, 0]


def test_a_category_that_differs_violates_by_one():
    text = 'parts >= 5 => cover = "none"'
    assert violation(text, [6, 0, 0, 0], [6, 0, 0, 1], [4, 0, 0, 0]) == [1, 0, 0]


def test_a_row_may_keep_a_violation_but_not_enlarge_it():
    origin = np.array([[1, 2, 5, 0]] * 3, np.float32)
    x = np.array([[1, 2, 5, 0], [1, 2, 4, 0], [1, 2, 6, 0]], np.float32)
    assert relations.holds(parse("total = parts + labour"), COLUMNS, x, origin).tolist() == [True, True, False]


def test_float32_rounding_is_no_violation():
    x = np.array([[0.1, 0.2, 0.3, 0]], np.float32)
    assert relations.holds(parse("total = parts + labour"), COLUMNS, x, x).all()
    assert relations.broken_by(parse("total = parts + labour"), COLUMNS, x, PLACE)[0][0] > 0


def test_a_computed_column_is_defined_by_the_first_equality_with_a_moved_column():
    made = [parse("total = parts + labour"), parse("total = 2 * labour")]
    assert relations.following(made, COLUMNS, {"parts"}) == {2: made[0]}
    assert relations.following(made, COLUMNS, {"total"}) == {}
    assert relations.following(made, COLUMNS, set()) == {}


def test_computed_columns_come_in_the_order_of_their_dependencies():
    chain = [parse("total = 2 * labour"), parse("labour = 3 * parts")]
    assert list(relations.following(chain, COLUMNS, {"parts"})) == [1, 2]


def test_columns_that_define_each_other_are_refused():
    with pytest.raises(InvalidInput, match="by each other"):
        relations.following([parse("total = labour + parts"), parse("labour = total")], COLUMNS, {"parts"})


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("total = parts + tax", "no column is named 'tax'"),
        ("parts <= cover", "'cover' is a category and not a number"),
        ('parts = "full" => labour = 0', "'parts' is a number"),
        ('cover = "some" => labour = 0', "has no category 'some'; known: full, none"),
    ],
)
def test_a_relation_that_does_not_fit_the_columns_is_refused(text, message):
    with pytest.raises(InvalidInput, match=message):
        relations.check(parse(text), KNOWN)
