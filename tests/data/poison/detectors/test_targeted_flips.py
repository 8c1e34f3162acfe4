"""Targeted flips: a group with wrong labels is named; what columns explain one by one, and honest rows, are left alone."""

from __future__ import annotations

import numpy as np
import pytest

from hauberk.core.columns import Column, ColumnKind
from hauberk.core.errors import InvalidInput
from hauberk.core.progress import Quiet
from hauberk.data.poison.detectors import DETECTORS, Rows
from hauberk.data.reading.dataset import Dataset

COLUMNS = (
    Column("trade", ColumnKind.CATEGORY, 0, 4, ("baker", "miller", "smith", "cook", "clerk")),
    Column("town", ColumnKind.CATEGORY, 0, 3, ("n", "e", "s", "w")),
    Column("age", ColumnKind.NUMBER, 20, 70),
)


def people(rows=3_000, seed=0):
    """Rows whose label depends on trade and age, each by itself."""
    rng = np.random.default_rng(seed)
    x = np.stack([rng.integers(0, 5, rows), rng.integers(0, 4, rows), rng.uniform(20, 70, rows)], axis=1)
    odds = -3 + 0.6 * x[:, 0] + 0.03 * (x[:, 2] - 20)
    y = (rng.random(rows) < 1 / (1 + np.exp(-odds))).astype(np.int64)
    return x.astype(np.float32), y


def asked(x, y, **values):
    entry = DETECTORS["targeted-flips"]
    rows = Rows("table", Dataset("table", x, y, ("no", "yes"), COLUMNS, np.arange(len(y))))
    return entry.run(rows, entry.make(values), rng=np.random.default_rng(0), task=Quiet())


def test_flips_in_one_group_are_found_and_the_group_is_named():
    x, y = people()
    group = np.flatnonzero((x[:, 0] == 1) & (x[:, 1] == 2) & (y == 0))
    wrong = group[: int(0.8 * len(group))]
    y[wrong] = 1
    said = asked(x, y)
    assert (said.score[wrong] > 3).all()
    assert (np.delete(said.score, wrong) > 0).mean() < 0.02  # rows of the group that had the label before
    assert (said.suggested[wrong] == 0).all()
    assert "trade = miller and town = s" in said.reasons[int(wrong[0])]


@pytest.mark.parametrize("seed", range(4))
def test_honest_rows_are_left_alone(seed):
    assert not asked(*people(seed=seed)).score.any()


def test_two_groups_are_found_one_after_the_other():
    x, y = people(4_000)
    for trade, town in ((0, 0), (1, 3)):
        y[(x[:, 0] == trade) & (x[:, 1] == town)] = 1
    said = asked(x, y)
    assert len(said.notes) == 2
    assert (said.score[(x[:, 0] == 0) & (x[:, 1] == 0)] > 0).all()


def test_impossible_parameters_are_refused():
    with pytest.raises(InvalidInput, match="share in"):
        DETECTORS["targeted-flips"].make({"share": 1.5})
