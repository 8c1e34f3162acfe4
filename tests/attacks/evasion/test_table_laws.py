"""Laws that every registered attack on tables obeys, on rows of numbers, whole numbers and categories with a relation."""

from __future__ import annotations

import numpy as np
import pytest

from hauberk.attacks.attack import attack
from hauberk.attacks.budget import ColumnBox
from hauberk.attacks.evasion import ATTACKS
from hauberk.core.columns import Column, ColumnKind
from hauberk.core.threats import ColumnBudget, Direction

torch = pytest.importorskip("torch")

NAMES = sorted(entry.name for entry in ATTACKS if "table" in entry.kinds)
COLUMNS = (
    Column("parts", ColumnKind.NUMBER, 0, 10),
    Column("labour", ColumnKind.NUMBER, 0, 10),
    Column("total", ColumnKind.NUMBER, 0, 20),
    Column("visits", ColumnKind.INTEGER, 0, 9),
    Column("place", ColumnKind.CATEGORY, 0, 2, ("town", "village", "sea")),
    Column("age", ColumnKind.NUMBER, 18, 90),
)
BOX = ColumnBox(
    COLUMNS,
    (
        ColumnBudget("parts", by=1.5, cost=0.5),
        ColumnBudget("visits", by=2, direction=Direction.UP, cost=0.25),
        ColumnBudget("place", cost=1.0),
    ),
    cost=1.5,
    relations=("total = parts + labour",),
)


class Net(torch.nn.Module):
    """Says fraud by total, visits and place."""

    def forward(self, x):
        sea = (1 - (x[:, 4] - 2).abs()).clamp(0, 1)
        score = 0.6 * x[:, 2] + 0.5 * x[:, 3] + 1.2 * sea - 9.0
        return torch.stack([-score, score], dim=1)


class Undefined(Net):
    """NaN on every row but those that are known."""

    def forward(self, x):
        moved = (x - torch.from_numpy(KNOWN)[:, None]).abs().amax(2).amin(0) > 1e-6
        return torch.where(moved[:, None], torch.nan, super().forward(x))


def rows(count):
    rng = np.random.default_rng(3)
    parts, labour = rng.integers(0, 11, count), rng.integers(0, 11, count)
    columns = [parts, labour, parts + labour, rng.integers(0, 10, count), rng.integers(0, 3, count)]
    x = np.stack([*columns, rng.integers(18, 90, count)], axis=1).astype(np.float32)
    return x, Net()(torch.from_numpy(x)).argmax(1).numpy()


X, Y = rows(259)
KNOWN = X[:30]


def run(name, model=None, x=X[:40], y=Y[:40], seed=0):
    entry = ATTACKS[name]
    return attack(
        entry.run, model or Net(), x, y, BOX, entry.make(entry.params.trial), rng=np.random.default_rng(seed)
    )


@pytest.mark.parametrize("name", NAMES)
def test_it_returns_valid_rows_only_and_fools_some(name):
    found = run(name)
    assert found.verdicts.allowed.all()
    assert (found.verdicts.distance <= BOX.cost + 1e-6).all()
    np.testing.assert_array_equal(found.x[:, [1, 5]], X[:40, [1, 5]], "columns without a budget")
    np.testing.assert_allclose(found.x[:, 2], found.x[:, 0] + found.x[:, 1], rtol=1e-6)
    np.testing.assert_array_equal(found.x[:, 3:5], found.x[:, 3:5].round())
    assert 0 < found.robust < found.accuracy == 1


@pytest.mark.parametrize("name", NAMES)
def test_the_same_seed_gives_the_same_rows_and_nothing_that_is_given_changes(name):
    x, y = X[:20].copy(), Y[:20].copy()
    one, two = (run(name, x=x, y=y, seed=4) for _ in range(2))
    np.testing.assert_array_equal(one.x, two.x)
    np.testing.assert_array_equal(x, X[:20])
    np.testing.assert_array_equal(y, Y[:20])


@pytest.mark.parametrize("name", NAMES)
def test_the_attack_on_a_row_does_not_depend_on_order_or_other_rows(name):
    together = run(name).verdicts.fooled
    order = np.random.default_rng(1).permutation(40)
    np.testing.assert_array_equal(run(name, x=X[order], y=Y[order]).verdicts.fooled, together[order])
    parts = [run(name, x=X[part], y=Y[part]).verdicts.fooled for part in (slice(0, 9), slice(9, 40))]
    np.testing.assert_array_equal(np.concatenate(parts), together)


@pytest.mark.parametrize("name", NAMES)
def test_a_row_that_is_wrong_already_costs_nothing(name):
    y = Y[:30].copy()
    y[::2] = 1 - y[::2]
    found = run(name, x=X[:30], y=y)
    wrong = ~found.verdicts.right
    assert wrong[::2].all()
    assert not (found.verdicts.queries + found.verdicts.gradients)[wrong].any()
    np.testing.assert_array_equal(found.x[wrong], X[:30][wrong])


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("count", [0, 1, 259])
def test_none_one_and_a_ragged_number_of_rows(name, count):
    found = run(name, x=X[:count], y=Y[:count])
    assert found.x.shape == (count, 6)
    assert len(found.verdicts.fooled) == count


@pytest.mark.parametrize("name", NAMES)
def test_the_models_mode_and_the_random_states_stay(name):
    net = torch.nn.Sequential(Net(), torch.nn.Dropout(0.5)).train()
    torch.manual_seed(5)
    np.random.seed(5)  # noqa: NPY002 - the state that must not move
    before = torch.random.get_rng_state(), np.random.get_state()[1].copy()  # noqa: NPY002 - as above
    run(name, net, X[:6], Y[:6])
    assert all(part.training for part in net.modules())
    assert torch.equal(before[0], torch.random.get_rng_state())
    np.testing.assert_array_equal(before[1], np.random.get_state()[1])  # noqa: NPY002 - as above


@pytest.mark.parametrize("name", NAMES)
def test_scores_that_are_no_numbers_are_never_robust(name):
    found = run(name, Undefined(), KNOWN, Y[:30])
    assert found.accuracy == 1
    assert found.robust == 0
    assert found.verdicts.undefined.all()
