"""Plain and hardened training on real data: the gain from hardening, and repeatability."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from sklearn.ensemble import GradientBoostingClassifier
from torch import nn

from hauberk import training
from hauberk.attacks.attack import attack
from hauberk.attacks.budget import Ball, ColumnBox
from hauberk.attacks.evasion import ATTACKS
from hauberk.core.errors import InvalidInput
from hauberk.core.threats import ColumnBudget, Norm
from hauberk.training import Hardening, Options
from hauberk.training.adversarial import HARDENING, members, traits_of

SHORT = Options(epochs=20, learning_rate=5e-3)


def mlp(spec):
    return nn.Sequential(
        nn.Flatten(), nn.Linear(spec.features, 64), nn.ReLU(), nn.Dropout(0.1), nn.Linear(64, spec.classes)
    )


def trees():
    return GradientBoostingClassifier(n_estimators=40)


def clean(model, sample):
    return float((model.scores(sample.x_test).argmax(1) == sample.y_test).mean())


@pytest.fixture
def under_pgd(loss_gradient):
    """A plain PGD in NumPy, written for the test."""

    def accuracy(model, sample, budget, steps=30):
        x, y = sample.x_test, sample.y_test
        changed = budget.start(x, np.random.default_rng(1).random(x.shape, dtype=np.float32))
        for _ in range(steps):
            _, gradient = loss_gradient(model, changed, y)
            changed = budget.project(changed + budget.step(gradient, 0.15), x)
        assert budget.allows(changed, x).all()
        return float((model.scores(changed).argmax(1) == y).mean())

    return accuracy


def under_search(model, sample):
    entry = ATTACKS["coordinate-search"]
    rng = np.random.default_rng(5)
    return attack(entry.run, model, sample.x_test, sample.y_test, sample.budget, entry.make({}), rng=rng).robust


ADVERSARIAL = [entry.name for entry in members("torch") if traits_of(entry).adversarial]


@pytest.mark.parametrize(
    ("method", "budget"),
    [*((name, Ball(Norm.LINF, 0.1)) for name in ADVERSARIAL), ("auto", Ball(Norm.L2, 0.8))],
)
def test_hardening_pictures_gains_under_pgd_and_costs_little_clean(digits, under_pgd, method, budget):
    plain = training.train(mlp, digits.spec, digits.x, digits.y, options=SHORT).model
    hardening = Hardening((budget,), method)
    hard = training.train(mlp, digits.spec, digits.x, digits.y, hardening=hardening, options=SHORT).model
    assert under_pgd(hard, digits, budget) > under_pgd(plain, digits, budget) + 0.15
    assert clean(hard, digits) > clean(plain, digits) - 0.04


def test_a_hardened_table_model_does_not_rely_on_a_category_that_may_change(mixed):
    """`flag` predicts the label in 19 of 20 rows, but may change; `size` predicts it in 17 of 20 and may not."""
    rng = np.random.default_rng(2)
    x, x_test = mixed.x.copy(), mixed.x_test.copy()
    labels = []
    for rows in (x, x_test):
        y = rng.integers(0, 2, len(rows))
        rows[:, 3] = np.where(rng.random(len(rows)) < 0.95, y, 1 - y)
        rows[:, 1] = np.abs(rows[:, 1]) * np.where((rng.random(len(rows)) < 0.85) == (y == 1), 1, -1)
        labels.append(y)
    box = ColumnBox(mixed.spec.columns, (ColumnBudget("flag"),))
    sample = replace(mixed, x=x, y=labels[0], x_test=x_test, y_test=labels[1], budget=box)
    plain = training.train(mlp, sample.spec, x, sample.y, options=SHORT).model
    hard = training.train(mlp, sample.spec, x, sample.y, hardening=Hardening((box,)), options=SHORT).model
    assert clean(plain, sample) > 0.9
    assert under_search(plain, sample) < 0.5
    assert under_search(hard, sample) > 0.75


def test_hardening_trees_gains_under_search(cancer):
    plain = training.train(trees, cancer.spec, cancer.x, cancer.y)
    hard = training.train(
        trees, cancer.spec, cancer.x, cancer.y, hardening=Hardening((cancer.budget,), params={"rounds": 5})
    )
    assert hard.method == "augment"
    assert under_search(hard.model, cancer) > under_search(plain.model, cancer) + 0.03
    assert clean(hard.model, cancer) > clean(plain.model, cancer) - 0.04
    assert len(hard.series["robust"]) == 6
    assert "best on held-out rows" in hard.notes[0]


def test_hardening_to_two_threats_gains_under_both(digits, under_pgd):
    budgets = (Ball(Norm.LINF, 0.1), Ball(Norm.L2, 0.8))
    plain = training.train(mlp, digits.spec, digits.x, digits.y, options=SHORT).model
    hard = training.train(mlp, digits.spec, digits.x, digits.y, hardening=Hardening(budgets), options=SHORT).model
    for budget in budgets:
        assert under_pgd(hard, digits, budget) > under_pgd(plain, digits, budget) + 0.15


def test_fine_tuning_hardens_loaded_weights_and_does_not_change_them(digits, under_pgd):
    budget = Ball(Norm.LINF, 0.1)
    made = training.train(mlp, digits.spec, digits.x, digits.y, options=SHORT).model
    loaded = training.load_weights(mlp, digits.spec, made.weights())
    outcome = training.fine_tune(loaded, digits.x, digits.y, hardening=Hardening((budget,)))
    assert loaded.weights() == made.weights()
    assert under_pgd(outcome.model, digits, budget) > under_pgd(made, digits, budget) + 0.1
    assert clean(outcome.model, digits) > clean(made, digits) - 0.04


@pytest.mark.parametrize("method", [None, "pgd", "fgsm-rs"])
def test_the_same_seed_gives_the_same_weights_and_another_seed_others(digits, method):
    hardening = Hardening((Ball(Norm.LINF, 0.1),), method) if method else None
    options = Options(epochs=2, augment="shift")

    def weights(seed):
        return training.train(
            mlp, digits.spec, digits.x, digits.y, hardening=hardening, options=options, seed=seed
        ).model.weights()

    first = weights(4)
    np.random.default_rng().random()
    assert weights(4) == first
    assert weights(5) != first


def test_the_same_seed_gives_the_same_trees(cancer):
    def exported(seed):
        outcome = training.train(
            lambda: GradientBoostingClassifier(n_estimators=10, subsample=0.5),
            cancer.spec,
            cancer.x,
            cancer.y,
            hardening=Hardening((cancer.budget,), params={"rounds": 2}),
            seed=seed,
        )
        return outcome.model.export_onnx()

    assert exported(4) == exported(4)
    assert exported(4) != exported(5)


def test_metrics_have_the_names_that_the_gate_reads(digits, cancer):
    for outcome in (
        training.train(mlp, digits.spec, digits.x, digits.y, options=Options(epochs=2)),
        training.train(trees, cancer.spec, cancer.x, cancer.y),
    ):
        assert {"seconds", "epochs", "final_loss", "final_accuracy"} <= set(outcome.metrics)
        assert np.isfinite(list(outcome.metrics.values())).all()
        assert outcome.method == ""
    series = training.train(mlp, digits.spec, digits.x, digits.y, options=Options(epochs=3)).series
    assert [point["x"] for point in series["loss"]] == [1, 2, 3]
    assert series["loss"][-1]["y"] < series["loss"][0]["y"]


def names(framework):
    return [entry.name for entry in members(framework)]


def test_a_method_for_the_other_kind_of_model_is_refused_and_suitable_ones_are_named(digits, cancer):
    with pytest.raises(
        InvalidInput, match=rf"'augment' is for scikit-learn estimators.*use {' or '.join(names('torch'))}\."
    ):
        training.train(mlp, digits.spec, digits.x, digits.y, hardening=Hardening((Ball(Norm.L2, 1),), "augment"))
    with pytest.raises(InvalidInput, match=r"'pgd' is for torch modules.*use augment"):
        training.train(trees, cancer.spec, cancer.x, cancer.y, hardening=Hardening((cancer.budget,), "pgd"))
    with pytest.raises(
        InvalidInput, match=f"no hardening is named 'magic'; known: {', '.join(entry.name for entry in HARDENING)}"
    ):
        training.train(mlp, digits.spec, digits.x, digits.y, hardening=Hardening((Ball(Norm.L2, 1),), "magic"))


def test_hardening_without_a_threat_is_refused():
    with pytest.raises(InvalidInput, match="no evasion threat"):
        Hardening(())


def test_weights_for_an_estimator_are_refused(cancer):
    with pytest.raises(InvalidInput, match=r"belong to a torch\.nn\.Module.*as ONNX"):
        training.load_weights(trees, cancer.spec, b"")
