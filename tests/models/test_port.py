from __future__ import annotations

import numpy as np
import pytest

from hauberk.models.port import SMALLEST, Differentiable, Model, log_of, passes


@pytest.mark.parametrize("shape", [(0, 3), (1000, 784), (7, 3, 2000, 2000)])
def test_passes_cover_each_row_once(shape):
    for device in ("cpu", "cuda"):
        rows = [row for part in passes(shape, device) for row in range(part.start, part.stop)]
        assert rows == list(range(shape[0]))


def test_large_inputs_go_in_smaller_parts_so_that_memory_has_a_limit():
    (first, *_), (large, *_) = passes((500, 3, 8, 8)), passes((500, 3, 512, 512))
    assert large.stop - large.start < first.stop - first.start
    assert all((part.stop - part.start) * 3 * 512 * 512 <= 1 << 22 for part in passes((500, 3, 512, 512)))


def test_a_certain_tree_gives_finite_log_probabilities():
    logs = log_of(np.array([[0.0, 1.0], [0.25, 0.75]]))
    assert logs.dtype == np.float32
    np.testing.assert_allclose(np.exp(logs), [[SMALLEST, 1.0], [0.25, 0.75]], rtol=1e-5)


def test_the_protocols_tell_models_with_gradients_from_others():
    class Scores:
        classes = 2

        def scores(self, x):
            return x

    class Logits(Scores):
        device = "cpu"

        def logits(self, x):
            return x

    assert isinstance(Scores(), Model)
    assert not isinstance(Scores(), Differentiable)
    assert isinstance(Logits(), Differentiable)
    assert not isinstance(object(), Model)
