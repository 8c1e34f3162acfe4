"""Probes: fixed random inputs of a model, to compare two forms of it."""

from __future__ import annotations

import numpy as np

from hauberk.core.columns import ColumnKind
from hauberk.models.port import Floats
from hauberk.models.spec import Spec


def probes(spec: Spec, rows: int) -> Floats:
    """Return valid random inputs: pixels in [0, 1], or rows within the columns' ranges. The seed is fixed."""
    rng = np.random.default_rng(0)
    if spec.kind == "image":
        return rng.random((rows, *spec.shape), dtype=np.float32)
    x = np.empty((rows, len(spec.columns)), dtype=np.float32)
    for i, column in enumerate(spec.columns):
        values = rng.uniform(column.low, column.high, rows)
        x[:, i] = values if column.kind is ColumnKind.NUMBER else np.rint(values)
    return x
