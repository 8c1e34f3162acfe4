"""Out-of-fold class probabilities of every row, from the best affordable models for its kind of data."""

from __future__ import annotations

import importlib.util
from typing import Literal

from hauberk.core.progress import Quiet, Task
from hauberk.data.reading.dataset import Dataset, Doubles


def out_of_fold(kind: Literal["image", "table", "embedding"], side: Dataset, *, seed: int, task: Task) -> Doubles:
    """Return (n, k) out-of-fold probabilities.

    Pictures: the mean of a logistic regression on edge features and, if torch is installed, a small network. The two err on
    different rows, so their mean contradicts fewer honest labels than either alone, and a trigger that the network learns
    hardly affects the regression. Tables: `_table_probabilities`. Embeddings: logistic regression or boosted trees.
    """
    if kind == "table":
        from hauberk.data.poison.detectors._table_probabilities import table_probabilities

        return table_probabilities(side, seed=seed, task=task)
    from hauberk.data.poison.detectors._folds import out_of_fold as simple

    if kind == "image" and importlib.util.find_spec("torch") is not None:
        from hauberk.data.poison.detectors._views import sharp

        return (
            sharp(side.x, side.y, len(side.classes), seed=seed, task=task) + simple(side, seed=seed, task=Quiet())
        ) / 2
    return simple(side, seed=seed, task=task)
