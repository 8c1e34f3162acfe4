"""Trim: undo changes that a fooling row does not need, so that the result shows only the changes that matter."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from hauberk.attacks.budget import ColumnBox
from hauberk.attacks.margin import margins
from hauberk.models.port import Floats, Labels, Model


def trim(model: Model, x: Floats, origin: Floats, y: Labels, box: ColumnBox) -> tuple[Floats, NDArray[np.int64]]:
    """Return fooling rows with every unneeded column change undone, and (n,) the number of scores this asked for.

    x: rows that fool the model. The most expensive column of each row is tried first. Cost: one score for each changed column.
    """
    x, queries = x.copy(), np.zeros(len(x), np.int64)
    places = np.array([index for index, _, _ in box.movable], dtype=np.int64)
    prices = np.stack([_alone(x, origin, index, box) for index in places]) if len(places) else np.zeros((0, len(x)))
    order = np.argsort(-prices, axis=0, kind="stable")
    for rank in range(len(places)):
        columns = places[order[rank]]
        everyone = np.arange(len(x))
        rows = np.flatnonzero(x[everyone, columns] != origin[everyone, columns])
        if not len(rows):
            continue
        tried = x[rows].copy()
        tried[np.arange(len(rows)), columns[rows]] = origin[rows, columns[rows]]
        tried = np.asarray(box.project(tried, origin[rows]), dtype=np.float32)
        fooled = margins(model.scores(tried), y[rows]) < 0
        # Repair may move other columns instead of the one undone: accept only if the total cost does not rise.
        fooled &= box.price(tried, origin[rows]) <= box.price(x[rows], origin[rows])
        queries[rows] += 1
        x[rows[fooled]] = tried[fooled]
    return x, queries


def _alone(x: Floats, origin: Floats, index: int, box: ColumnBox) -> NDArray[np.float64]:
    """Return (n,) the cost of one column's change."""
    other = origin.copy()
    other[:, index] = x[:, index]
    return box.price(other, origin)
