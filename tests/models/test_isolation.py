from __future__ import annotations

import threading
from functools import partial

import pytest

from hauberk.core.errors import InvalidInput

torch = pytest.importorskip("torch")

from torch import nn  # noqa: E402 - after torch is known to be there

from hauberk.models.isolation import isolated  # noqa: E402 - as above


def net():
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return nn.Sequential(nn.Linear(4, 8), nn.BatchNorm1d(8), nn.Dropout(0.5), nn.Linear(8, 3)).train()


X = torch.linspace(0, 1, 20).reshape(5, 4)


def answer(module):
    """Return what the module says in evaluation mode."""
    with torch.no_grad():
        return module.eval()(X)


def state(module):
    """Return everything of a module that using it could change."""
    return (
        [part.training for part in module.modules()],
        [(weight.requires_grad, weight.grad, weight.clone()) for weight in module.parameters()],
        [buffer.clone() for buffer in module.buffers()],
    )


def same(one, other):
    return (
        one[0] == other[0]
        and all(
            a[0] == b[0] and a[1] is b[1] and torch.equal(a[2], b[2]) for a, b in zip(one[1], other[1], strict=True)
        )
        and all(torch.equal(a, b) for a, b in zip(one[2], other[2], strict=True))
    )


@pytest.mark.parametrize("share", [False, True])
def test_a_copy_answers_in_evaluation_mode_and_the_module_does_not_change(share):
    module, before = net(), state(net())
    copy = isolated(module, share=share)
    point = X.clone().requires_grad_()
    torch.autograd.grad(copy(point).sum(), point)
    assert same(state(module), before)
    assert not any(weight.requires_grad for weight in copy.parameters())
    assert not any(part.training for part in copy.modules())
    assert torch.equal(copy(X), answer(net()))


def test_a_sharing_copy_uses_the_modules_weights_and_another_does_not():
    module = net()
    sharing, own = isolated(module, share=True), isolated(module)
    with torch.no_grad():
        module[3].bias += 1.0
    assert torch.allclose(sharing(X), own(X) + 1.0)


class Stateful(nn.Module):
    """Counts its calls in a buffer, keeps its inputs in a list, and holds a lock, which cannot be copied."""

    def __init__(self):
        super().__init__()
        self.inner, self.lock, self.seen = net(), threading.Lock(), []
        self.register_buffer("calls", torch.zeros(()))

    def forward(self, x):
        with self.lock:
            self.calls += 1
            self.seen.append(len(x))
            return self.inner(x)


@pytest.mark.parametrize("share", [False, True])
def test_what_a_forward_writes_stays_in_the_copy(share):
    module = Stateful().train()
    isolated(module, share=share)(X)
    assert module.calls == 0
    assert module.seen == []
    assert module.inner.training


class Tangled(nn.Module):
    """Reaches its parts through a closure, a bound method, a partial and a list; two parts share their weights."""

    def __init__(self):
        super().__init__()
        self.inner, self.last = net(), nn.Linear(3, 3)
        self.again = nn.Linear(3, 3)
        self.again.weight = self.last.weight
        self.ask = lambda x: 2 * self.inner(x)
        self.method, self.bound = self.again.forward, partial(nn.functional.linear, weight=self.last.weight)
        self.parts = [self.last]

    def forward(self, x):
        return self.bound(self.method(self.parts[0](self.ask(x))))


def test_references_to_parts_lead_to_the_copy():
    module = Tangled().train()
    before = state(module)
    copy = isolated(module)
    one = copy(X)
    assert same(state(module), before)  # the batch norm behind the closure did not learn from X
    with torch.no_grad():
        module.last.weight.zero_()
        module.inner[0].weight.zero_()
    assert torch.equal(copy(X), one)
    assert copy.again.weight is copy.last.weight


class Recurrent(nn.Module):
    def __init__(self):
        super().__init__()
        self.cell, self.last = (
            nn.LSTM(4, 5, dropout=0.5, num_layers=2),
            nn.utils.parametrizations.weight_norm(nn.Linear(5, 3)),
        )

    def forward(self, x):
        return self.last(self.cell(x[:, None])[0][:, 0])


class Old(nn.Module):
    def __init__(self):
        super().__init__()
        self.last = nn.utils.spectral_norm(nn.Linear(4, 3))

    def forward(self, x):
        return self.last(x)


@pytest.mark.parametrize("kind", [Recurrent, Old])
def test_layers_with_weights_in_odd_places_answer_the_same(kind):
    module = kind().train()
    before = state(module)
    copies = [isolated(module, share=share)(X) for share in (False, True)]
    assert same(state(module), before)
    for copy in copies:
        assert torch.allclose(copy, answer(module))


def test_compiled_and_scripted_modules_are_copied_too():
    scripted = torch.jit.script(net())
    assert torch.allclose(isolated(scripted)(X), answer(net()))
    assert scripted.training
    compiled = torch.compile(net())
    assert torch.allclose(isolated(nn.Sequential(compiled))(X), answer(net()))


def test_a_module_with_lazy_weights_is_refused():
    with pytest.raises(InvalidInput, match="lazy weights"):
        isolated(nn.Sequential(nn.LazyLinear(3)))
