from __future__ import annotations

import numpy as np

from hauberk.core.columns import Column, ColumnKind
from hauberk.models.probes import probes
from hauberk.models.spec import Spec

COLUMNS = (
    Column("number", ColumnKind.NUMBER, -2, 3),
    Column("whole", ColumnKind.INTEGER, 4, 9),
    Column("kind", ColumnKind.CATEGORY, 0, 2, ("a", "b", "c")),
)


def test_probes_of_a_table_are_valid_rows():
    x = probes(Spec("table", (3,), 2, COLUMNS), 500)
    assert x.dtype == np.float32
    for index, column in enumerate(COLUMNS):
        assert column.low <= x[:, index].min() < x[:, index].max() <= column.high
    np.testing.assert_array_equal(x[:, 1:], x[:, 1:].round())
    assert set(x[:, 2]) == {0, 1, 2}


def test_probes_of_images_are_pixels_and_always_the_same():
    spec = Spec("image", (3, 4, 5), 2)
    x = probes(spec, 7)
    assert x.shape == (7, 3, 4, 5)
    assert 0 <= x.min() < x.max() <= 1
    np.testing.assert_array_equal(x, probes(spec, 7))


def test_a_spec_counts_the_features_of_a_row():
    assert Spec("image", (3, 4, 5), 2).features == 60
    assert Spec("table", (3,), 2, COLUMNS).features == 5
