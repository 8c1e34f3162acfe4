"""The laws of the learners, for every registered member: deterministic, a function of their rows, and able to learn."""

from __future__ import annotations

import numpy as np
import pytest

from hauberk.core.errors import InvalidInput
from hauberk.core.progress import Quiet
from hauberk.training.aggregation import LEARNERS, Lesson


def taught(entry, sample, *, seed=0, **params):
    lesson = Lesson(sample.spec, sample.x[:300], sample.y[:300])
    return entry.run(lesson, entry.make(params), rng=np.random.default_rng(seed), task=Quiet())


@pytest.mark.parametrize(
    ("name", "kind"),
    [(entry.name, kind) for entry in LEARNERS for kind in entry.kinds if kind in ("image", "table")],
)
def test_a_learner_learns_and_repeats_itself(name, kind, digits, cancer):
    entry, sample = LEARNERS[name], digits if kind == "image" else cancer
    predict = taught(entry, sample)
    predicted = predict(sample.x_test)
    assert predicted.shape == (len(sample.x_test),)
    assert (predicted == sample.y_test).mean() > 0.8
    np.random.default_rng().random()
    assert np.array_equal(taught(entry, sample)(sample.x_test), predicted)


@pytest.mark.parametrize(
    ("name", "values"),
    [("logistic", {"strength": 0.0}), ("net", {"epochs": 0}), ("net", {"batch": 1}), ("trees", {"leaf": 0})],
)
def test_settings_out_of_range_are_refused(name, values):
    with pytest.raises(InvalidInput, match="found"):
        LEARNERS[name].make(values)
