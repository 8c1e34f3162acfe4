from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from hauberk.core.columns import Column, ColumnKind
from hauberk.core.progress import Quiet
from hauberk.data.checks import CHECKS
from hauberk.data.reading.dataset import Dataset, Split
from hauberk.data.reading.loading import DataSpec, load


def _columns(x, kinds, categories):
    return tuple(
        Column(
            f"c{index}",
            kind,
            float(x[:, index].min()),
            float(x[:, index].max()),
            tuple(str(code) for code in range(categories)) if kind is ColumnKind.CATEGORY else (),
        )
        for index, kind in enumerate(kinds)
    )


def _table(rng, n, categories=4):
    """Two classes apart by eight standard deviations; the last column is a category."""
    y = np.arange(n) % 2
    x = rng.normal(0, 1, (n, 5)) + 8 * y[:, None]
    x[:, 4] = rng.integers(0, categories, n)
    x[: 2 * categories, 4] = np.arange(2 * categories) % categories
    return x.astype(np.float32), y.astype(np.int64)


def _pictures(rng, n):
    """Two classes: a bright upper or lower half, under noise that makes every picture its own."""
    y = np.arange(n) % 2
    x = rng.uniform(0, 0.6, (n, 3, 12, 12))
    x[y == 0, :, :6] += 0.4
    x[y == 1, :, 6:] += 0.4
    return x.astype(np.float32), y.astype(np.int64)


@pytest.fixture
def clean():
    """Return a maker of clean splits: clean("table", train, test, seed=0)."""

    def make(kind, train, test, seed=0):
        rng = np.random.default_rng(seed)
        n = train + test
        x, y = _table(rng, n) if kind == "table" else _pictures(rng, n)
        kinds = [ColumnKind.NUMBER] * 4 + [ColumnKind.CATEGORY]
        columns = _columns(x[:train], kinds, 4) if kind == "table" else ()
        both = Dataset(kind, x, y, ("no", "yes"), columns, np.arange(n) + 100)
        return Split(both.take(np.arange(train)), both.take(np.arange(train, n)))

    return make


@pytest.fixture
def run():
    """Return a function that runs a check by name: run("leakage", split, seed=0, **params)."""

    def run(name, split, *, seed=0, **params):
        entry = CHECKS[name]
        return entry.run(split, entry.make(params), rng=np.random.default_rng(seed), task=Quiet())

    return run


@pytest.fixture
def change():
    """Return a copy of a data set with some arrays replaced: change(side, y=y)."""
    return dataclasses.replace


@pytest.fixture
def joined():
    """Return a training side with more rows at its end: joined(side, other), numbered from 10,000."""

    def joined(side, other):
        return dataclasses.replace(
            side,
            x=np.concatenate([side.x, other.x]),
            y=np.concatenate([side.y, other.y]),
            rows=np.concatenate([side.rows, 10_000 + np.arange(len(other))]),
            groups=None if side.groups is None else np.concatenate([side.groups, other.groups]),
        )

    return joined


@pytest.fixture(scope="session")
def digits():
    return load(DataSpec("image", ("sklearn:digits",)), seed=0)


@pytest.fixture(scope="session")
def breast_cancer():
    return load(DataSpec("table", ("sklearn:breast_cancer",)), seed=0)
