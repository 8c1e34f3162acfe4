"""Modules as teams write them: each is searched as it answers, and left as it was."""

from __future__ import annotations

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from torch import nn  # noqa: E402 - after torch is known to be there

from hauberk.attacks.evasion import fab, pgd  # noqa: E402
from hauberk.attacks.evasion.methods._slope import fell, reached, rounding  # noqa: E402
from hauberk.models.adapting import as_model  # noqa: E402

X = np.random.default_rng(0).random((16, 3, 6, 6), dtype=np.float32)


def body():
    with torch.random.fork_rng():
        torch.manual_seed(3)
        return nn.Sequential(nn.Conv2d(3, 6, 3), nn.BatchNorm2d(6), nn.ReLU(), nn.Flatten(), nn.Linear(96, 3))


class Louder(nn.Sequential):
    """A Sequential with a way of its own from layer to layer."""

    def forward(self, x):
        return self[1](self[0](x) * 9 + 4)


class Own(nn.Module):
    def __init__(self):
        super().__init__()
        inner = body()
        self.first, self.last = Louder(inner[0], inner[1]), inner[2:]

    def forward(self, x):
        return self.last(self.first(x))


class Mapped(nn.Module):
    """Asks several networks at once, by functorch."""

    def __init__(self):
        super().__init__()
        self.members = nn.ModuleList([body().eval(), body().eval()])

    def forward(self, x):
        weights, buffers = torch.func.stack_module_state(list(self.members))
        one = self.members[0]
        return torch.vmap(lambda w, b: torch.func.functional_call(one, (w, b), (x,)))(weights, buffers).mean(0)


class Closed(nn.Module):
    """Goes through a function that holds on to this very module, whatever copy it is called on."""

    def __init__(self):
        super().__init__()
        self.inner = body()
        self.ask = lambda x: 2 * self.inner(x)

    def forward(self, x):
        return self.ask(x)


@pytest.mark.parametrize("kind", [Own, Mapped, Closed])
def test_a_module_with_ways_of_its_own_is_fooled_and_left_as_it_was(kind):
    module = kind().train()
    y = as_model(module, classes=3).scores(X).argmax(1)
    before = {name: value.clone() for name, value in module.state_dict().items()}
    found = pgd(module, X, y, norm="l2", eps=3.0, steps=10)
    assert found.accuracy == 1
    assert found.robust < 0.3
    assert module.training
    for name, value in module.state_dict().items():
        assert torch.equal(value, before[name]), name


class Masked(nn.Module):
    """Rules a class out with a huge negative number."""

    def __init__(self, ruled_out):
        super().__init__()
        self.inner, self.ruled_out = body().eval(), ruled_out

    def forward(self, x):
        return torch.cat([self.inner(x), torch.full((len(x), 1), self.ruled_out)], 1)


def test_a_class_that_is_ruled_out_hides_no_find():
    robust = []
    for ruled_out in (-1e9, -20.0):
        module = Masked(ruled_out)
        y = as_model(module, classes=4).scores(X).argmax(1)
        robust.append(fab(module, X, y, norm="l2", eps=1.5, steps=15, classes=2).robust)
    assert robust[0] == robust[1] < 0.6


@pytest.mark.parametrize("scale", [1e-4, 1.0, 1e8])
def test_rounding_is_small_beside_the_logits_that_count(scale):
    logits = scale * torch.tensor([[2.0, 1.0, -3.0], [1.0, 2.0, -3.0]])
    masked = torch.cat([logits, torch.full((2, 1), -1e12)], 1)
    y = torch.zeros(2, dtype=torch.long)
    for some in (logits, masked, logits.log_softmax(1) if scale == 1 else logits):
        assert (rounding(some) < 0.02 * scale).all()
        assert fell(some, y).tolist() == [False, True]


def test_a_row_that_is_ahead_by_no_more_than_rounding_stays_the_find_until_a_better_one():
    logits = torch.tensor([[1.0, 1.0], [1.0, 1.000001], [1.0, 1.1], [float("nan"), 1.0]])
    loss, y = torch.full((4,), 3.0), torch.zeros(4, dtype=torch.long)
    got = reached(logits, loss, y)
    assert got[0] == 3
    assert 3 < got[1] < torch.inf
    assert got[2:].isposinf().all()
