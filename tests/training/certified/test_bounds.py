"""Bounds compared with arithmetic by hand, with random inputs, and with PGD; see `test_bounds_oracle` for exact oracles."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional

from hauberk import training
from hauberk.attacks.budget import Ball, ColumnBox
from hauberk.attacks.evasion import ATTACKS
from hauberk.core.progress import Quiet
from hauberk.core.threats import ColumnBudget, Norm
from hauberk.training import Hardening, Options, methods
from hauberk.training.batch import Batch
from hauberk.training.certified import bounds
from hauberk.training.certified.layers import Interval
from hauberk.training.squeezing import BitDepth, Median


def test_intervals_are_those_of_a_sum_over_every_weight():
    """y = relu(W x + b), z = V y: each end computed by a loop that takes the worse end of each input."""
    torch.manual_seed(0)
    module = nn.Sequential(nn.Linear(3, 4), nn.ReLU(), nn.Linear(4, 2)).double()
    low, high = torch.rand(1, 3).double() - 1, torch.rand(1, 3).double()
    lows, highs = low[0].tolist(), high[0].tolist()
    for layer in (module[0], module[2]):
        made = []
        for row, constant in zip(layer.weight.tolist(), layer.bias.tolist(), strict=True):
            least = constant + sum(w * (a if w > 0 else b) for w, a, b in zip(row, lows, highs, strict=True))
            most = constant + sum(w * (b if w > 0 else a) for w, a, b in zip(row, lows, highs, strict=True))
            made.append((least, most))
        last = layer is module[2]
        lows = [a if last else max(0.0, a) for a, _ in made]
        highs = [b if last else max(0.0, b) for _, b in made]
    found = bounds.intervals(module, Interval(low, high))
    assert found.low[0].tolist() == pytest.approx(lows)
    assert found.high[0].tolist() == pytest.approx(highs)


def test_a_linear_model_is_bounded_exactly_in_both_norms():
    torch.manual_seed(1)
    module, x, y = nn.Sequential(nn.Flatten(), nn.Linear(9, 3)), torch.full((1, 1, 3, 3), 0.5), torch.tensor([1])
    weight, scores = module[1].weight.detach(), module(x)[0].detach()
    for norm, length in ((Norm.LINF, lambda w: w.abs().sum()), (Norm.L2, lambda w: w.norm())):
        found = bounds.margins(module, x, y, Ball(norm, 0.1))[0]
        for other in (0, 2):
            exact = scores[1] - scores[other] - 0.1 * length(weight[1] - weight[other])
            assert float(found[other]) == pytest.approx(float(exact), abs=1e-4)
            assert float(found[other]) <= float(exact)
        assert found[1] == 0


class Residual(nn.Module):
    """A typical module: a branch, functions, methods, an in-place step, a normalisation by constants."""

    def __init__(self):
        super().__init__()
        self.first, self.second = nn.Conv2d(1, 3, 3, padding=1), nn.Conv2d(3, 3, 3, padding=1)
        self.last = nn.Linear(12, 4)

    def forward(self, x):
        x = (x - 0.3) / 0.5 * -2.0
        x = functional.relu(self.first(x), inplace=True)
        y = torch.tanh(self.second(x))
        y += x
        y = functional.max_pool2d(y, 2).relu()
        return self.last(y.view(y.size(0), -1))


def nets():
    conv = nn.Conv2d(1, 3, 3, stride=2, padding=1)
    yield (
        "dense",
        nn.Sequential(nn.Flatten(), nn.Linear(16, 8), nn.ReLU(), nn.Linear(8, 8), nn.ReLU(), nn.Linear(8, 4)),
    )
    yield "conv", nn.Sequential(conv, nn.ReLU(inplace=True), nn.Flatten(), nn.Dropout(0.5), nn.Linear(12, 4))
    yield (
        "normed",
        nn.Sequential(
            nn.Conv2d(1, 3, 3), nn.BatchNorm2d(3), nn.LeakyReLU(), nn.AvgPool2d(2), nn.Flatten(), nn.Linear(3, 4)
        ),
    )
    yield "pooled", nn.Sequential(nn.Conv2d(1, 3, 3), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(), nn.Linear(3, 4))
    yield (
        "squeezed",
        nn.Sequential(BitDepth(3), Median(3), nn.Flatten(), nn.Linear(16, 6), nn.ReLU(), nn.Linear(6, 4)),
    )
    yield (
        "smooth",
        nn.Sequential(nn.Flatten(), nn.Linear(16, 8), nn.Softplus(), nn.Linear(8, 8), nn.ELU(), nn.Linear(8, 4)),
    )
    yield "residual", Residual()


def prepared(module):
    module.train()
    for _ in range(3):  # sets batch norm's statistics
        module(torch.rand(8, 1, 4, 4))
    for part in module.modules():
        if isinstance(part, nn.BatchNorm2d):
            part.weight.data.copy_(torch.tensor([1.0, -2.0, 0.5]))  # a negative scale swaps the ends
    return module.double().eval()


@pytest.mark.parametrize("norm", list(Norm))
@pytest.mark.parametrize("number", range(7))
def test_no_allowed_input_leaves_the_bounds(number, norm):
    torch.manual_seed(number)
    _, module = list(nets())[number]
    module = prepared(module)
    x, y = torch.rand(5, 1, 4, 4).double(), torch.randint(0, 4, (5,))
    budget = Ball(norm, 0.15 if norm is Norm.LINF else 0.5)
    proven = bounds.margins(module, x, y, budget)
    outer = bounds.intervals(module, bounds.box_of(x, budget, module).inputs)
    for _ in range(200):
        corner = torch.randint(0, 2, x.shape).double() if torch.rand(()) < 0.5 else torch.rand(x.shape).double()
        point = budget.project(budget.start(x, corner), x)
        with torch.no_grad():
            scores = module(point)
        assert (scores >= outer.low - 1e-9).all()
        assert (scores <= outer.high + 1e-9).all()
        assert (scores.gather(1, y[:, None]) - scores >= proven - 1e-9).all()


def test_linear_bounds_are_never_looser_than_intervals_and_mostly_tighter():
    torch.manual_seed(0)
    module = prepared(next(nets())[1])
    x, y = torch.rand(20, 1, 4, 4).double(), torch.randint(0, 4, (20,))
    budget = Ball(Norm.LINF, 0.05)
    proven = bounds.margins(module, x, y, budget)
    found = bounds.intervals(module, bounds.box_of(x, budget, module).inputs)
    by_interval = found.low.gather(1, y[:, None]) - found.high
    by_interval.scatter_(1, y[:, None], 0.0)
    assert (proven >= by_interval - 1e-12).all()
    assert float((proven > by_interval + 0.01).double().mean()) > 0.5


def mlp(spec):
    return nn.Sequential(
        nn.Flatten(),
        nn.Linear(spec.features, 48),
        nn.ReLU(),
        nn.Linear(48, 32),
        nn.ReLU(),
        nn.Linear(32, spec.classes),
    )


EPS = 0.06


@pytest.fixture(scope="module")
def models(digits):
    options = Options(epochs=30, learning_rate=5e-3)
    hardening = Hardening((Ball(Norm.LINF, EPS),), "ibp")
    plain = training.train(mlp, digits.spec, digits.x, digits.y, options=options).model
    return plain, training.train(mlp, digits.spec, digits.x, digits.y, hardening=hardening, options=options).model


def test_pgd_never_breaks_a_row_that_is_certified_and_training_for_it_certifies_many(models, digits):
    budget = Ball(Norm.LINF, EPS)
    x, y = torch.from_numpy(digits.x_test), torch.from_numpy(digits.y_test)
    pgd = methods.for_torch("pgd", {"steps": 30, "step": 0.1}, (budget,))
    shares = []
    for model in models:
        proven = bounds.certified(model, digits.x_test, digits.y_test, budget)
        for seed in range(2):
            changed = pgd.perturb(model.module, Batch.of(x, y), rng=torch.Generator().manual_seed(seed))
            held = model.scores(changed.numpy()).argmax(1) == digits.y_test
            assert held[proven].all()
        assert held.mean() >= proven.mean()
        shares.append(float(proven.mean()))
    assert shares[1] > 0.6, shares
    assert shares[1] > shares[0] + 0.25
    assert (models[1].scores(digits.x_test).argmax(1) == digits.y_test).mean() > 0.8


def test_a_larger_radius_certifies_fewer_rows_and_a_wrong_one_is_never_certified(models, digits):
    model = models[1]
    proven = [
        bounds.certified(model, digits.x_test, digits.y_test, Ball(Norm.LINF, eps))
        for eps in (0.0, 0.03, 0.06, 0.12)
    ]
    for wider, narrower in zip(proven[1:], proven, strict=False):
        assert (narrower | ~wider).all()
    right = model.scores(digits.x_test).argmax(1) == digits.y_test
    assert not proven[0][~right].any()
    assert proven[0][right].mean() > 0.99
    other = (digits.y_test + 1) % 10
    assert not bounds.certified(model, digits.x_test, other, Ball(Norm.LINF, 0.01))[right].any()


def test_a_table_is_certified_and_the_search_never_breaks_it(mixed):
    """The box of a category contains more than the budget allows; the box of a number is exact."""
    box = ColumnBox(mixed.spec.columns, (ColumnBudget("size", 0.3), ColumnBudget("count", 1), ColumnBudget("flag")))
    options = Options(epochs=20, learning_rate=5e-3)
    model = training.train(
        mlp, mixed.spec, mixed.x, mixed.y, hardening=Hardening((box,), "ibp"), options=options
    ).model
    proven = bounds.certified(model, mixed.x_test, mixed.y_test, box)
    entry = ATTACKS["coordinate-search"]
    rng = np.random.default_rng(0)
    found = entry.run(model, mixed.x_test, mixed.y_test, box, entry.make({}), rng=rng, task=Quiet())
    held = model.scores(found.x).argmax(1) == mixed.y_test
    assert held[proven].all()
    assert proven.mean() > 0.35  # a third of the rows are within the budget of the true boundary
    flag = ColumnBox(mixed.spec.columns, (ColumnBudget("flag"),))
    with torch.no_grad():
        model.module.inner[1].weight[:, -2:] = torch.tensor([-9.0, 9.0])  # a model that uses the flag alone
    assert bounds.certified(model, mixed.x_test, mixed.y_test, flag).mean() < 0.2
