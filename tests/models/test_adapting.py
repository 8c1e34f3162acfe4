from __future__ import annotations

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.svm import LinearSVC

from hauberk.core.errors import InvalidInput
from hauberk.models.adapting import as_model

RNG = np.random.default_rng(0)
X = RNG.random((40, 1, 3, 3), dtype=np.float32)
WEIGHTS = RNG.normal(size=(9, 3)).astype(np.float32)


def scores(x):
    return x.reshape(len(x), -1) @ WEIGHTS


Y = scores(X).argmax(axis=1)


def test_a_model_is_returned_itself():
    model = as_model(scores, classes=3)
    assert as_model(model) is model


def test_a_function_of_scores_is_a_model_whose_classes_are_read_from_a_sample():
    model = as_model(scores, sample=X[:1])
    assert model.classes == 3
    np.testing.assert_array_equal(model.scores(X), scores(X))
    assert model.scores(X[:0]).shape == (0, 3)


def test_a_function_of_labels_needs_the_number_of_classes():
    model = as_model(lambda rows: scores(rows).argmax(axis=1), classes=3)
    np.testing.assert_array_equal(model.scores(X), np.eye(3, dtype=np.float32)[Y])
    with pytest.raises(InvalidInput, match="pass `classes=`"):
        as_model(lambda rows: scores(rows).argmax(axis=1), sample=X[:1])


def test_an_estimator_with_probabilities_gives_their_logarithms_on_flat_images():
    estimator = LogisticRegression().fit(X.reshape(40, -1), Y)
    model = as_model(estimator)
    assert model.classes == len(estimator.classes_)
    np.testing.assert_allclose(np.exp(model.scores(X)), estimator.predict_proba(X.reshape(40, -1)), rtol=1e-4)


def test_a_decision_function_of_two_classes_becomes_two_columns():
    y = (X.mean(axis=(1, 2, 3)) > 0.5).astype(int)
    estimator = LinearSVC().fit(X.reshape(40, -1), y)
    found = as_model(estimator).scores(X)
    assert found.shape == (40, 2)
    np.testing.assert_array_equal(found.argmax(axis=1), estimator.predict(X.reshape(40, -1)))


@pytest.mark.parametrize(
    ("thing", "settings", "message"),
    [
        ("a path", {}, "a str is not a model"),
        (scores, {"classes": 3, "mean": (0.5,), "std": (1.0,)}, "torch modules only"),
    ],
)
def test_what_is_no_model_is_refused(thing, settings, message):
    with pytest.raises(InvalidInput, match=message):
        as_model(thing, **settings)
