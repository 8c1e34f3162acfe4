"""What capgd and evolutionary find on real rows, held against what other attacks find and what trying all finds."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from sklearn.datasets import load_breast_cancer
from sklearn.ensemble import GradientBoostingClassifier

from hauberk.attacks import evasion
from hauberk.attacks.attack import attack
from hauberk.attacks.budget import ColumnBox
from hauberk.attacks.evasion import ATTACKS
from hauberk.core.columns import Column, ColumnKind
from hauberk.core.errors import InvalidInput
from hauberk.core.threats import ColumnBudget

torch = pytest.importorskip("torch")

MOVED = (
    "worst radius", "worst texture", "worst concave points", "mean texture",
    "worst area", "worst smoothness", "worst perimeter", "mean radius",
)  # fmt: skip
RELATIONS = ("`mean radius` <= `worst radius`", "`mean texture` <= `worst texture`")


@pytest.fixture(scope="module")
def cancer():
    """Breast cancer: eight measurements may move, each by 0.8 deviations, 1.5 deviations in all; means below worsts."""
    raw = load_breast_cancer()
    x, y = raw.data.astype(np.float32), raw.target.astype(np.int64)
    order = np.random.default_rng(0).permutation(len(x))
    x, y = x[order], y[order]
    train = x[:398]
    names = [str(name) for name in raw.feature_names]
    columns = tuple(
        Column(name, ColumnKind.NUMBER, float(low), float(high))
        for name, low, high in zip(names, train.min(0), train.max(0), strict=True)
    )
    deviation = dict(zip(names, train.std(0), strict=True))
    budgets = tuple(ColumnBudget(n, by=0.8 * float(deviation[n]), cost=1 / float(deviation[n])) for n in MOVED)
    return ColumnBox(columns, budgets, 1.5, RELATIONS), train, y[:398], x[398:], y[398:]


@pytest.fixture(scope="module")
def trees(cancer):
    _, x, y, _, _ = cancer
    return GradientBoostingClassifier(n_estimators=60, random_state=0).fit(x, y)


@pytest.fixture(scope="module")
def net(cancer):
    _, x, y, _, _ = cancer
    torch.manual_seed(0)
    mean, scale = torch.from_numpy(x.mean(0)), torch.from_numpy(x.std(0))

    class Scaled(torch.nn.Module):
        def forward(self, x):
            return (x - mean) / scale

    module = torch.nn.Sequential(Scaled(), torch.nn.Linear(30, 32), torch.nn.ReLU(), torch.nn.Linear(32, 2))
    optimizer = torch.optim.Adam(module.parameters(), 1e-2)
    for _ in range(100):
        optimizer.zero_grad()
        torch.nn.functional.cross_entropy(module(torch.from_numpy(x)), torch.from_numpy(y)).backward()
        optimizer.step()
    return module


def by_name(name, model, x, y, box, **values):
    entry = ATTACKS[name]
    return attack(entry.run, model, x, y, box, entry.make(values), rng=np.random.default_rng(0))


def sound(found, box, x):
    """Every row valid by the independent check, and every claim of success true."""
    assert found.verdicts.allowed.all()
    assert box.allows(found.x, x).all()
    return found


def test_evolutionary_finds_more_on_trees_than_a_search_column_by_column(cancer, trees):
    box, _, _, x, y = cancer
    greedy = by_name("coordinate-search", trees, x, y, box)
    bred = sound(evasion.evolutionary(trees, x, y, box=box, generations=25), box, x)
    assert bred.accuracy > 0.9
    assert bred.robust <= greedy.robust - 0.02
    both = greedy.verdicts.fooled & bred.verdicts.fooled & greedy.verdicts.right
    assert bred.verdicts.distance[both].mean() < greedy.verdicts.distance[both].mean()


def test_capgd_finds_on_a_net_what_longer_searches_find_and_more_than_pgd(cancer, net):
    box, _, _, x, y = cancer
    model = evasion_model(net)
    found = sound(evasion.capgd(model, x, y, box=box), box, x)
    plain = by_name("pgd", model, x, y, box, restarts=3)
    bred = by_name("evolutionary", model, x, y, box, generations=20)
    assert found.robust < plain.robust
    assert found.robust <= bred.robust + 0.01
    assert found.verdicts.gradients.max() <= 3 * 40


def evasion_model(net):
    from hauberk.models.adapting import as_model

    return as_model(net, classes=2)


MIXED = (
    Column("a", ColumnKind.INTEGER, 0, 10),
    Column("b", ColumnKind.NUMBER, -1, 1),
    Column("c", ColumnKind.CATEGORY, 0, 2, ("x", "y", "z")),
    Column("sum", ColumnKind.NUMBER, -5, 15),
)
MOVES = (ColumnBudget("a", by=2, cost=1), ColumnBudget("b", by=0.5, cost=4), ColumnBudget("c", cost=1.5))


class Tangled:
    """Falls only where a number and a category change together: a step of one column alone gains nothing."""

    classes = 2
    device = "cpu"

    def scores(self, x):
        return self.logits(torch.from_numpy(np.asarray(x))).numpy()

    def logits(self, x):
        second = (x[:, 2] == 2).float()
        value = (x[:, 3] - 5.0) * second * 0.5 - 0.2
        return torch.stack([-value, value], dim=1)


def everything(row, cost):
    for a, b, c in itertools.product((-2, -1, 0, 1, 2), np.linspace(-0.5, 0.5, 21), (0, 1, 2)):
        after = [row[0] + a, np.clip(row[1] + b, -1, 1), c]
        if 0 <= after[0] <= 10 and abs(a) + 4 * abs(after[1] - row[1]) + 1.5 * (c != row[2]) <= cost + 1e-6:
            yield [*after, after[0] + after[1]]


@pytest.mark.parametrize(("name", "least"), [("evolutionary", 0.95), ("capgd", 0.75)])
@pytest.mark.parametrize("cost", [2.5, 4.0])
def test_both_find_what_exhaustive_search_finds_with_a_computed_column(name, least, cost):
    rng = np.random.default_rng(1)
    x = np.stack([rng.integers(0, 11, 60), rng.uniform(-1, 1, 60), rng.integers(0, 3, 60)], axis=1)
    x = np.concatenate([x, x[:, :1] + x[:, 1:2]], axis=1).astype(np.float32)
    model, box = Tangled(), ColumnBox(MIXED, MOVES, cost, ("sum = a + b",))
    y = model.scores(x).argmax(axis=1)
    can = np.array(
        [
            (model.scores(np.array(list(everything(row, cost)), np.float32)).argmax(axis=1) != label).any()
            for row, label in zip(x, y, strict=True)
        ]
    )
    assert 0.1 < can.mean() < 0.95
    found = sound(by_name(name, model, x, y, box), box, x)
    assert found.verdicts.fooled[can].mean() >= least


def test_unneeded_changes_are_undone(cancer, trees):
    box, _, _, x, y = cancer
    loose = ColumnBox(box.columns, box.budgets)
    kept = evasion.evolutionary(trees, x[:60], y[:60], box=loose, generations=10, trim=False)
    trimmed = evasion.evolutionary(trees, x[:60], y[:60], box=loose, generations=10)
    np.testing.assert_array_equal(kept.verdicts.fooled, trimmed.verdicts.fooled)
    fell = kept.verdicts.fooled & kept.verdicts.right
    assert (trimmed.verdicts.distance <= kept.verdicts.distance + 1e-9)[fell].all()
    assert (trimmed.x[fell] != x[:60][fell]).sum() < 0.5 * (kept.x[fell] != x[:60][fell]).sum()


@pytest.mark.parametrize("name", ["evolutionary", "capgd"])
def test_the_attack_on_a_row_does_not_depend_on_the_other_rows(name, cancer, net):
    box, _, _, x, y = cancer
    x, y = x[:12], y[:12]
    whole = by_name(name, evasion_model(net), x, y, box)
    back = by_name(name, evasion_model(net), x[::-1].copy(), y[::-1].copy(), box)
    np.testing.assert_allclose(back.x[::-1], whole.x, rtol=1e-5)
    one = by_name(name, evasion_model(net), x[5:6], y[5:6], box)
    np.testing.assert_allclose(one.x[0], whole.x[5], rtol=1e-5)


def test_queries_are_counted_and_bounded(cancer, trees):
    box, _, _, x, y = cancer
    found = evasion.evolutionary(trees, x[:40], y[:40], box=box, generations=5, population=10)
    right = found.verdicts.right
    assert found.verdicts.queries[right].min() >= 10
    assert found.verdicts.queries.max() <= 10 * 6 + len(MOVED)
    assert not found.verdicts.queries[~right].any()


def test_trees_have_no_gradient_and_pictures_no_columns(cancer, trees, linear):
    box, _, _, x, y = cancer
    with pytest.raises(InvalidInput, match="black-box"):
        evasion.capgd(trees, x[:2], y[:2], box=box)
    model, images, labels, _, _ = linear
    for name in ("capgd", "evolutionary"):
        with pytest.raises(InvalidInput, match="works in a ColumnBox, found a Ball"):
            by_name(name, model, images, labels, evasion_ball())


def evasion_ball():
    from hauberk.attacks.budget import Ball
    from hauberk.core.threats import Norm

    return Ball(Norm.LINF, 0.1)


def test_a_box_in_which_nothing_may_change_leaves_every_row():
    x = np.array([[5, 0, 0, 5]], np.float32)
    box = ColumnBox(MIXED, ())
    for name in ("evolutionary", "capgd"):
        y = Tangled().scores(x).argmax(axis=1)
        np.testing.assert_array_equal(by_name(name, Tangled(), x, y, box).x, x)
