from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hauberk.attacks.budget import Ball, ColumnBox, budget_of
from hauberk.core.columns import Column, ColumnKind
from hauberk.core.errors import InvalidInput
from hauberk.core.threats import ColumnBudget, Direction, Evasion, Norm

torch = pytest.importorskip("torch")

COLUMNS = (
    Column("age", ColumnKind.INTEGER, 18, 90),
    Column("income", ColumnKind.NUMBER, 0, 1000),
    Column("job", ColumnKind.CATEGORY, 0, 3, ("a", "b", "c", "d")),
    Column("fixed", ColumnKind.NUMBER, -5, 5),
)
BUDGETS = (
    ColumnBudget("age", by=3, direction=Direction.UP, cost=2),
    ColumnBudget("income", by=50.5, cost=0.1),
    ColumnBudget("job", cost=4),
)


def rows(seed: int, n: int = 20):
    rng = np.random.default_rng(seed)
    origin = np.stack(
        [rng.integers(18, 91, n), rng.uniform(0, 1000, n), rng.integers(0, 4, n), rng.uniform(-5, 5, n)], axis=1
    )
    wild = origin + rng.normal(0, [10, 100, 3, 2], (n, 4))
    return origin.astype(np.float32), wild.astype(np.float32), rng


seeds = st.integers(0, 10_000)
costs = st.sampled_from([0.0, 1.0, 5.0, 9.5, 1000.0])


@settings(max_examples=60, deadline=None)
@given(seeds, costs)
def test_a_projected_row_is_always_allowed(seed, cost):
    origin, wild, rng = rows(seed)
    box = ColumnBox(COLUMNS, BUDGETS, cost)
    assert box.allows(box.project(wild, origin), origin).all()
    assert box.allows(box.start(origin, rng.random(origin.shape, dtype=np.float32)), origin).all()


@settings(max_examples=40, deadline=None)
@given(seeds, costs)
def test_projecting_twice_changes_nothing(seed, cost):
    origin, wild, _ = rows(seed)
    box = ColumnBox(COLUMNS, BUDGETS, cost)
    once = box.project(wild, origin)
    np.testing.assert_allclose(box.project(once, origin), once, atol=1e-3)


@settings(max_examples=40, deadline=None)
@given(seeds, costs, st.booleans())
def test_torch_and_numpy_project_alike(seed, cost, whole):
    origin, wild, _ = rows(seed)
    box = ColumnBox(COLUMNS, BUDGETS, cost)
    there = box.project(torch.from_numpy(wild), torch.from_numpy(origin), whole=whole).numpy()
    np.testing.assert_allclose(there, box.project(wild, origin, whole=whole), atol=1e-3)


def test_without_a_cost_the_row_reaches_the_corner_of_the_box():
    box = ColumnBox(COLUMNS, BUDGETS)
    origin = np.array([[30, 100, 1, 0]], dtype=np.float32)
    out = box.project(np.array([[99, -999, 3, 9]], dtype=np.float32), origin)
    np.testing.assert_allclose(out, [[33, 49.5, 3, 0]])


def test_the_cost_is_shared_and_whole_years_stay_whole():
    box = ColumnBox(COLUMNS, BUDGETS, cost=5)
    origin = np.array([[30, 100, 1, 0]], dtype=np.float32)
    out = box.project(np.array([[33, 150, 1, 0]], dtype=np.float32), origin)
    assert box.price(out, origin)[0] <= 5
    assert out[0, 0] == round(float(out[0, 0])) > 30


def test_a_category_that_cannot_be_paid_for_is_left():
    box = ColumnBox(COLUMNS, BUDGETS, cost=3)
    origin = np.array([[30, 100, 1, 0]], dtype=np.float32)
    assert box.project(np.array([[30, 100, 3, 0]], dtype=np.float32), origin)[0, 2] == 1


@pytest.mark.parametrize(
    "changed",
    [[29, 100, 1, 0], [34, 100, 1, 0], [30.5, 100, 1, 0], [30, 151, 1, 0], [30, 100, 4, 0], [30, 100, 1.5, 0],
     [30, 100, 1, 0.001], [np.nan, 100, 1, 0], [30, 100, 1, np.nan], [32, 149, 3, 0]],
)  # fmt: skip
def test_the_recheck_sees_each_kind_of_violation(changed):
    box = ColumnBox(COLUMNS, BUDGETS, cost=9)
    origin = np.array([[30, 100, 1, 0]], dtype=np.float32)
    assert box.allows(origin, origin).all()
    assert not box.allows(np.array([changed], dtype=np.float32), origin).any()


@pytest.mark.parametrize("norm", list(Norm))
@settings(max_examples=30, deadline=None)
@given(seed=seeds, eps=st.floats(0.001, 3.0))
def test_the_ball_holds_what_it_projects(norm, seed, eps):
    rng = np.random.default_rng(seed)
    origin = rng.random((5, 1, 4, 4), dtype=np.float32)
    ball = Ball(norm, eps)
    wild = origin + rng.normal(0, 2, origin.shape).astype(np.float32)
    for x in (ball.project(wild, origin), ball.start(origin, rng.random(origin.shape, dtype=np.float32))):
        assert ball.allows(x, origin).all()
    tensor = ball.project(torch.from_numpy(wild), torch.from_numpy(origin)).numpy()
    np.testing.assert_allclose(tensor, ball.project(wild, origin), atol=1e-5)


@pytest.mark.parametrize("norm", list(Norm))
def test_the_ball_is_not_smaller_than_it_says(norm):
    origin = np.full((1, 1, 2, 2), 0.5, dtype=np.float32)
    ball = Ball(norm, 0.2)
    x = ball.project(origin + np.array([[[[1, 0], [0, 0]]]], dtype=np.float32), origin)
    assert x.max() == pytest.approx(0.7)
    assert not ball.allows(x + np.float32(0.001), origin).any()


@pytest.mark.parametrize("norm", list(Norm))
def test_a_step_of_size_one_reaches_the_rim(norm):
    gradient = np.random.default_rng(0).normal(size=(3, 1, 4, 4)).astype(np.float32)
    step = Ball(norm, 0.3).step(gradient, 1.0)
    length = np.linalg.norm(step.reshape(3, -1), ord={"linf": np.inf, "l2": 2, "l1": 1}[norm], axis=1)
    np.testing.assert_allclose(length, 0.3, rtol=1e-5)


def test_a_step_through_a_table_moves_only_what_may_move():
    step = ColumnBox(COLUMNS, BUDGETS).step(np.ones((1, 4), dtype=np.float32), 0.5)
    np.testing.assert_allclose(step, [[1.5, 25.25, 0, 0]])


def test_a_budget_scales_down_to_nothing():
    origin, wild, _ = rows(0)
    none = ColumnBox(COLUMNS, BUDGETS, 5).scaled(0)
    np.testing.assert_array_equal(none.project(wild, origin), origin)
    assert Ball(Norm.L2, 1).scaled(0.5).eps == 0.5


def test_unknown_columns_are_named_with_those_that_are_there():
    threat = Evasion(columns=(ColumnBudget("salary", by=1),))
    with pytest.raises(InvalidInput, match="income"):
        budget_of(threat, COLUMNS)
