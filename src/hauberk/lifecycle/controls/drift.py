"""Drift: how far the rows of a batch are from the trusted ones, column by column."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from hauberk.core.columns import ColumnKind
from hauberk.core.evidence import Measurement
from hauberk.core.extras import need
from hauberk.core.findings import Finding, Kind, Place, Severity
from hauberk.core.progress import Task
from hauberk.core.registry import NoParams
from hauberk.data.reading.dataset import Dataset
from hauberk.data.verification.drift import Drifted, drift
from hauberk.data.verification.opening import from_frame
from hauberk.data.verification.schema import Schema
from hauberk.lifecycle.controls import CONTROLS


@dataclass(frozen=True, slots=True, eq=False)
class NewRows:
    """The rows of a batch beside the trusted rows; both with the columns and classes that the model reads."""

    new: Dataset
    trusted: Dataset
    number: int


@CONTROLS.register(
    "drift",
    practice="2b",
    threats=("poisoning",),
    summary="how far new rows are from the trusted ones, column by column",
)
def run(inputs: NewRows, params: NoParams, *, rng: np.random.Generator, task: Task) -> Measurement:
    """Count the columns that drifted, by the default limits of a schema file.

    Answers: new rows from another distribution, such as another unit or another population. Does not answer: poison that keeps
    each column's distribution; see the control drip and the check poisoning.
    """
    del params, rng
    found = drifted(inputs.new, inputs.trusted, task=task)
    moved = [one for one in found.measures if one.drifted]
    findings = tuple(
        Finding(
            f"column {one.column} of batch {inputs.number} drifted from the trusted rows: {one.name} {one.effect:.3g}",
            Place(Kind.COLUMN, one.column),
            Severity.MEDIUM,
            "Find out what changed at the source.",
            value=float(one.effect),
            limit=float(one.limit),
        )
        for one in moved
    )
    return Measurement({"drift_measures": float(len(found.measures)), "drifted": float(len(moved))}, findings)


def drifted(new: Dataset, trusted: Dataset, *, task: Task | None = None) -> Drifted:
    """Measure drift with the default limits of a schema file: tables by column, pictures by brightness, contrast and label."""
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
