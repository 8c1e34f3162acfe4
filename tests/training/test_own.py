"""The team's own training function, and the hardening step that it receives."""

# ruff: noqa: ARG001 - the tests are about the parameters of these functions

from __future__ import annotations

import numpy as np
import pytest
import torch
from sklearn.ensemble import RandomForestClassifier
from torch import nn

from hauberk import training
from hauberk.attacks.budget import Ball
from hauberk.core.errors import InvalidInput
from hauberk.core.threats import Norm
from hauberk.training import Hardening

BUDGET = Ball(Norm.LINF, 0.1)
PGD = Hardening((BUDGET,), "pgd", {"steps": 5, "step": 0.3, "warmup": 0.0})


def build(spec):
    return nn.Sequential(nn.Flatten(), nn.Linear(64, 64), nn.ReLU(), nn.Linear(64, spec.classes))


def table(spec):
    return nn.Sequential(nn.Linear(spec.features, 16), nn.ReLU(), nn.Linear(16, spec.classes))


def own(data, model, harden, seed):
    torch.manual_seed(seed)
    optimizer = torch.optim.AdamW(model.parameters(), lr=5e-3)
    x, y = torch.from_numpy(data.x), torch.from_numpy(data.y)
    for _ in range(12):
        for rows in torch.randperm(len(x)).split(128):
            loss = nn.functional.cross_entropy(model(harden(model, x[rows], y[rows])), y[rows])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
    return model


def test_the_same_function_trains_plainly_with_one_step_and_robustly_with_the_other(digits, loss_gradient):
    def under_pgd(model, x, y):
        changed = x.copy()
        for _ in range(20):
            _, gradient = loss_gradient(model, changed, y)
            changed = np.clip(changed + 0.02 * np.sign(gradient), x - 0.1, x + 0.1).clip(0, 1)
        return float((model.scores(changed).argmax(1) == y).mean())

    arguments = {"build": build, "seed": 3}
    plain = training.train_own(own, digits.spec, digits.x, digits.y, **arguments)
    hard = training.train_own(own, digits.spec, digits.x, digits.y, hardening=PGD, **arguments)
    reached = [under_pgd(o.model, digits.x_test, digits.y_test) for o in (plain, hard)]
    assert reached[1] > reached[0] + 0.15
    assert "plain reference" in plain.notes[0]
    assert "within the declared budget" in hard.notes[0]


def test_the_same_seed_gives_the_same_weights_and_they_can_be_loaded(mixed):
    arguments = {"build": table, "hardening": Hardening((mixed.budget,), "pgd"), "seed": 1}
    first, second = (training.train_own(own, mixed.spec, mixed.x, mixed.y, **arguments) for _ in range(2))
    assert first.model.weights() == second.model.weights()
    again = training.load_weights(table, mixed.spec, first.model.weights())
    assert np.array_equal(again.scores(mixed.x_test), first.model.scores(mixed.x_test))


def test_the_step_respects_the_budget_and_does_not_change_the_module(digits):
    seen = {}

    def look(data, model, harden):
        x, y = torch.from_numpy(data.x[:50]), torch.from_numpy(data.y[:50])
        model.train()
        seen["changed"] = harden(model, x, y).numpy()
        seen["training"] = model.training
        seen["gradients"] = [p.grad for p in model.parameters()]
        return model

    training.train_own(look, digits.spec, digits.x, digits.y, build=build, hardening=PGD)
    assert BUDGET.allows(seen["changed"], digits.x[:50]).all()
    assert np.abs(seen["changed"] - digits.x[:50]).max() > 0.09
    assert seen["training"]
    assert seen["gradients"] == [None] * 4


def test_estimators_are_hardened_too(cancer):
    def forest(data, harden, seed):
        model = RandomForestClassifier(30, random_state=seed).fit(data.x, data.y)
        changed = harden(model, data.x, data.y)
        both = np.concatenate([data.x, changed])
        return RandomForestClassifier(30, random_state=seed).fit(both, np.tile(data.y, 2))

    hard = Hardening((cancer.budget,))
    outcome = training.train_own(forest, cancer.spec, cancer.x, cancer.y, hardening=hard)
    assert outcome.model.framework == "sklearn"
    assert (outcome.model.scores(cancer.x_test).argmax(1) == cancer.y_test).mean() > 0.85


def no_harden(data, model):
    return model


def greedy(data, harden, budget):
    return None


def nothing(data, harden):
    pass


def breaks(data, harden):
    raise RuntimeError("out of cheese")


def asks_model(model, harden):
    return model


def other_table(data, harden):
    return nn.Linear(4, 2)


def other_image(data, harden):
    return nn.Sequential(nn.Flatten(), nn.Linear(64, 10))


@pytest.mark.parametrize(
    ("function", "builder", "said"),
    [
        (no_harden, build, r"test_own\.py:\d+: it has no parameter `harden`\. Write it as `def train\(data"),
        (greedy, build, "requires 'budget'; it can have: data, spec, model, harden, seed, device"),
        (nothing, build, r"returned None \(is there a `return`"),
        (breaks, build, r"test_own\.py:\d+: the training function raised RuntimeError: out of cheese"),
        (asks_model, None, "no builder is named"),
        (other_image, None, "weights could not be loaded again"),
        (other_image, build, "Is it the same builder"),
    ],
)
def test_unusable_functions_are_refused_with_the_reason(digits, function, builder, said):
    with pytest.raises(InvalidInput, match=said):
        training.train_own(function, digits.spec, digits.x, digits.y, build=builder, hardening=PGD)


def test_a_table_model_without_the_encoder_is_refused(mixed):
    with pytest.raises(InvalidInput, match="return the `model` that the function receives"):
        training.train_own(other_table, mixed.spec, mixed.x, mixed.y, build=table)


def test_a_function_that_never_hardens_is_noted(digits):
    outcome = training.train_own(asks_model, digits.spec, digits.x, digits.y, build=build, hardening=PGD)
    assert "never called `harden`" in outcome.notes[0]


def test_a_method_with_a_loss_of_its_own_is_refused(digits):
    hardening = Hardening((BUDGET,), "trades")
    with pytest.raises(
        InvalidInput, match=r"'trades' minimises a loss of its own.*use fgsm-rs or n-fgsm or pgd with"
    ):
        training.train_own(own, digits.spec, digits.x, digits.y, build=build, hardening=hardening)
