from __future__ import annotations

import numpy as np
import pytest

from hauberk.attacks.budget import Ball
from hauberk.attacks.verdict import AttackResult, SearchResult, judge, nothing, predictions
from hauberk.core.threats import Norm

ORIGIN = np.full((5, 2), 0.5, np.float32)
Y = np.zeros(5, np.int64)
COUNTS = np.arange(5)


class Model:
    """Predicts class 0 while the first value is at least the second; three classes; NaN above 0.95."""

    classes = 3

    def __init__(self):
        self.seen = []

    def scores(self, x):
        self.seen.append(x)
        scores = np.concatenate([x + np.array([0.01, 0.0]), np.zeros((len(x), 1))], axis=1).astype(np.float32)
        scores[x.max(axis=1) > 0.95] = np.nan
        return scores


def verdicts(rows, targets=None, eps=0.5):
    model = Model()
    x = np.array(rows, np.float32)
    clean = model.scores(ORIGIN[: len(x)])
    tried = SearchResult(x, COUNTS[: len(x)], 2 * COUNTS[: len(x)])
    found = judge(model, tried, ORIGIN[: len(x)], Y[: len(x)], Ball(Norm.LINF, eps), clean=clean, targets=targets)
    return found, model


def test_fooled_means_allowed_and_predicted_as_another_class():
    found, _ = verdicts([[0.5, 0.5], [0.4, 0.6], [0.1, 0.6]], eps=0.2)
    np.testing.assert_array_equal(found.right, [True] * 3)
    np.testing.assert_array_equal(found.allowed, [True, True, False])
    np.testing.assert_array_equal(found.fooled, [False, True, False])
    np.testing.assert_allclose(found.distance, [0, 0.1, 0.4], atol=1e-6)
    np.testing.assert_allclose(found.margin, [0.01, -0.19, -0.49], atol=1e-6)
    np.testing.assert_array_equal(found.queries, [0, 1, 2])
    np.testing.assert_array_equal(found.gradients, [0, 2, 4])


def test_with_a_target_another_class_does_not_count():
    targets = np.array([1, 2])
    found, _ = verdicts([[0.4, 0.6], [0.4, 0.6]], targets)
    np.testing.assert_array_equal(found.fooled, [True, False])


def test_a_row_of_nan_is_not_shown_to_the_model_and_fools_nobody():
    found, model = verdicts([[np.nan, 0.5], [0.5, 0.5]])
    assert all(np.isfinite(x).all() for x in model.seen)
    assert not found.allowed[0]
    assert not found.fooled.any()


def test_nan_scores_of_an_allowed_row_are_never_robust():
    found, _ = verdicts([[0.5, 0.99]])
    assert found.fooled[0]
    assert found.undefined[0]


def test_the_shares_of_a_result():
    found, _ = verdicts([[0.5, 0.5], [0.4, 0.6], [0.4, 0.6], [0.5, 0.5]])
    result = AttackResult(ORIGIN[:4], Y[:4], found)
    assert (result.accuracy, result.robust, result.success) == (1.0, 0.5, 0.5)
    empty = AttackResult(ORIGIN[:0], Y[:0], nothing())
    assert all(np.isnan([empty.accuracy, empty.robust, empty.success]))


@pytest.mark.parametrize(("scores", "expected"), [([1.0, 2.0], 1), ([2.0, 2.0], 0), ([np.nan, 1.0], -1)])
def test_a_prediction_is_the_first_largest_score_and_none_for_nan(scores, expected):
    assert predictions(np.array([scores], np.float32)).tolist() == [expected]
