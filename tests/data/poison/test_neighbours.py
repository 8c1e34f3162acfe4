"""Neighbours: equal rows share codes, and the nearest rows are those of a plain loop."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hauberk.data.poison import neighbours


def test_row_codes_ignore_the_sign_of_zero_and_reach_across_sides():
    one, two = neighbours.row_codes(
        np.array([[0.0, 1.0], [2.0, 3.0]], np.float32), np.array([[-0.0, 1.0]], np.float32)
    )
    assert two[0] == one[0] != one[1]


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 10_000))
def test_nearest_neighbours_are_those_of_the_slow_twin(seed):
    rng = np.random.default_rng(seed)
    q = neighbours.Features(rng.normal(size=(9, 4)).astype(np.float32), rng.integers(0, 3, 9))
    b = neighbours.Features(rng.normal(size=(15, 4)).astype(np.float32), rng.integers(0, 3, 15))
    qk, bk = rng.integers(0, 4, 9), rng.integers(0, 4, 15)
    found = neighbours.nearest(q, b, query_keys=qk, base_keys=bk)
    for i in range(9):
        allowed = [j for j in range(15) if q.blocks[i] == b.blocks[j] and qk[i] != bk[j]]
        best = min((float(np.linalg.norm(q.values[i] - b.values[j])) for j in allowed), default=math.inf)
        assert found.distance[i] == pytest.approx(best, abs=1e-5)
