"""State: the moving average of the weights, and how an epoch is undone."""

from __future__ import annotations

import torch
from torch import nn

from hauberk import training
from hauberk.training import Options
from hauberk.training.options import recipe_of
from hauberk.training.state import State

SPEC = training.Spec("image", (1, 8, 8), 10)


def fresh(average):
    torch.manual_seed(0)
    module = nn.Sequential(nn.Linear(4, 3), nn.BatchNorm1d(3))
    return State.fresh(module, recipe_of(Options(average=average), SPEC), seed=0, device="cpu")


def descend(state, times):
    for _ in range(times):
        state.optimizer.zero_grad()
        state.module(torch.rand(8, 4)).pow(2).sum().backward()
        state.optimizer.step()
        state.follow()
        yield state.module[0].weight.detach().clone()


def test_the_average_equals_a_plain_loops():
    state = fresh(0.6)
    expected = None
    for seen, weight in enumerate(descend(state, 12)):
        decay = min(0.6, (1 + seen) / (10 + seen))
        expected = weight if expected is None else decay * expected + (1 - decay) * weight
    assert torch.allclose(state.kept[0].weight, expected, atol=1e-6)
    assert not torch.allclose(state.kept[0].weight, state.module[0].weight, atol=1e-4)
    assert int(state.kept[1].num_batches_tracked) == 12
    state.settle()
    assert torch.equal(state.module[0].weight, state.kept[0].weight)


def test_without_an_average_the_last_weights_are_kept():
    state = fresh(0.0)
    (last,) = list(descend(state, 1))
    state.settle()
    assert torch.equal(state.kept[0].weight, last)


def test_weights_are_restored_to_the_bit():
    state = fresh(0.9)
    list(descend(state, 3))
    good = state.weights()
    before = [value.clone() for value in state.module.state_dict().values()]
    first = list(descend(state, 2))[-1]
    state.put_back(good)
    assert all(torch.equal(a, b) for a, b in zip(before, state.module.state_dict().values(), strict=True))
    torch.manual_seed(1)
    once = list(descend(state, 2))[-1]
    state.put_back(good)  # a second time: the copy was not used up
    torch.manual_seed(1)
    assert torch.equal(list(descend(state, 2))[-1], once)
    assert not torch.equal(first, before[0])


def test_an_average_of_noisy_weights_beats_the_last_ones(digits):
    """Single rows and a far too high learning rate give noisy weights; their average is less noisy."""
    recipe = recipe_of(Options(average=0.97, optimizer="sgd", learning_rate=0.2, weight_decay=0.0), SPEC)
    torch.manual_seed(0)
    state = State.fresh(nn.Linear(64, 10), recipe, seed=0, device="cpu")
    rows = torch.from_numpy(digits.x.reshape(len(digits.x), -1))
    for row, label in zip(rows, torch.from_numpy(digits.y), strict=True):
        state.optimizer.zero_grad()
        nn.functional.cross_entropy(state.module(row[None]), label[None]).backward()
        state.optimizer.step()
        state.follow()
    x, y = torch.from_numpy(digits.x_test.reshape(len(digits.x_test), -1)), torch.from_numpy(digits.y_test)

    def accuracy(module):
        return float((module(x).argmax(1) == y).float().mean())

    assert accuracy(state.kept) > accuracy(state.module) + 0.01
