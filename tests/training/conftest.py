"""Small real data and models for the training room."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pytest
import torch

from hauberk.attacks.budget import ColumnBox
from hauberk.core.columns import Column, ColumnKind
from hauberk.core.threats import ColumnBudget
from hauberk.training import Spec


@pytest.fixture(autouse=True, scope="session")
def one_thread():
    """Tests run side by side; threads of one that wait for threads of another would take most of the time."""
    torch.set_num_threads(1)


@pytest.fixture(autouse=True)
def on_the_processor(request, monkeypatch):
    """Tests hand the module tensors of their own, so it is trained here, also on a machine with a GPU (`test_cuda`)."""
    if request.module.__name__.rpartition(".")[2] != "test_cuda":
        monkeypatch.setattr(torch.cuda, "is_available", lambda: False)


@pytest.fixture(scope="session")
def loss_gradient():
    """The cross-entropy of each row and its gradient by x, as numpy arrays."""

    def of(model, x, y):
        point = torch.from_numpy(x).requires_grad_()
        loss = torch.nn.functional.cross_entropy(model.logits(point), torch.from_numpy(y), reduction="none")
        return loss.detach().numpy(), torch.autograd.grad(loss.sum(), point)[0].numpy()

    return of


@dataclass(frozen=True)
class Sample:
    spec: Spec
    x: np.ndarray
    y: np.ndarray
    x_test: np.ndarray
    y_test: np.ndarray
    budget: ColumnBox | None = None


def _split(spec, x, y, budget=None):
    order = np.random.default_rng(0).permutation(len(x))
    cut = int(0.7 * len(x))
    return Sample(spec, x[order[:cut]], y[order[:cut]], x[order[cut:]], y[order[cut:]], budget)


@pytest.fixture(scope="session")
def digits() -> Sample:
    from sklearn.datasets import load_digits

    raw = load_digits()
    x = (raw.images / 16).astype(np.float32)[:, None]
    return _split(Spec("image", (1, 8, 8), 10), x, raw.target.astype(np.int64))


@pytest.fixture(scope="session")
def cancer() -> Sample:
    """Breast cancer; who attacks may move four of the measurements by about a deviation."""
    from sklearn.datasets import load_breast_cancer

    raw = load_breast_cancer()
    x = raw.data.astype(np.float32)
    columns = tuple(
        Column(str(name), ColumnKind.NUMBER, float(low), float(high))
        for name, low, high in zip(raw.feature_names, x.min(0), x.max(0), strict=True)
    )
    moved = ("worst radius", "worst texture", "worst concave points", "mean texture")
    deviation = dict(zip((c.name for c in columns), x.std(0), strict=True))
    budget = ColumnBox(columns, tuple(ColumnBudget(name, float(deviation[name]) * 0.7) for name in moved))
    return _split(Spec("table", (x.shape[1],), 2, columns), x, raw.target.astype(np.int64), budget)


@pytest.fixture(scope="session")
def mixed() -> Sample:
    """A made table of every kind of column, whose label follows from a number and a category."""
    rng = np.random.default_rng(7)
    n = 600
    columns = (
        Column("kind", ColumnKind.CATEGORY, 0, 2, ("a", "b", "c")),
        Column("size", ColumnKind.NUMBER, -3.0, 3.0),
        Column("count", ColumnKind.INTEGER, 0, 9),
        Column("flag", ColumnKind.CATEGORY, 0, 1, ("no", "yes")),
    )
    x = np.stack(
        [rng.integers(0, 3, n), rng.normal(size=n).clip(-3, 3), rng.integers(0, 10, n), rng.integers(0, 2, n)], 1
    ).astype(np.float32)
    y = ((x[:, 1] + 0.3 * (x[:, 2] - 4.5) + (x[:, 0] == 2) - 0.3) > 0).astype(np.int64)
    budget = ColumnBox(columns, (ColumnBudget("size", 0.5), ColumnBudget("count", 1), ColumnBudget("flag")))
    return _split(Spec("table", (4,), 2, columns), x, y, budget)
