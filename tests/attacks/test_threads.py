"""Attacks on one model from several threads at once give what one thread gets, and nobody's module changes meanwhile."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from hauberk.attacks import evasion

torch = pytest.importorskip("torch")

X = np.random.default_rng(0).random((24, 1, 8, 8), dtype=np.float32)


class Net(torch.nn.Module):
    """With dropout and batch norm, left in training mode, and a lock, so that it cannot be deep-copied."""

    def __init__(self, seed):
        super().__init__()
        with torch.random.fork_rng():
            torch.manual_seed(seed)
            self.inner = torch.nn.Sequential(
                torch.nn.Conv2d(1, 4, 3),
                torch.nn.BatchNorm2d(4),
                torch.nn.ReLU(),
                torch.nn.Dropout(0.5),
                torch.nn.Flatten(),
                torch.nn.Linear(144, 3),
            )
        self.lock = threading.Lock()
        self.train()

    def forward(self, x):
        return self.inner(x)


def labels(net):
    rows = Net(0)
    rows.load_state_dict(net.state_dict())
    with torch.no_grad():
        return rows.eval()(torch.from_numpy(X)).argmax(1).numpy()


def work(net, y, seed):
    one = evasion.pgd(net, X, y, norm="linf", eps=0.05, steps=8, generator=seed)
    two = evasion.square(net, X, y, norm="l2", eps=0.5, queries=15, generator=seed)
    return one, two


def test_threads_get_the_results_of_one_thread_and_the_modules_never_change():
    first, second = Net(1), Net(2)
    jobs = [(first, labels(first), 0), (second, labels(second), 1), (first, labels(first), 2)] * 2
    alone = [work(*job) for job in jobs]
    before = [(name, value.clone()) for net in (first, second) for name, value in net.state_dict().items()]
    changed, done = [], threading.Event()

    def watch():
        while not done.is_set():
            for net in (first, second):
                if not all(part.training for part in net.modules()):
                    changed.append("mode")
                if not all(weight.requires_grad and weight.grad is None for weight in net.parameters()):
                    changed.append("weights")

    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        with ThreadPoolExecutor(3) as pool:
            together = list(pool.map(lambda job: work(*job), jobs))
    finally:
        done.set()
        watcher.join()
    assert not changed
    for (pgd, square), (pgd_alone, square_alone) in zip(together, alone, strict=True):
        np.testing.assert_array_equal(pgd.x, pgd_alone.x)
        np.testing.assert_array_equal(square.x, square_alone.x)
        assert pgd.success > 0  # the attack has an effect that could differ
    after = [value for net in (first, second) for value in net.state_dict().values()]
    assert all(torch.equal(value, now) for (_, value), now in zip(before, after, strict=True))


def test_the_global_random_states_are_neither_set_nor_used():
    net = Net(1)
    torch.manual_seed(5)
    np.random.seed(5)  # noqa: NPY002 - the state that must not move
    before = torch.random.get_rng_state(), np.random.get_state()[1].copy()  # noqa: NPY002 - as above
    found = work(net, labels(net), 0)[0]
    assert found.accuracy == 1
    assert torch.equal(before[0], torch.random.get_rng_state())
    np.testing.assert_array_equal(before[1], np.random.get_state()[1])  # noqa: NPY002 - as above
