"""A row tree proves that a row is in a set or is not, and every lie about it is refused by name."""

from __future__ import annotations

import copy
import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hauberk.core.errors import InvalidInput, NotProven
from hauberk.custody.rows import Schema, UnknownCategoryError
from hauberk.custody.rowtree import Commitment, RowTree, check

SCHEMA = Schema.of(
    kind="table",
    shape=(2,),
    classes=("no", "yes"),
    columns=[("age", "integer", ()), ("job", "category", ("clerk", "missing", "smith"))],
    target="paid",
)
SECRET = bytes(range(32))


def digest(age, job="smith", label=1):
    return SCHEMA.row_digest(SCHEMA.features({"age": age, "job": job}), label)


def tree(ages, secret=SECRET):
    return RowTree.grow([digest(age) for age in ages], SCHEMA, secret)


@settings(max_examples=40, deadline=None)
@given(st.lists(st.integers(0, 40), min_size=1, max_size=30), st.integers(0, 45))
def test_every_row_is_told_truly_with_its_count(ages, asked):
    grown = tree(ages)
    claim = json.loads(json.dumps(grown.prove(digest(asked))))
    assert check(claim, digest(asked), grown.commitment) == ages.count(asked)
    assert grown.commitment.rows == len(ages)
    assert grown.commitment.leaves == len(set(ages))


def test_the_order_of_rows_does_not_matter_and_the_secret_does():
    assert tree([1, 2, 3, 3]).commitment == tree([3, 2, 3, 1]).commitment
    assert tree([1, 2, 3]).commitment.root != tree([1, 2, 3], bytes(32)).commitment.root


def test_a_present_row_cannot_be_claimed_absent():
    grown, ages = tree(range(20)), range(20)
    absent = grown.prove(digest(100))
    for age in ages:
        with pytest.raises(NotProven, match="does not lie between"):
            check(absent, digest(age), grown.commitment)
    at = grown.prove(digest(7))["leaf"]["index"]
    shown = [grown._shown(index) if 0 <= index < 20 else None for index in (at - 1, at + 1)]
    lie = {"claim": "absent", "order": absent["order"], "before": shown[0], "after": shown[1]}
    with pytest.raises(NotProven, match="not adjacent"):
        check(lie, digest(7), grown.commitment)


def test_an_order_key_chosen_afterwards_is_refused():
    grown, other = tree(range(20)), tree(range(20), bytes(32))
    lie = grown.prove(digest(100)) | {"order": other.prove(digest(100))["order"]}
    with pytest.raises(NotProven, match="chosen afterwards"):
        check(lie, digest(3), grown.commitment)


def test_an_absent_row_cannot_be_claimed_present():
    grown = tree(range(20))
    claim = grown.prove(digest(3))
    with pytest.raises(NotProven, match="belongs to another row"):
        check(claim, digest(100), grown.commitment)
    with pytest.raises(NotProven):
        check(tree([*range(20), 100]).prove(digest(100)), digest(100), grown.commitment)


@pytest.mark.parametrize("asked", [3, 100])
def test_each_altered_byte_of_a_proof_is_refused(asked):
    grown = tree(range(9))
    claim = grown.prove(digest(asked))

    def places(value, path=()):
        for key, inner in value.items() if isinstance(value, dict) else enumerate(value):
            if isinstance(inner, dict | list):
                yield from places(inner, (*path, key))
            elif isinstance(inner, str) and key != "claim":
                yield (*path, key)

    for path in places(claim):
        altered = copy.deepcopy(claim)
        inner = altered
        for key in path[:-1]:
            inner = inner[key]
        text = inner[path[-1]]
        for at in range(0, len(text), 7):
            inner[path[-1]] = text[:at] + ("0" if text[at] != "0" else "1") + text[at + 1 :]
            with pytest.raises(NotProven):
                check(altered, digest(asked), grown.commitment)


@pytest.mark.parametrize(
    "claim", [{}, {"claim": "maybe"}, {"claim": "present"}, {"claim": "absent", "order": "zz"}]
)
def test_what_is_no_claim_is_refused(claim):
    with pytest.raises(InvalidInput):
        check(claim, digest(1), tree([1]).commitment)


def test_the_ends_of_the_tree_have_one_neighbour():
    grown = tree(range(30))
    sides = set()
    for age in range(100, 400):
        claim = grown.prove(digest(age))
        sides.add((claim["before"] is None, claim["after"] is None))
        assert check(claim, digest(age), grown.commitment) == 0
    assert sides == {(False, False), (True, False), (False, True)}
    claim = next(c for c in (grown.prove(digest(age)) for age in range(100, 400)) if c["before"] is None)
    with pytest.raises(NotProven, match="not adjacent"):
        check(claim | {"after": grown._shown(1)}, digest(100), grown.commitment)
    with pytest.raises(NotProven, match="shows no adjacent leaf"):
        check(claim | {"after": None}, digest(100), grown.commitment)


def test_a_tree_comes_back_from_its_bytes_and_damage_is_noticed():
    grown = tree([5, 5, 6])
    data = grown.to_bytes()
    assert RowTree.read(data).commitment == grown.commitment
    for bad in (data[:-1], b"other", data[:-144] + data[-72:] + data[-144:-72]):
        with pytest.raises(InvalidInput):
            RowTree.read(bad)
    assert Commitment.read(grown.commitment.to_json()) == grown.commitment


def test_values_meet_the_schema_or_are_refused_by_name():
    assert SCHEMA.features({"age": -0.0, "job": None}) == SCHEMA.features(
        {"age": 0, "job": "missing", "paid": "no"}
    )
    assert SCHEMA.named(SCHEMA.features({"age": 3, "job": "clerk"})) == {"age": 3.0, "job": "clerk"}
    with pytest.raises(UnknownCategoryError, match="'baker' is not among"):
        SCHEMA.features({"age": 1, "job": "baker"})
    with pytest.raises(UnknownCategoryError):
        SCHEMA.class_index("maybe")
    for values in (
        {"age": 1},
        {"age": 1, "job": "clerk", "x": 1},
        {"age": "1", "job": "clerk"},
        {"age": 1e39, "job": "clerk"},
    ):
        with pytest.raises(InvalidInput):
            SCHEMA.features(values)
    other = Schema.of(
        kind="table", shape=(2,), classes=("no", "yes"), columns=[("a", "integer", ()), ("b", "integer", ())]
    )
    assert other.row_digest(bytes(8), 0) != SCHEMA.row_digest(bytes(8), 0)
