"""One encoding, three forms: numpy, torch and ONNX give the same numbers."""

from __future__ import annotations

import numpy as np
import torch
from sklearn.compose import ColumnTransformer
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import OneHotEncoder, StandardScaler

from hauberk.core.columns import Column, ColumnKind
from hauberk.models import encoding
from hauberk.models.torch_model import Encoder
from hauberk.training import OnnxModel, SklearnModel, Spec


def test_it_equals_the_scikit_learn_transformers(mixed):
    theirs = ColumnTransformer(
        [
            ("numbers", StandardScaler(), [1, 2]),
            ("categories", OneHotEncoder(categories=[[0, 1, 2], [0, 1]], sparse_output=False), [0, 3]),
        ]
    ).fit(mixed.x)
    ours = encoding.fit(mixed.spec, mixed.x)
    np.testing.assert_allclose(ours(mixed.x_test), theirs.transform(mixed.x_test), atol=1e-5)
    assert ours(mixed.x_test).shape[1] == mixed.spec.features == 7


def test_torch_gives_the_same_numbers(mixed):
    fitted = encoding.fit(mixed.spec, mixed.x)
    np.testing.assert_allclose(
        Encoder(fitted)(torch.from_numpy(mixed.x_test)).numpy(), fitted(mixed.x_test), atol=1e-6
    )


def test_onnx_gives_the_same_probabilities_as_the_estimator_on_encoded_rows(mixed):
    fitted = encoding.fit(mixed.spec, mixed.x)
    estimator = LogisticRegression().fit(fitted(mixed.x), mixed.y)
    model = SklearnModel(estimator, mixed.spec, fitted)
    exported = OnnxModel(model.export_onnx(), mixed.spec)
    expected = estimator.predict_proba(fitted(mixed.x_test))
    np.testing.assert_allclose(np.exp(exported.scores(mixed.x_test)), expected, atol=1e-5)


def test_a_constant_column_stays_finite():
    column = Column("always", ColumnKind.NUMBER, 0.1, 0.1)
    x = np.full((50, 1), 0.1, dtype=np.float32)
    coded = encoding.fit(Spec("table", (1,), 2, (column,)), x)
    assert np.array_equal(coded(x), np.zeros((50, 1), dtype=np.float32))


def test_an_unknown_category_gives_zeros_only(mixed):
    fitted = encoding.fit(mixed.spec, mixed.x)
    row = mixed.x[:1].copy()
    row[0, 0] = 9
    assert fitted(row)[0, 2:5].tolist() == [0, 0, 0]


def test_gradients_pass_numbers_and_stop_at_categories(mixed):
    x = torch.from_numpy(mixed.x[:5]).requires_grad_()
    Encoder(encoding.fit(mixed.spec, mixed.x))(x).sum().backward()
    assert (x.grad[:, [1, 2]] > 0).all()
    assert (x.grad[:, [0, 3]] == 0).all()
