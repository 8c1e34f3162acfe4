from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from hauberk.attacks.draws import Draws


def rows(n, seed=0):
    rng = np.random.default_rng(seed)
    return rng.random((n, 1, 3, 3), dtype=np.float32), rng.integers(0, 3, n)


def draws(x, y, seed=7):
    return Draws.of(np.random.default_rng(seed), x, y)


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 99))
def test_a_rows_numbers_do_not_depend_on_the_other_rows(seed):
    x, y = rows(130)
    order = np.random.default_rng(seed).permutation(130)[:70]
    whole, some = draws(x, y), draws(x[order], y[order])
    for kind in ("uniform", "signs", "normal"):
        np.testing.assert_array_equal(getattr(some, kind)((5,), step=3), getattr(whole, kind)((5,), step=3)[order])
    np.testing.assert_array_equal(whole.rows(order).uniform((4,)), some.uniform((4,)))


def test_seeds_steps_rows_and_labels_each_give_other_numbers():
    x, y = rows(2)
    first = draws(x, y).uniform((1000,))
    others = [
        draws(x, y, seed=8).uniform((1000,))[0],
        draws(x, y).uniform((1000,), step=1)[0],
        first[1],
        draws(x, y + 1).uniform((1000,))[0],
    ]
    for other in others:
        assert abs(np.corrcoef(first[0], other)[0, 1]) < 0.15


def test_the_distributions_have_their_moments():
    x, y = rows(64)
    numbers = draws(x, y)
    uniform, normal = numbers.uniform((2000,)).ravel(), numbers.normal((2000,), step=1).ravel()
    assert uniform.min() >= 0
    assert uniform.max() < 1
    counts = np.histogram(uniform, bins=16, range=(0, 1))[0]
    assert ((counts - 8000) ** 2 / 8000).sum() < 50  # chi-squared with 15 degrees of freedom
    assert abs(normal.mean()) < 0.01
    assert abs(normal.std() - 1) < 0.01
    assert abs((np.abs(normal) < 1.96).mean() - 0.95) < 0.005
    assert set(np.unique(numbers.signs((50,)))) == {-1, 1}
    assert set(np.unique(numbers.integers(5, (50,)))) == set(range(5))


def test_shared_draws_depend_on_the_seed_and_the_step_only():
    x, y = rows(5)
    one, two = draws(x, y), draws(x[:2], y[:2])
    assert one.shared(4).random() == two.shared(4).random() != one.shared(5).random()
