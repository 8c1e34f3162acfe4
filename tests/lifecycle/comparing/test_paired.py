from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hauberk.core.errors import InvalidInput
from hauberk.lifecycle.comparing.gaps import gap_change, gaps
from hauberk.lifecycle.comparing.paired import paired, tango


def masks(both, won, lost, neither):
    old = np.repeat([True, False, True, False], [both, won, lost, neither])
    new = np.repeat([True, True, False, False], [both, won, lost, neither])
    return old, new


def test_a_clear_loss_is_a_regression_and_its_mirror_an_improvement():
    old, new = masks(200, 2, 30, 20)
    worse, better = (paired("accuracy", "held out", a, b, confidence=0.95) for a, b in ((old, new), (new, old)))
    assert worse.regressed
    assert not worse.improved
    assert better.improved
    assert worse.difference == pytest.approx(-28 / 252)
    assert worse.low < worse.difference < worse.high < 0
    assert (better.low, better.high) == pytest.approx((-worse.high, -worse.low))
    assert worse.unexcluded == -worse.low


@given(*(st.integers(0, 40) for _ in range(4)), st.sampled_from([0.9, 0.95, 0.99]))
def test_the_interval_holds_the_difference_and_swapping_the_models_mirrors_it(both, won, lost, neither, confidence):
    if both + won + lost + neither == 0:
        return
    old, new = masks(both, won, lost, neither)
    one, other = (paired("m", "r", a, b, confidence=confidence) for a, b in ((old, new), (new, old)))
    assert -1 <= one.low <= one.difference <= one.high <= 1
    assert (other.low, other.high) == pytest.approx((-one.high, -one.low), abs=1e-6)
    if one.regressed:
        assert one.p < 1 - confidence
        assert other.improved


def test_rows_on_which_nobody_differs_still_leave_room():
    z2 = 1.959963984540054**2
    assert tango(0, 0, 15, confidence=0.95) == pytest.approx((-z2 / (15 + z2), z2 / (15 + z2)), abs=1e-6)


def test_at_zero_the_score_is_mcnemars():
    """The interval's end is at zero just where McNemar's own statistic is at the normal quantile."""
    from scipy.stats import norm

    confidence = 2 * norm.cdf((20 - 8) / np.sqrt(28)) - 1
    assert tango(20, 8, 100, confidence=confidence)[0] == pytest.approx(0, abs=1e-6)


def test_the_interval_covers_the_truth_as_often_as_it_says():
    rng = np.random.default_rng(0)
    drawn = rng.multinomial(80, [0.12, 0.05, 0.83], size=300)
    held = [low <= 0.07 <= high for won, lost, _ in drawn for low, high in [tango(won, lost, 80, confidence=0.9)]]
    assert 0.86 <= np.mean(held) <= 0.95


def test_mcnemar_is_what_counting_all_coins_gives():
    old, new = masks(5, 2, 7, 1)
    flips = list(itertools.product([0, 1], repeat=9))
    as_far = sum(abs(sum(f) - 4.5) >= 2.5 for f in flips)
    assert paired("m", "r", old, new, confidence=0.95).p == pytest.approx(as_far / len(flips))


def test_models_that_never_differ_are_equal_and_nothing_is_no_comparison():
    one = paired("m", "r", *masks(10, 0, 0, 3), confidence=0.95)
    assert (one.difference, one.p) == (0, 1)
    assert one.low < 0 < one.high  # 13 rows exclude little
    assert not one.regressed
    empty = np.zeros(0, np.bool_)
    with pytest.raises(InvalidInput, match="same rows"):
        paired("m", "r", empty, empty, confidence=0.95)


def test_equally_good_models_are_seldom_turned_away():
    rng = np.random.default_rng(0)
    turned = sum(
        paired("m", "r", rng.random(300) < 0.9, rng.random(300) < 0.9, confidence=0.95).regressed
        for _ in range(150)
    )
    assert turned / 150 <= 0.04


def groups_of(n, seed):
    return np.random.default_rng(seed).integers(0, 2, n)


def test_a_gap_that_opens_is_a_regression_and_one_that_stays_is_none():
    rng, group = np.random.default_rng(1), groups_of(2000, 0)
    old = rng.random(2000) < 0.85
    new = old & ~((group == 1) & (rng.random(2000) < 0.12))
    options = {"confidence": 0.99, "rng": np.random.default_rng(3)}
    opened = gap_change("accuracy gap: sex", "held out", group, old, new, **options)
    assert opened.regressed
    assert opened.difference == pytest.approx(opened.challenger - opened.champion)
    closed = gap_change("accuracy gap: sex", "held out", group, new, old, **options)
    assert closed.improved
    same = gap_change("accuracy gap: sex", "held out", group, old, old, **options)
    assert (same.difference, same.regressed) == (0.0, False)


def test_a_gap_is_what_a_loop_over_groups_gives():
    member, values = groups_of(200, 2), np.random.default_rng(4).random((2, 200))
    found = gaps(member, values, 2)
    for model in range(2):
        means = [values[model][member == g].mean() for g in range(2)]
        assert found[model] == pytest.approx(max(means) - min(means))


def test_small_groups_are_left_out():
    group = np.array([0] * 100 + [1] * 10)
    right = np.ones(110, np.bool_)
    assert gap_change("g", "r", group, right, right, confidence=0.95, rng=np.random.default_rng(0)) is None
