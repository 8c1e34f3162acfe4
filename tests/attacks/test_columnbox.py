from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hauberk.attacks.budget import ColumnBox
from hauberk.core.columns import Column, ColumnKind
from hauberk.core.errors import InvalidInput
from hauberk.core.threats import ColumnBudget, Direction

torch = pytest.importorskip("torch")

NUMBER, INTEGER, CATEGORY = ColumnKind.NUMBER, ColumnKind.INTEGER, ColumnKind.CATEGORY
COLUMNS = (
    Column("days", INTEGER, 0, 50),
    Column("parts", NUMBER, 0, 100),
    Column("total", NUMBER, 0, 160),
    Column("cover", CATEGORY, 0, 2, ("full", "part", "none")),
    Column("loan", NUMBER, 0, 500),
    Column("income", NUMBER, 0, 100),
    Column("front", INTEGER, 0, 20),
    Column("rear", INTEGER, 0, 20),
)
BUDGETS = (
    ColumnBudget("days", by=9),
    ColumnBudget("parts", by=30.5, cost=0.1),
    ColumnBudget("cover", cost=1),
    ColumnBudget("loan", by=100, cost=0.02),
    ColumnBudget("front", by=4),
    ColumnBudget("rear", by=5, direction=Direction.UP, cost=0.5),
)
RELATIONS = (
    "total = days + parts",
    "loan <= 5 * income",
    'cover = "full" => parts <= 40',
    "front + rear = 20",
    "total <= 120",
    'days >= 30 and cover != "none" => loan <= 100',
    'loan >= 450 => cover = "none"',
)


def rows(seed: int, n: int = 40):
    """Rows that keep the equalities, some that break an inequality, and wild points around them."""
    rng = np.random.default_rng(seed)
    days, parts, front = rng.integers(0, 51, n), rng.uniform(0, 100, n), rng.integers(0, 21, n)
    origin = np.stack(
        [days, parts, days + parts, rng.integers(0, 3, n), rng.uniform(0, 500, n), rng.uniform(0, 100, n), front, 20 - front],
        axis=1,
    )  # fmt: skip
    wild = origin + rng.normal(0, [8, 30, 10, 2, 100, 10, 4, 4], origin.shape)
    return origin.astype(np.float32), wild.astype(np.float32), rng


@settings(max_examples=80, deadline=None)
@given(st.integers(0, 10_000), st.sampled_from([0.0, 0.5, 2.0, 8.0]), st.booleans())
def test_a_repaired_row_is_always_allowed_and_torch_repairs_alike(seed, cost, narrow):
    box = ColumnBox(COLUMNS, BUDGETS[: 3 if narrow else None], cost, RELATIONS)
    origin, wild, rng = rows(seed)
    found = box.project(wild, origin)
    assert box.allows(found, origin).all()
    assert box.allows(box.start(origin, rng.random(origin.shape, dtype=np.float32)), origin).all()
    there = box.project(torch.from_numpy(wild), torch.from_numpy(origin)).numpy()
    assert box.allows(there, origin).all()
    np.testing.assert_allclose(there, found, atol=1e-3)
    np.testing.assert_array_equal(box.project(origin, origin), origin)


def test_repair_keeps_most_of_the_change():
    """The last resort, going back to the row as it was, would pass every check and find nothing."""
    box = ColumnBox(COLUMNS, BUDGETS, 0, RELATIONS)
    origin, wild, _ = rows(3, 500)
    assert (box.project(wild, origin) != origin).any(axis=1).mean() > 0.85
    loose = ColumnBox(COLUMNS, BUDGETS)
    kept = loose.project(wild, origin)
    keeps = box.allows(np.where(np.arange(8) == 2, kept[:, :1] + kept[:, 1:2], kept), origin)
    same = np.abs(box.project(wild, origin) - kept)[keeps][:, [0, 1, 3, 4]]
    assert same.max() < 1e-3, "a change that breaks nothing is left as it is"


def test_a_computed_column_costs_nothing_and_stays_in_its_range():
    box = ColumnBox(COLUMNS, (ColumnBudget("parts", by=30, cost=0.1),), 3, ("total = days + parts",))
    origin = np.array([[10, 50, 60, 0, 1, 1, 1, 1], [50, 90, 140, 0, 1, 1, 1, 1]], dtype=np.float32)
    found = box.project(origin + 25, origin)
    np.testing.assert_allclose(found[0, [1, 2]], [75, 85])
    assert found[1, 2] <= 160
    assert found[1, 1] > 90, "as far as the total's range leaves"
    assert box.price(found, origin)[0] == pytest.approx(2.5)
    immovable = found.copy()
    immovable[:, 2] = origin[:, 2]
    assert not box.allows(immovable, origin).any(), "the parts moved and the total did not"


