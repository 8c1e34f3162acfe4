"""Laws that every registered attack obeys, and for each one an effect that can be computed by hand."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hauberk.attacks.attack import attack as through_the_door
from hauberk.attacks.budget import Ball, ColumnBox
from hauberk.attacks.evasion import ATTACKS
from hauberk.core.columns import Column, ColumnKind
from hauberk.core.errors import InvalidInput
from hauberk.core.threats import ColumnBudget, Direction, Norm

torch = pytest.importorskip("torch")

IMAGE = [entry.name for entry in ATTACKS if "image" in entry.kinds and entry.params.norms]
TABLE = [entry.name for entry in ATTACKS if "table" in entry.kinds]

COLUMNS = (
    Column("a", ColumnKind.INTEGER, 0, 10),
    Column("b", ColumnKind.NUMBER, -1, 1),
    Column("c", ColumnKind.CATEGORY, 0, 2, ("x", "y", "z")),
    Column("d", ColumnKind.NUMBER, -1, 1),
)
BUDGETS = (ColumnBudget("a", by=2, cost=1), ColumnBudget("b", by=0.5, cost=4), ColumnBudget("c", cost=1.5))


def attack(name, model, x, y, budget, seed=0, **values):  # noqa: PLR0917 - reads like the attack's own signature
    entry = ATTACKS[name]
    rng = np.random.default_rng(seed)
    return through_the_door(entry.run, model, x, y, budget, entry.make(values), rng=rng).x


def table(seed=0, n=120):
    rng = np.random.default_rng(seed)
    x = np.stack(
        [rng.integers(0, 11, n), rng.uniform(-1, 1, n), rng.integers(0, 3, n), rng.uniform(-1, 1, n)], axis=1
    )
    return x.astype(np.float32)


class Pixels:
    """Three classes of 3x6x6 images behind one random linear layer."""

    classes = 3

    def __init__(self, rng):
        self.weights = rng.normal(size=(3, 108)).astype(np.float32)

    def scores(self, x):
        return (x.reshape(len(x), 108) - 0.5) @ self.weights.T

    device = "cpu"

    def logits(self, x):
        return (x.flatten(1) - 0.5) @ torch.from_numpy(self.weights).T


class Coded:
    """Scores a coded row, its category one-hot: differentiable in the numbers."""

    classes = 2

    def __init__(self, seed=0):
        rng = np.random.default_rng(seed)
        self.weights = np.array([0.3, 1.5, 0, 1.0], dtype=np.float32)
        self.by_category = rng.normal(0, 1, 3).astype(np.float32)

    def _value(self, x):
        return (x - np.array([5, 0, 0, 0], dtype=np.float32)) @ self.weights + self.by_category[x[:, 2].astype(int)]

    def scores(self, x):
        value = self._value(x)
        return np.stack([-value, value], axis=1).astype(np.float32)

    device = "cpu"

    def logits(self, x):
        value = (x - torch.tensor([5.0, 0, 0, 0])) @ torch.from_numpy(self.weights)
        value = value + torch.from_numpy(self.by_category)[x[:, 2].long()]
        return torch.stack([-value, value], dim=1)


@pytest.mark.parametrize(("name", "norm"), [(name, norm) for name in IMAGE for norm in ATTACKS[name].params.norms])
@settings(max_examples=8, deadline=None)
@given(seed=st.integers(0, 99), eps=st.floats(0.01, 1.5))
def test_images_stay_within_the_ball(name, norm, seed, eps):
    rng = np.random.default_rng(seed)
    model = Pixels(rng)
    x = rng.random((9, 3, 6, 6), dtype=np.float32)
    y = model.scores(x).argmax(axis=1)
    ball = Ball(norm, eps)
    assert ball.allows(attack(name, model, x, y, ball, seed), x).all()


@pytest.mark.parametrize("name", TABLE)
@pytest.mark.parametrize("cost", [0.0, 2.5])
@settings(max_examples=8, deadline=None)
@given(seed=st.integers(0, 99))
def test_rows_stay_within_the_box(name, cost, seed):
    model, x = Coded(seed), table(seed, 20)
    box = ColumnBox(COLUMNS, BUDGETS, cost)
    y = model.scores(x).argmax(axis=1)
    assert box.allows(attack(name, model, x, y, box, seed), x).all()


@pytest.mark.parametrize("name", IMAGE + TABLE)
def test_the_same_seed_gives_the_same_attack_and_inputs_are_left_alone(name, linear):
    model, x, y, _, _ = linear
    if name in IMAGE:
        budget = Ball(ATTACKS[name].params.norms[0], 0.02)
    else:
        model, x = Coded(), table()
        budget, y = ColumnBox(COLUMNS, BUDGETS, 2.0), model.scores(x).argmax(axis=1)
    before = x.copy()
    np.testing.assert_array_equal(attack(name, model, x, y, budget, 5), attack(name, model, x, y, budget, 5))
    np.testing.assert_array_equal(x, before)


@pytest.mark.parametrize("name", IMAGE + TABLE)
def test_no_rows_is_no_error(name):
    if name in IMAGE:
        x, budget = np.zeros((0, 3, 6, 6), np.float32), Ball(ATTACKS[name].params.norms[0], 0.1)
        model = Pixels(np.random.default_rng(0))
    else:
        x, budget, model = np.zeros((0, 4), np.float32), ColumnBox(COLUMNS, BUDGETS), Coded()
    assert attack(name, model, x, np.zeros(0, np.int64), budget).shape == x.shape


@pytest.mark.parametrize("norm", list(Norm))
def test_pgd_finds_every_input_that_the_closed_form_says_can_fall(linear, norm):
    model, x, y, weights, bias = linear
    eps = {Norm.LINF: 0.02, Norm.L2: 0.07, Norm.L1: 0.1}[norm]
    dual = {Norm.LINF: 1, Norm.L2: 2, Norm.L1: np.inf}[norm]
    reach = eps * np.linalg.norm(weights, ord=dual)
    value = x.reshape(len(x), -1) @ weights + bias
    clear = np.abs(np.abs(value) - reach) > 0.01 * reach
    falls = np.abs(value) < reach
    assert 0.2 < falls.mean() < 0.8
    found = attack("pgd", model, x, y, Ball(norm, eps), steps=40)
    fell = model.scores(found).argmax(axis=1) != y
    np.testing.assert_array_equal(fell[clear], falls[clear])


@pytest.mark.parametrize(("norm", "eps", "least"), [(Norm.LINF, 0.02, 0.95), (Norm.L2, 0.07, 0.7)])
def test_square_finds_most_of_what_can_fall_without_a_gradient(linear, outside, norm, eps, least):
    model, x, y, weights, bias = linear
    reach = eps * (np.abs(weights).sum() if norm is Norm.LINF else np.linalg.norm(weights))
    falls = np.abs(x.reshape(len(x), -1) @ weights + bias) < reach
    found = attack("square", outside(model), x, y, Ball(norm, eps), queries=1000)
    fell = model.scores(found).argmax(axis=1) != y
    assert not (fell & ~falls).any()
    assert fell.sum() >= least * falls.sum()


def _everything(row, cost):
    """Every allowed row on a fine grid: the obvious twin."""
    ages = [row[0] + d for d in (-2, -1, 0, 1, 2) if 0 <= row[0] + d <= 10]
    numbers = [np.clip(row[1] + d, -1, 1) for d in np.linspace(-0.5, 0.5, 21)]
    for a, b, c in itertools.product(ages, numbers, (0, 1, 2)):
        if not cost or abs(a - row[0]) + 4 * abs(b - row[1]) + 1.5 * (c != row[2]) <= cost + 1e-6:
            yield [a, b, c, row[3]]


@pytest.mark.parametrize(("cost", "least"), [(0.0, 1.0), (2.0, 0.9)])
def test_coordinate_search_finds_what_trying_everything_finds(outside, cost, least):
    model, x = Coded(), table(1, 80)
    y = model.scores(x).argmax(axis=1)
    can = np.array(
        [
            (model.scores(np.array(list(_everything(row, cost)), dtype=np.float32)).argmax(axis=1) != label).any()
            for row, label in zip(x, y, strict=True)
        ]
    )
    assert 0.2 < can.mean() < 0.95
    found = attack("coordinate-search", outside(model), x, y, ColumnBox(COLUMNS, BUDGETS, cost), grid=9)
    fell = model.scores(found).argmax(axis=1) != y
    assert fell[can].mean() >= least


def test_the_direction_of_a_budget_binds_the_attack(outside):
    model, x = Coded(), table(2, 60)
    y = model.scores(x).argmax(axis=1)
    box = ColumnBox(COLUMNS, (ColumnBudget("a", by=5, direction=Direction.UP),))
    found = attack("coordinate-search", outside(model), x, y, box)
    assert (found[:, 0] >= x[:, 0]).all()
    assert (found[:, 0] > x[:, 0]).any()


def test_pgd_without_gradients_names_the_way_out(linear, outside):
    model, x, y, _, _ = linear
    with pytest.raises(InvalidInput, match="black-box"):
        attack("pgd", outside(model), x, y, Ball(Norm.LINF, 0.1))


def test_an_attack_on_the_wrong_kind_of_budget_names_the_right_one(linear):
    model, x, y, _, _ = linear
    with pytest.raises(InvalidInput, match="coordinate-search"):
        attack("square", model, x, y, ColumnBox((), ()))
    with pytest.raises(InvalidInput, match="square"):
        attack("coordinate-search", model, x, y, Ball(Norm.LINF, 0.1))


@pytest.mark.parametrize(
    ("name", "values"), [("pgd", {"steps": 0}), ("square", {"share": 0}), ("pgd", {"setps": 3})]
)
def test_impossible_parameters_are_refused(name, values):
    with pytest.raises(InvalidInput):
        ATTACKS[name].make(values)


def test_an_unknown_attack_lists_the_known_ones():
    with pytest.raises(InvalidInput, match=r"coordinate-search, .*pgd, .*square"):
        ATTACKS["fgsm2"]
