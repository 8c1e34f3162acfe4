"""The exported form is held against the attacked one on every row."""

import numpy as np

from hauberk.core.progress import Quiet
from hauberk.lifecycle.controls import CONTROLS
from hauberk.lifecycle.controls.export import Exported


class Fixed:
    """A model that returns the same scores whatever it is given."""

    def __init__(self, scores):
        self._scores = np.array(scores, np.float32)

    def scores(self, x):
        return self._scores[: len(x)]


def test_agreement_counts_predictions_and_the_difference_is_the_largest_of_all_scores():
    attacked = Fixed([[0.9, 0.1], [0.2, 0.8], [0.6, 0.4], [0.3, 0.7]])
    served = Fixed([[0.9, 0.1], [0.2, 0.8], [0.4, 0.6], [0.3, 0.7]])
    inputs = Exported(served, attacked, np.zeros((4, 2), np.float32), np.array([0, 1, 1, 0]))
    entry = CONTROLS["export"]
    found = entry.run(inputs, entry.make({}), rng=np.random.default_rng(0), task=Quiet()).metrics
    assert found["export_agreement"] == 0.75
    assert np.isclose(found["export_difference"], 0.2)
    assert found["clean_accuracy"] == 0.75  # of the served form: the third row is right, the fourth wrong
