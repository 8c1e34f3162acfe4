from __future__ import annotations

import threading

import numpy as np
import pytest

from hauberk.core.errors import InvalidInput
from hauberk.models.adapting import as_model
from hauberk.models.port import Differentiable

torch = pytest.importorskip("torch")

from hauberk.models.network import Network, frozen, laid_out  # noqa: E402 - after torch is known to be there


def net():
    with torch.random.fork_rng():
        torch.manual_seed(1)
        return torch.nn.Sequential(
            torch.nn.Conv2d(1, 4, 3),
            torch.nn.BatchNorm2d(4),
            torch.nn.Dropout(0.5),
            torch.nn.Flatten(),
            torch.nn.Linear(144, 3),
        )


X = np.random.default_rng(0).random((9, 1, 8, 8), dtype=np.float32)


def test_a_module_is_a_model_with_gradients_whose_classes_are_asked():
    module = net()
    model = as_model(module, sample=X)
    assert isinstance(model, Differentiable)
    assert model.classes == 3
    module.eval()
    with torch.no_grad():
        np.testing.assert_allclose(model.scores(X), module(torch.from_numpy(X)).numpy(), atol=1e-6)
    with pytest.raises(InvalidInput, match="classes="):
        as_model(module)


def test_weights_ask_for_no_gradient_inside_and_are_as_they_were_outside():
    module = net().train()
    module[0].bias.requires_grad_(False)
    flags = [weight.requires_grad for weight in module.parameters()]
    with frozen(module):
        assert not module.training
        assert not any(weight.requires_grad for weight in module.parameters())
    assert module.training
    assert [weight.requires_grad for weight in module.parameters()] == flags
    with pytest.raises(ZeroDivisionError), frozen(module):
        raise ZeroDivisionError
    assert module.training


def test_the_copy_of_a_search_says_the_same_and_touches_nothing():
    module = net().train()
    model = Network(module, classes=3, mean=(0.5,), std=(0.25,))
    held = model.held()
    np.testing.assert_allclose(held.scores(X), model.scores(X), atol=1e-5)
    point = torch.from_numpy(X).requires_grad_()
    (gradient,) = torch.autograd.grad(held.logits(point).sum(), point)
    assert gradient.abs().sum() > 0
    assert all(weight.grad is None for weight in module.parameters())
    assert module.training


class Uncopied(torch.nn.Module):
    """Holds a lock, which cannot be copied."""

    def __init__(self):
        super().__init__()
        self.inner, self.lock = net(), threading.Lock()

    def forward(self, x):
        return self.inner(x)


def test_a_module_with_a_lock_is_copied_and_asked_without_dropout():
    module = Uncopied().train()
    held = laid_out(module)
    with torch.no_grad():
        one, two = held(torch.from_numpy(X)), held(torch.from_numpy(X))
    assert torch.equal(one, two)  # no dropout
    assert module.inner.training
    with torch.no_grad():
        module.inner[4].bias += 1.0
        assert torch.equal(held(torch.from_numpy(X)), one)  # weights of its own


@pytest.mark.parametrize("values", [{"mean": (0.5,)}, {"mean": (0.5,), "std": (0.0,)}])
def test_a_normalisation_that_cannot_be_meant_is_refused(values):
    with pytest.raises(InvalidInput, match="std"):
        as_model(net(), classes=3, **values)


class Viewed(torch.nn.Module):
    """Flattens with `view`, which only the usual layout bears."""

    def __init__(self):
        super().__init__()
        self.one, self.two, self.last = torch.nn.Conv2d(1, 4, 3), torch.nn.Conv2d(4, 4, 3), torch.nn.Linear(64, 3)

    def forward(self, x):
        x = self.two(self.one(x).relu()).relu()
        return self.last(x.view(x.shape[0], -1))


def test_a_module_that_wants_the_usual_layout_is_searched_in_it():
    with torch.random.fork_rng():
        torch.manual_seed(2)
        module = Viewed()
    model = Network(module, classes=3)
    held = model.held()
    np.testing.assert_allclose(held.scores(X), model.scores(X), atol=1e-5)
    x = torch.from_numpy(X).requires_grad_()
    (gradient,) = torch.autograd.grad(held.logits(x).sum(), x)
    assert gradient.abs().sum() > 0


def test_what_a_module_keeps_of_an_answer_can_be_differentiated_through_later():
    class Keeps(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.inner, self.kept = net(), None

        def forward(self, x):
            if self.kept is None:
                self.kept = torch.full((1, 1, 1), 2.0)
            return self.inner(x * self.kept)

    held = Network(Keeps(), classes=3).held()
    held.scores(X)
    x = torch.from_numpy(X).requires_grad_()
    assert torch.autograd.grad(held.logits(x).sum(), x)[0].abs().sum() > 0


def test_a_module_that_works_in_place_and_in_double_leaves_the_rows_as_they_are():
    class Shifts(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.inner = net().double()

        def forward(self, x):
            return self.inner(x.sub_(0.5).double())

    model, kept = Network(Shifts(), classes=3), X.copy()
    for one in (model, model.held()):
        one.scores(X)
        x = torch.from_numpy(X).requires_grad_()
        assert one.logits(x).dtype == torch.float32
        assert torch.autograd.grad(one.logits(x).sum(), x)[0].abs().sum() > 0
        np.testing.assert_array_equal(X, kept)


def test_a_module_that_cannot_be_frozen_keeps_its_mode():
    module = torch.nn.Sequential(torch.nn.Dropout(), torch.nn.LazyLinear(3))
    with pytest.raises(ValueError, match="uninitialized"), frozen(module):
        pass
    assert all(part.training for part in module.modules())
