"""The laws of the hardening family, for every registered member, and the promises of single members."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from hauberk.attacks.budget import Ball, ColumnBox
from hauberk.core.columns import Column, ColumnKind
from hauberk.core.errors import InvalidInput
from hauberk.core.threats import ColumnBudget, Direction, Norm
from hauberk.models import encoding
from hauberk.models.torch_model import Encoded, Encoder
from hauberk.training import Spec, methods
from hauberk.training.adversarial import HARDENING, Traits, members, traits_of
from hauberk.training.batch import Batch
from hauberk.training.watching import Plain

# The methods that attack within the budget. The others are tested with the certificates they train for.
TORCH = [entry.name for entry in members("torch") if traits_of(entry).adversarial]


def test_every_member_declares_what_auto_and_the_planner_need():
    assert len(TORCH) >= 5
    for entry in HARDENING:
        assert entry.practice == "2a"
        assert entry.threats == ("evasion",)
        assert "traits" in vars(entry.params)
    for framework in ("torch", "sklearn"):
        assert traits_of(HARDENING[methods.resolve("auto", framework)]).default
    names = [name for name, _ in methods.ladder()]
    ranks = [traits_of(HARDENING[name]).rank for name in names]
    assert ranks == sorted(ranks, reverse=True)
    assert len(set(ranks)) == len(ranks) >= 3
    least = [needed for _, needed in methods.ladder()]
    assert least == sorted(least, reverse=True)  # a stronger method needs more epochs to pay


def test_two_defaults_of_one_framework_are_refused_by_name(monkeypatch):
    monkeypatch.setattr(methods, "traits_of", lambda _: Traits(default=True))
    with pytest.raises(
        InvalidInput, match=r"7 hardening methods for torch declare.*default \(fgsm-rs, ibp.*Name the"
    ):
        methods.resolve("auto", "torch")


@pytest.mark.parametrize("name", TORCH)
def test_a_batch_costs_the_passes_that_the_method_declares(name):
    """A pass is counted when the module computes scores that a gradient is taken of."""
    module, counted = picture_model(), [0]
    module.register_forward_hook(lambda *_: counted.__setitem__(0, counted[0] + torch.is_grad_enabled()))
    chosen = methods.for_torch(name, {}, (Ball(Norm.LINF, 0.1),))
    batch = Batch.of(torch.rand(4, 1, 8, 8), torch.zeros(4, dtype=torch.int64))
    changed = chosen.perturb(module, batch, rng=torch.Generator().manual_seed(0))
    chosen.loss(module, replace(batch, changed=changed))
    assert counted[0] == chosen.params.passes


def within(entry, budget):
    """Return the budget that the points of a method may use."""
    return budget.scaled(getattr(entry.make({}), "reach", 1.0))


def picture_model():
    torch.manual_seed(0)
    return nn.Sequential(nn.Flatten(), nn.Linear(64, 16), nn.Dropout(0.5), nn.BatchNorm1d(16), nn.Linear(16, 10))


@pytest.mark.parametrize("name", TORCH)
@settings(max_examples=15, deadline=None)
@given(norm=st.sampled_from(list(Norm)), eps=st.floats(0.005, 0.6), seed=st.integers(0, 99), rows=st.integers(1, 9))
def test_pictures_stay_in_the_ball_and_gain_loss(name, norm, eps, seed, rows):
    entry, module = HARDENING[name], picture_model().train()
    generator = torch.Generator().manual_seed(seed)
    x, y = torch.rand(rows, 1, 8, 8, generator=generator), torch.randint(0, 10, (rows,), generator=generator)
    state = {key: value.clone() for key, value in module.state_dict().items()}
    changed = entry.run(module, Batch.of(x, y), Ball(norm, eps), entry.make({}), rng=generator)
    assert within(entry, Ball(norm, eps)).allows(changed.numpy(), x.numpy()).all()
    assert not changed.requires_grad
    assert module.training
    assert all(p.grad is None for p in module.parameters())
    assert all(torch.equal(value, state[key]) for key, value in module.state_dict().items())
    # In float64: what a step of one pixel in a small L1 ball gains is lost in float32.
    module, x, changed = module.eval().double(), x.double(), changed.double()
    # Each method's points raise the cross-entropy or its own loss: TRADES moves the prediction, whatever the label.
    batch, chosen = Batch.of(x, y), methods.for_torch(name, {}, (Ball(norm, eps),))
    gains = [
        (method.loss(module, replace(batch, changed=changed))[0] - method.loss(module, batch)[0]).item()
        for method in ((chosen, Plain()) if name != "trades" else (chosen,))
    ]
    assert max(gains) > 0


@pytest.mark.parametrize("name", TORCH)
def test_rows_of_a_table_stay_in_the_box_and_use_every_declared_column(name, mixed):
    entry = HARDENING[name]
    torch.manual_seed(0)
    module = Encoded(Encoder(encoding.fit(mixed.spec, mixed.x)), nn.Linear(mixed.spec.features, 2))
    x, y = torch.from_numpy(mixed.x), torch.from_numpy(mixed.y)
    changed = entry.run(
        module, Batch.of(x, y), mixed.budget, entry.make({}), rng=torch.Generator().manual_seed(0)
    ).numpy()
    assert within(entry, mixed.budget).allows(changed, mixed.x).all()
    assert (changed != mixed.x).any(axis=0).tolist() == [False, True, True, True]


def test_categories_change_to_the_value_with_the_highest_loss():
    """Only a category may change, and one of its values is always wrong: most rows reach it."""
    column = Column("c", ColumnKind.CATEGORY, 0, 3, ("a", "b", "c", "d"))
    box = ColumnBox((column,), (ColumnBudget("c"),))
    spec = Spec("table", (1,), 2, (column,))
    module = Encoded(Encoder(encoding.unfitted(spec)), nn.Linear(4, 2))
    with torch.no_grad():
        module.inner.weight.copy_(torch.tensor([[1.0, 1.0, 1.0, -3.0], [0, 0, 0, 0]]))
    entry = HARDENING["pgd"]
    x, y = torch.zeros(400, 1), torch.zeros(400, dtype=torch.int64)
    changed = entry.run(module, Batch.of(x, y), box, entry.make({}), rng=torch.Generator().manual_seed(0))
    assert float((changed == 3).float().mean()) > 0.5


def test_directions_and_cost_hold_in_training_too(mixed):
    columns = mixed.spec.columns
    budgets = (ColumnBudget("size", 1.0, Direction.UP, 2.0), ColumnBudget("count", 3, Direction.DOWN, 1.0))
    box = ColumnBox(columns, budgets, cost=2.5)
    torch.manual_seed(0)
    module = Encoded(Encoder(encoding.fit(mixed.spec, mixed.x)), nn.Linear(mixed.spec.features, 2))
    entry = HARDENING["pgd"]
    x, y = torch.from_numpy(mixed.x), torch.from_numpy(mixed.y)
    changed = entry.run(module, Batch.of(x, y), box, entry.make({}), rng=torch.Generator().manual_seed(0)).numpy()
    assert box.allows(changed, mixed.x).all()
    assert (changed[:, 1] >= mixed.x[:, 1]).all()
    assert (changed[:, 2] <= mixed.x[:, 2]).all()
    assert np.abs(changed - mixed.x).max() > 0.3


@pytest.mark.parametrize(
    ("name", "values", "said"),
    [
        ("pgd", {"steps": 0}, "`steps` must be 1 or more"),
        ("pgd", {"step": 0.0}, "fraction of the radius"),
        ("pgd", {"warmup": 1.5}, "`warmup` is a share"),
        ("fgsm-rs", {"step": 3.0}, "fraction of the radius"),
        ("n-fgsm", {"noise": -1.0}, "multiples of the radius"),
        ("fgsm-rs", {"steps": 3}, "has no parameter 'steps'; it has: guard, step, warmup"),
        ("trades", {"beta": 0}, "`beta` must be above 0"),
        ("mart", {"steps": 0}, "mart `steps` must be 1 or more"),
        ("augment", {"rounds": 0}, "`rounds` >= 1"),
        ("augment", {"attack": "psychic"}, "no attack is named 'psychic'; known: "),
    ],
)
def test_settings_out_of_range_are_refused(name, values, said):
    with pytest.raises(InvalidInput, match=said):
        HARDENING[name].make(values)


def test_batches_meet_the_budgets_in_turn():
    chosen = methods.for_torch("pgd", {}, (Ball(Norm.LINF, 0.1), Ball(Norm.LINF, 0.3)))
    module, x, y = picture_model(), torch.full((4, 1, 8, 8), 0.5), torch.zeros(4, dtype=torch.int64)
    reached = [
        float((chosen.perturb(module, Batch.of(x, y, turn=turn), rng=torch.Generator()) - x).abs().max())
        for turn in range(4)
    ]
    assert reached == pytest.approx([0.1, 0.3, 0.1, 0.3], abs=1e-6)
