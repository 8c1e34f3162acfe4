from __future__ import annotations

import contextlib

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from hauberk.core.errors import InvalidInput
from hauberk.core.relations import Among, Linear, Relation, parse


@pytest.mark.parametrize(
    ("text", "terms", "constant", "sign"),
    [
        ("total = a + b", {"total": 1, "a": -1, "b": -1}, 0, "="),
        ("loan <= 5 * income", {"loan": 1, "income": -5}, 0, "<="),
        ("loan >= income / 2 - 3", {"loan": -1, "income": 0.5}, -3, "<="),
        ("-a + 2 <= a", {"a": -2}, 2, "<="),
        ("`months as customer` <= 12*`age`", {"months as customer": 1, "age": -12}, 0, "<="),
        ("a == 1e2", {"a": 1}, -100, "="),
        ("größe*2 <= .5", {"größe": 2}, -0.5, "<="),
        ("`and` <= 1", {"and": 1}, -1, "<="),
    ],
)
def test_a_sum_becomes_weights_a_constant_and_a_sign(text, terms, constant, sign):
    then = parse(text).then
    assert (dict(then.terms), then.constant, then.sign) == (terms, constant, sign)


def test_an_implication_keeps_its_conditions_and_what_must_hold():
    relation = parse('base = "liability" and age < 18 and sex != "m" => excess = 0')
    assert relation.when == (
        Among("base", "liability", equal=True),
        Linear((("age", 1.0),), -18.0, "<"),
        Among("sex", "m", equal=False),
    )
    assert relation.then == Linear((("excess", 1.0),), 0.0, "=")
    assert relation.columns == ("base", "age", "sex", "excess")


@pytest.mark.parametrize(
    ("text", "defines"),
    [
        ("t = a + b", "t"),
        ("a + b = t", ""),
        ("2*t = a", ""),
        ("t = a - t", ""),
        ("t <= a", ""),
        ("a = 1 => t = b", ""),
    ],
)
def test_a_column_alone_on_the_left_of_an_equality_is_defined_by_it(text, defines):
    assert parse(text).defines == defines


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "expected a number or the name of a column"),
        ("a", "expected one of <=, >=, ="),
        ("a < b", "write <= or >="),
        ("a * b = 2", "a times b is not linear"),
        ("a / b = 2", "a number other than 0"),
        ("a / 0 = 2", "a number other than 0"),
        ("a = a", "its columns cancel"),
        ("1 = 1", "no column is left"),
        ("a != 3", "!= is for categories"),
        ("a + b = 'x'", "a category is compared as column"),
        ("a = 1 and b = 2", "`=>` and what must hold"),
        ("a = 1 => b = 2 => c = 3", "the end"),
        ("a = 1 b", "the end"),
        ('__import__("os").system("true") = 1', "'(' at character 11"),
        ("a = 'x", '"\'" at character 5'),
        ("a = " + "1+" * 600 + "1", "at most 1000 characters"),
    ],
)
def test_what_is_no_relation_is_told_with_its_place(text, message):
    with pytest.raises(InvalidInput) as caught:
        parse(text)
    assert message in str(caught.value)


words = st.sampled_from(
    ["a", "b", "`c d`", "1", "2.5", "+", "-", "*", "/", "<=", ">=", "=", "<", "=>", "and", '"x"', "(", " "]
)


@given(st.lists(words, max_size=12).map(" ".join) | st.text(max_size=20))
@example("=>")
def test_any_text_is_a_relation_or_told_to_be_none(text):
    with contextlib.suppress(InvalidInput):
        assert isinstance(parse(text), Relation)
