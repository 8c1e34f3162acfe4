"""Rows of arrays and rows of named values have one digest."""

from __future__ import annotations

import numpy as np

from hauberk.core.columns import Column, ColumnKind
from hauberk.data.reading.dataset import Dataset
from hauberk.data.reading.rowdigests import row_digests, schema_of


def test_a_row_of_the_matrix_is_the_row_of_its_values():
    columns = (
        Column("a", ColumnKind.NUMBER, 0, 1),
        Column("b", ColumnKind.CATEGORY, 0, 1, ("x", "y")),
    )
    x = np.array([[0.1, 1], [-0.0, 0]], np.float32)
    data = Dataset("table", x, np.array([1, 0]), ("no", "yes"), columns, np.arange(2))
    schema = schema_of(data, target="t")
    first, second = row_digests(data, schema)
    assert first == schema.row_digest(schema.features({"a": 0.1, "b": "y", "t": "yes"}), 1)
    assert second == schema.row_digest(schema.features({"a": 0, "b": "x"}), 0)


def test_a_picture_is_its_pixels():
    x = np.random.default_rng(0).random((3, 1, 4, 4), np.float32)
    data = Dataset("image", x, np.array([0, 1, 0]), ("a", "b"), (), np.arange(3))
    schema = schema_of(data)
    named = schema.named(x[1].tobytes())
    assert list(row_digests(data, schema))[1] == schema.row_digest(schema.features(named), 1)
