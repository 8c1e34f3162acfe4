"""Sources: the guilty one is named and its rows are raised; honest suppliers of any size are left alone."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from hauberk.data.poison.detectors.sources import lift


def test_the_source_of_the_poison_is_named_and_its_rows_are_raised():
    rng = np.random.default_rng(0)
    scores = rng.exponential(0.4, 4000)
    sources = rng.choice(["north", "south", "east", "west"], 4000)
    bad = (sources == "east") & (rng.random(4000) < 0.15)
    scores[bad] += 1.0
    raised, table = lift(scores, sources, false_alarms=0.005)
    assert [row.source for row in table if row.guilty] == ["east"]
    assert table[0].source == "east"
    assert table[0].lift > 1.3
    assert (raised[sources == "east"] > scores[sources == "east"]).all()
    assert np.array_equal(raised[sources != "east"], scores[sources != "east"])


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 10_000), st.integers(2, 30))
def test_honest_sources_are_not_blamed(seed, count):
    rng = np.random.default_rng(seed)
    sources = rng.choice([f"s{i}" for i in range(count)], 2000, p=rng.dirichlet(np.ones(count)))
    _, table = lift(rng.exponential(0.4, 2000), sources, false_alarms=0.005)
    assert sum(row.guilty for row in table) <= 1  # a false-discovery rate of one in a hundred over forty draws


def test_one_source_alone_is_compared_with_nobody():
    _, table = lift(np.arange(100) / 50, np.full(100, "all"), false_alarms=0.005)
    assert [row.guilty for row in table] == [False]
    assert table[0].p == 1
