"""The laws of the hardening family, for every member, and what single members promise."""

from __future__ import annotations

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
from hauberk.training import Spec, encoding
from hauberk.training.adversarial import HARDENING
from hauberk.training.torch_model import Encoded, Encoder

TORCH = [entry.name for entry in HARDENING if entry.params.framework == "torch"]


def test_the_family_has_its_members():
    assert [entry.name for entry in HARDENING] == ["augment", "fgsm-rs", "pgd"]
    for entry in HARDENING:
        assert entry.practice == "2a"
        assert entry.threats == ("evasion",)
        assert entry.params.framework in ("torch", "sklearn")


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
    changed = entry.run(module, x, y, Ball(norm, eps), entry.make({}), rng=generator)
    assert Ball(norm, eps).allows(changed.numpy(), x.numpy()).all()
    assert not changed.requires_grad
    assert module.training
    assert all(p.grad is None for p in module.parameters())
    assert all(torch.equal(value, state[key]) for key, value in module.state_dict().items())
    module.eval()
    loss = nn.CrossEntropyLoss()
    assert loss(module(changed), y) > loss(module(x), y)


@pytest.mark.parametrize("name", TORCH)
def test_rows_of_a_table_stay_in_the_box_and_use_every_declared_column(name, mixed):
    entry = HARDENING[name]
    torch.manual_seed(0)
    module = Encoded(Encoder(encoding.fit(mixed.spec, mixed.x)), nn.Linear(mixed.spec.features, 2))
    x, y = torch.from_numpy(mixed.x), torch.from_numpy(mixed.y)
    changed = entry.run(module, x, y, mixed.budget, entry.make({}), rng=torch.Generator().manual_seed(0)).numpy()
    assert mixed.budget.allows(changed, mixed.x).all()
    assert (changed != mixed.x).any(axis=0).tolist() == [False, True, True, True]


def test_categories_are_changed_where_that_hurts():
    """Only a category can be changed here, and one of its values is always wrong: nine rows in ten end there."""
    column = Column("c", ColumnKind.CATEGORY, 0, 3, ("a", "b", "c", "d"))
    box = ColumnBox((column,), (ColumnBudget("c"),))
    spec = Spec("table", (1,), 2, (column,))
    module = Encoded(Encoder(encoding.unfitted(spec)), nn.Linear(4, 2))
    with torch.no_grad():
        module.inner.weight.copy_(torch.tensor([[1.0, 1.0, 1.0, -3.0], [0, 0, 0, 0]]))
    entry = HARDENING["pgd"]
    x, y = torch.zeros(400, 1), torch.zeros(400, dtype=torch.int64)
    changed = entry.run(module, x, y, box, entry.make({}), rng=torch.Generator().manual_seed(0))
    assert float((changed == 3).float().mean()) > 0.5


def test_directions_and_cost_hold_in_training_too(mixed):
    columns = mixed.spec.columns
    budgets = (ColumnBudget("size", 1.0, Direction.UP, 2.0), ColumnBudget("count", 3, Direction.DOWN, 1.0))
    box = ColumnBox(columns, budgets, cost=2.5)
    torch.manual_seed(0)
    module = Encoded(Encoder(encoding.fit(mixed.spec, mixed.x)), nn.Linear(mixed.spec.features, 2))
    entry = HARDENING["pgd"]
    x, y = torch.from_numpy(mixed.x), torch.from_numpy(mixed.y)
    changed = entry.run(module, x, y, box, entry.make({}), rng=torch.Generator().manual_seed(0)).numpy()
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
        ("fgsm-rs", {"steps": 3}, "has no parameter 'steps'; it has: guard, step, warmup"),
        ("augment", {"rounds": 0}, "`rounds` >= 1"),
        ("augment", {"attack": "psychic"}, "no attack is named 'psychic'; known: "),
    ],
)
def test_settings_that_make_no_sense_are_refused(name, values, said):
    with pytest.raises(InvalidInput, match=said):
        HARDENING[name].make(values)
