from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hauberk.attacks.shapes import Affine, Patch
from hauberk.core.errors import InvalidInput


def pictures(seed=0, n=4, shape=(3, 12, 10)):
    return np.random.default_rng(seed).random((n, *shape), dtype=np.float32)


@given(st.integers(0, 8), st.integers(0, 6), st.integers(0, 12), st.integers(0, 10))
def test_a_sticker_is_one_rectangle_of_its_share_at_most(down, right, tall, wide):
    origin = pictures(1, 1)
    x = origin.copy()
    x[:, :, down : down + tall, right : right + wide] = 1 - origin[:, :, down : down + tall, right : right + wide]
    tall, wide = min(tall, 12 - down), min(wide, 10 - right)
    budget = Patch(0.2)
    expected = (tall * wide <= 24 and tall <= 7.2 and wide <= 6) or not tall * wide
    assert budget.allows(x, origin)[0] == expected
    assert budget.distance(x, origin)[0] == pytest.approx(tall * wide / 120)


def test_two_small_stickers_far_apart_are_no_sticker():
    origin = pictures(2, 1)
    x = origin.copy()
    x[0, :, 0, 0], x[0, :, 11, 9] = 0, 0
    assert not Patch(0.2).allows(x, origin).any()
    x = origin.copy()
    x[0, 0, 3, 3] = 1.5
    assert not Patch(0.2).allows(x, origin).any(), "outside the range"
    assert Patch(0.2).size(12, 10) == (4, 4)
    assert Patch(0.0001).size(12, 10) == (1, 1)


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 999), st.sampled_from([(1, 8, 8), (3, 9, 7), (1, 28, 28)]))
def test_the_judge_recognises_every_transformation_of_the_grid(seed, shape):
    budget = Affine(25.0, 2.0, angles=7, shifts=3)
    origin = pictures(seed, 3, shape)
    choice = budget.choices[seed % len(budget.choices)]
    x = budget.warp(origin, choice)
    assert budget.allows(x, origin).all()
    assert budget.distance(x, origin)[0] <= 1
    noisy = np.clip(x + np.float32(0.02) * (pictures(seed + 1, 3, shape) > 0.5), 0, 1)
    assert not budget.allows(noisy, origin).any()
    assert (
        not Affine(25.0, 2.0, angles=7, shifts=3)
        .allows(budget.scaled(1.3).warp(origin, (32.5, 0, 0)), origin)
        .any()
    )


def test_the_first_choice_is_the_picture_as_it_is_and_a_whole_shift_moves_whole_pixels():
    budget = Affine(0.0, 1.0)
    origin = pictures()
    assert budget.choices[0] == (0.0, 0.0, 0.0)
    np.testing.assert_array_equal(budget.warp(origin, budget.choices[0]), origin)
    moved = budget.warp(origin, (0.0, 1.0, 0.0))
    np.testing.assert_allclose(moved[:, :, 1:], origin[:, :, :-1], atol=1e-6)
    np.testing.assert_allclose(moved[:, :, 0], origin[:, :, 0], atol=1e-6)
    assert len(Affine().choices) == 31 * 25


@pytest.mark.parametrize(
    "make",
    [
        lambda: Patch(0),
        lambda: Patch(1.5),
        lambda: Affine(-1),
        lambda: Affine(10, 1, angles=4),
        lambda: Affine(pixels=np.inf),
    ],
)
def test_impossible_shapes_are_refused(make):
    with pytest.raises(InvalidInput):
        make()
