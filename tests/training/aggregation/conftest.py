"""The small real tables of the training room."""

from __future__ import annotations

import numpy as np
import pytest

from hauberk.core.columns import Column, ColumnKind
from hauberk.training import Spec


@pytest.fixture(scope="session")
def table():
    """Wine in three classes, with a category computed from a measurement: spec, x, y, and test rows."""
    from sklearn.datasets import load_wine

    raw = load_wine()
    x = raw.data.astype(np.float32)
    names = ("dark", "light", "middle")
    x = np.concatenate([x, np.digitize(x[:, 9], [4, 6])[:, None].astype(np.float32)], axis=1)
    columns = (
        *(Column(str(name), ColumnKind.NUMBER, 0.0, 1.0) for name in raw.feature_names),
        Column("shade", ColumnKind.CATEGORY, 0.0, 2.0, names),
    )
    order = np.random.default_rng(0).permutation(len(x))
    spec = Spec("table", (x.shape[1],), 3, columns)
    fit, ask = order[:140], order[140:]
    return spec, x[fit], raw.target[fit].astype(np.int64), x[ask], raw.target[ask].astype(np.int64)
