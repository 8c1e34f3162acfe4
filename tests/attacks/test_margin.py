from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from hauberk.attacks.margin import margins


@given(st.integers(2, 6), st.integers(0, 999))
def test_the_margin_agrees_with_the_prediction(classes, seed):
    rng = np.random.default_rng(seed)
    scores = rng.normal(size=(20, classes)).astype(np.float32)
    y = rng.integers(0, classes, 20)
    np.testing.assert_array_equal(margins(scores, y) > 0, scores.argmax(axis=1) == y)


def test_the_margin_is_the_label_minus_the_best_other():
    scores = np.array([[3.0, 1.0, 2.0], [3.0, 1.0, 2.0], [np.nan, 9.0, 0.0]], np.float32)
    np.testing.assert_array_equal(margins(scores, np.array([0, 1, 1])), [1.0, -2.0, -np.inf])
    assert np.isnan(scores[2, 0])  # the caller's array does not change
