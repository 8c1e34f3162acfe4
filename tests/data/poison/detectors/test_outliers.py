"""Outliers: far values are found in light and long tails, and long tails alone are no outliers."""

from __future__ import annotations

import numpy as np
import pytest

from hauberk.core.columns import Column, ColumnKind
from hauberk.core.errors import InvalidInput
from hauberk.core.progress import Quiet
from hauberk.data.poison.detectors import DETECTORS, Rows
from hauberk.data.poison.detectors.outliers import rarity
from hauberk.data.reading.dataset import Dataset

FLAGGED = 3.0


def asked(x, kind="table"):
    columns = tuple(Column(f"n{i}", ColumnKind.NUMBER, -9, 9) for i in range(x.shape[1]))
    side = Dataset("table", x.astype(np.float32), np.arange(len(x)) % 2, ("a", "b"), columns, np.arange(len(x)))
    entry = DETECTORS["outliers"]
    return entry.run(Rows(kind, side), entry.make({}), rng=np.random.default_rng(0), task=Quiet())


@pytest.mark.parametrize("kind", ["table", "embedding"])
def test_rows_far_outside_are_found_and_others_are_not(kind):
    rng = np.random.default_rng(0)
    x = rng.normal(size=(2_000, 6))
    x[:4] += 60
    said = asked(x, kind)
    assert (said.score[:4] >= FLAGGED).all()
    assert (said.score[4:] >= FLAGGED).mean() < 0.002
    assert "farther out" in said.reasons[0]


@pytest.mark.parametrize("tail", ["lognormal", "pareto", "uniform", "mostly zero", "constant"])
def test_columns_are_quiet_whatever_their_tail(tail):
    rng = np.random.default_rng(1)
    n = 4_000
    columns = {
        "lognormal": rng.lognormal(0, 2, (n, 4)),
        "pareto": rng.pareto(1.5, (n, 4)),
        "uniform": rng.uniform(size=(n, 4)),
        "mostly zero": rng.pareto(1, (n, 4)) * (rng.random((n, 4)) < 0.05),
        "constant": np.ones((n, 4)),
    }
    assert (asked(columns[tail]).score >= FLAGGED).mean() < 0.002


def test_the_law_gives_a_power_tail_its_own_rarity():
    share = (np.arange(100_000) + 0.5) / 100_000
    found = rarity(1 / share)
    rare = share < 0.005
    np.testing.assert_allclose(found[rare], -np.log10(share[rare]), atol=0.01)


def test_few_rows_have_no_tail_and_impossible_parameters_are_refused():
    assert not rarity(np.arange(50.0)).any()
    with pytest.raises(InvalidInput, match="most"):
        DETECTORS["outliers"].make({"most": 0})
