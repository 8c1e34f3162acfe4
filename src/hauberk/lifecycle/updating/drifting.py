"""Drift of rows in the champion's terms: tables column by column, pictures by brightness, contrast and label."""

from __future__ import annotations

from typing import Any

import numpy as np

from hauberk.core.columns import ColumnKind
from hauberk.core.extras import need
from hauberk.core.progress import Task
from hauberk.data.reading.dataset import Dataset
from hauberk.data.verification.drift import Drifted, drift
from hauberk.data.verification.opening import from_frame
from hauberk.data.verification.schema import Schema


def drifted(new: Dataset, trusted: Dataset, *, task: Task | None = None) -> Drifted:
    """Measure how far rows are from the trusted ones, with the default limits of a schema file."""
    here, there = (from_frame(_frame(side), name=name) for side, name in ((new, "new"), (trusted, "trusted")))
    return drift(here, there, Schema(version=1), task=task)


def _frame(side: Dataset) -> Any:  # noqa: ANN401 - a polars.DataFrame
    polars = need("polars")
    values: dict[str, Any] = {}
    if side.kind == "image":
        flat = side.x.reshape(len(side), -1)
        values = {"brightness": flat.mean(axis=1), "contrast": flat.std(axis=1)}
    for index, column in enumerate(side.columns):
        found = side.x[:, index]
        if column.kind is ColumnKind.CATEGORY:
            values[column.name] = np.array(column.categories, dtype=object)[found.astype(np.int64)].tolist()
        else:
            values[column.name] = found.astype(np.float64)
    label = "label"
    while label in values:
        label += "_"
    return polars.DataFrame(values | {label: np.array(side.classes, dtype=object)[side.y].tolist()})
