"""Rows and Suspicion: lengths and scores that cannot be right are refused before a detector's result is used."""

import numpy as np
import pytest

from hauberk.core.columns import Column, ColumnKind
from hauberk.core.errors import InvalidInput
from hauberk.data.poison.detectors import Rows, Suspicion
from hauberk.data.reading.dataset import Dataset


def side(n):
    x = np.arange(n, dtype=np.float32)[:, None]
    return Dataset("table", x, np.arange(n) % 2, ("a", "b"), (Column("c", ColumnKind.NUMBER, 0, n),), np.arange(n))


def test_sources_and_layers_need_one_value_for_each_row():
    with pytest.raises(InvalidInput, match="sources has 3 rows and the data have 4"):
        Rows("table", side(4), np.array(["x"] * 3))
    with pytest.raises(InvalidInput, match="layer 1 has 5 rows"):
        Rows("table", side(4), None, (np.zeros((4, 2), np.float32), np.zeros((5, 2), np.float32)))
    assert len(Rows("table", side(4), np.array(["x"] * 4))) == 4


@pytest.mark.parametrize("score", [[[0.0]], [np.nan], [np.inf], [-0.1]])
def test_scores_are_finite_and_not_negative(score):
    with pytest.raises(InvalidInput, match="one finite number"):
        Suspicion(np.array(score))
