"""Estimators: scores, export, and faults that are told."""

# ruff: noqa: ARG002 - an estimator has the shape of its family

from __future__ import annotations

import numpy as np
import pytest
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.calibration import CalibratedClassifierCV
from sklearn.ensemble import ExtraTreesClassifier, GradientBoostingClassifier, RandomForestClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.neighbors import KNeighborsClassifier
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC

from hauberk import training
from hauberk.core.errors import InvalidInput
from hauberk.models.port import Differentiable, Model
from hauberk.training import OnnxModel

ESTIMATORS = {
    "boosting": lambda: GradientBoostingClassifier(n_estimators=10),
    "forest": lambda: RandomForestClassifier(10),
    "extra trees": lambda: ExtraTreesClassifier(10),
    "logistic": LogisticRegression,
    "pipeline": lambda: make_pipeline(StandardScaler(), LogisticRegression()),
    "network": lambda: MLPClassifier((8,), max_iter=50),
    "vectors": lambda: SVC(probability=True),
}


@pytest.mark.parametrize("name", ESTIMATORS)
def test_the_export_gives_the_same_probabilities_and_the_same_bytes_again(name, mixed):
    model = training.train(ESTIMATORS[name], mixed.spec, mixed.x, mixed.y).model
    data = model.export_onnx()
    exported = OnnxModel(data, mixed.spec)
    np.testing.assert_allclose(np.exp(exported.scores(mixed.x_test)), np.exp(model.scores(mixed.x_test)), atol=1e-4)
    assert model.export_onnx() == data
    assert training.train(ESTIMATORS[name], mixed.spec, mixed.x, mixed.y).model.export_onnx() == data
    assert b"site-packages" not in data
    assert b"/usr" not in data


def test_pictures_are_flattened_inside_the_export(digits):
    model = training.train(ESTIMATORS["forest"], digits.spec, digits.x, digits.y).model
    exported = OnnxModel(model.export_onnx(), digits.spec)
    assert (exported.scores(digits.x_test).argmax(1) == model.scores(digits.x_test).argmax(1)).mean() > 0.999
    assert exported.scores(digits.x_test[:0]).shape == (0, 10)


def test_it_is_a_black_box(mixed):
    model = training.train(ESTIMATORS["logistic"], mixed.spec, mixed.x, mixed.y).model
    assert isinstance(model, Model)
    assert not isinstance(model, Differentiable)
    assert model.weights() is None


def test_scores_of_a_tree_that_is_certain_are_finite(mixed):
    model = training.train(ESTIMATORS["forest"], mixed.spec, mixed.x, mixed.y).model
    scores = model.scores(mixed.x)
    assert np.isfinite(scores).all()
    assert scores.min() == pytest.approx(np.log(1e-12), rel=1e-4)


class Odd(ClassifierMixin, BaseEstimator):
    def __init__(self, what="nan"):
        self.what = what

    def fit(self, x, y):
        if self.what == "fit":
            raise ValueError("not today")
        self.classes_ = np.unique(y)
        return self

    def predict_proba(self, x):
        if self.what == "raises":
            raise ValueError("not ever")
        return np.full((len(x), 3 if self.what == "shape" else 2), np.nan if self.what == "nan" else 0.5)


@pytest.mark.parametrize(
    ("what", "said"),
    [
        ("nan", "predict_proba returned NaN"),
        ("shape", r"shape \(\d+, 3\) for \d+ rows; expected \(\d+, 2\)"),
        ("fit", r"test_sklearn_model\.py:\d+: fit raised ValueError: not today"),
        ("raises", r"test_sklearn_model\.py:\d+: predict_proba raised ValueError: not ever"),
    ],
)
def test_an_estimator_that_cannot_work_is_told_with_its_line(mixed, what, said):
    with pytest.raises(InvalidInput, match=said):
        training.train(lambda: Odd(what), mixed.spec, mixed.x, mixed.y)


def test_an_estimator_without_an_onnx_form_is_told(mixed):
    model = training.train(lambda: Odd("fine"), mixed.spec, mixed.x, mixed.y).model
    with pytest.raises(InvalidInput, match="Odd cannot be exported to ONNX"):
        model.export_onnx()


@pytest.mark.parametrize(
    "estimator",
    [KNeighborsClassifier(weights="distance"), CalibratedClassifierCV(LogisticRegression(), method="isotonic")],
    ids=["distance weights", "isotonic"],
)
@pytest.mark.parametrize("data", ["mixed", "cancer", "digits"])
def test_an_estimator_that_is_converted_to_another_is_refused(request, data, estimator):
    """skl2onnx 1.20 votes with uniform weights, and steps where isotonic calibration interpolates (findings/)."""
    sample = request.getfixturevalue(data)
    model = training.train(lambda: estimator, sample.spec, sample.x, sample.y).model
    with pytest.raises(InvalidInput, match="differs from the model"):
        model.export_onnx()


def test_a_class_without_rows_is_told(mixed):
    with pytest.raises(InvalidInput, match="no row of class 1"):
        training.train(ESTIMATORS["logistic"], mixed.spec, mixed.x, np.zeros_like(mixed.y))