def test_definitions_are_computed_in_the_order_of_their_dependencies():
    columns = tuple(Column(name, NUMBER, 0, 100) for name in ("net", "tax", "gross", "sum", "fee"))
    stated = ("sum = gross + fee", "gross = net + tax", "tax = 0.2 * net")
    box = ColumnBox(columns, (ColumnBudget("net", by=5),), 0, stated)
    origin = np.array([[10, 2, 12, 15, 3]], dtype=np.float32)
    np.testing.assert_allclose(box.project(origin + 5, origin), [[15, 3, 18, 21, 3]], rtol=1e-6)
    assert list(box.following) == [1, 2, 3]
    with pytest.raises(InvalidInput, match="define"):
        ColumnBox(columns, (ColumnBudget("net", by=5),), 0, ("tax = net + gross", "gross = net + tax"))


def test_a_row_that_breaks_a_relation_as_it_is_may_not_break_it_more():
    box = ColumnBox(COLUMNS, (ColumnBudget("loan", by=100),), 0, ("loan <= 5 * income",))
    origin = np.array([[0, 0, 0, 0, 300, 50, 0, 0]], dtype=np.float32)
    assert box.allows(origin, origin).all()
    more, less = origin.copy(), origin.copy()
    more[0, 4], less[0, 4] = 310, 290
    assert box.allows(less, origin).all()
    assert not box.allows(more, origin).any()
    assert box.allows(box.project(more, origin), origin).all()


@pytest.mark.parametrize(("place", "value"), [(1, 45.0), (2, 61.0), (4, 300.0), (6, 11.0), (0, 30.0)], ids=str)
def test_the_judge_sees_each_kind_of_broken_relation(place, value):
    stated = ("total = days + parts", "loan <= 2 * income", 'cover = "full" => parts <= 40', "front + rear = 20",
              'days >= 30 and cover != "none" => loan <= 100')  # fmt: skip
    box = ColumnBox(COLUMNS, BUDGETS, 0, stated)
    origin = np.array([[28, 35, 63, 0, 150, 80, 10, 10]], dtype=np.float32)
    assert box.allows(origin, origin).all()
    changed = origin.copy()
    changed[0, place] = value
    if place == 0:
        changed[0, 2] += 2
    if place == 1:
        changed[0, 2] += 10
    assert not box.allows(changed, origin).any()


def test_a_range_and_choices_of_the_budget_bind_in_place_of_the_columns():
    budgets = (ColumnBudget("parts", by=50, low=20, high=60), ColumnBudget("cover", choices=("part",)))
    box = ColumnBox(COLUMNS, budgets)
    origin = np.array([[0, 50, 50, 0, 0, 0, 0, 0]], dtype=np.float32)
    for wild, parts in ((origin + 45, 60), (origin - 45, 20)):
        assert box.project(wild, origin)[0, 1] == parts
    for code, fine in ((0, True), (1, True), (2, False)):
        x = origin.copy()
        x[0, 3] = code
        assert box.allows(x, origin)[0] == fine
        assert box.project(x, origin)[0, 3] == (code if fine else 0)
        assert box.project(torch.from_numpy(x), torch.from_numpy(origin))[0, 3] == (code if fine else 0)
    beyond = origin.copy()
    beyond[0, 1] = 61
    assert not box.allows(beyond, origin).any()


@pytest.mark.parametrize(
    ("budget", "relation", "message"),
    [
        (ColumnBudget("cover", choices=("half",)), "", "no category 'half'"),
        (ColumnBudget("cover", low=1), "", "use `choices`"),
        (ColumnBudget("days", choices=("a",)), "", "`choices` are for categories"),
        (ColumnBudget("days", by=1), "days <= salary", "no column is named 'salary'"),
        (ColumnBudget("days", by=1), "days <= cover", "is a category"),
        (ColumnBudget("days", by=1), 'days = "x"', "is a number"),
        (ColumnBudget("days", by=1), 'cover = "x" => days <= 3', "no category 'x'; known: full"),
    ],
)
def test_an_impossible_declaration_is_refused(budget, relation, message):
    with pytest.raises(InvalidInput, match=message):
        ColumnBox(COLUMNS, (budget,), 0, (relation,) if relation else ())
