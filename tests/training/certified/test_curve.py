"""Certified accuracy by radius as evidence: it falls with the radius, and the metric is its value at the budget."""

from __future__ import annotations

import pytest
from torch import nn

from hauberk import training
from hauberk.attacks.budget import Ball
from hauberk.core.errors import InvalidInput
from hauberk.core.threats import Evasion, Norm
from hauberk.training import Hardening, Options
from hauberk.training.certified import curve


def mlp(spec):
    return nn.Sequential(nn.Flatten(), nn.Linear(spec.features, 32), nn.ReLU(), nn.Linear(32, spec.classes))


@pytest.mark.parametrize(("way", "norm", "eps"), [("bounds", Norm.LINF, 0.05), ("smoothing", Norm.L2, 0.5)])
def test_the_curve_falls_and_its_point_at_the_budget_is_the_metric(digits, way, norm, eps):
    method = "ibp" if way == "bounds" else "noise"
    hardening = Hardening((Ball(norm, eps),), method)
    model = training.train(
        mlp, digits.spec, digits.x, digits.y, hardening=hardening, options=Options(epochs=12, learning_rate=5e-3)
    ).model
    measured = curve.measure(
        model, digits.x_test[:60], digits.y_test[:60], threat=Evasion(norm, eps), way=way, seed=0
    )
    points = measured.series[curve.SERIES]
    shares = [point["y"] for point in points]
    assert shares == sorted(shares, reverse=True)
    assert [point["x"] / eps for point in points] == pytest.approx([0, 0.25, 0.5, 0.75, 1, 1.5, 2])
    assert measured.metrics["certified_accuracy"] == shares[4]
    assert 0.2 < shares[4] < shares[0]
    assert "computed for 60 rows" in measured.notes[0]


def test_smoothing_of_another_norm_is_refused(digits):
    model = training.train(mlp, digits.spec, digits.x[:50], digits.y[:50], options=Options(epochs=1)).model
    with pytest.raises(InvalidInput, match='declare norm = "l2"'):
        curve.measure(model, digits.x_test, digits.y_test, threat=Evasion(Norm.LINF, 0.1), way="smoothing", seed=0)
