"""Out-of-fold probabilities: what models that never saw a row think of it, the best affordable for its kind."""

from __future__ import annotations

import importlib.util
from typing import Literal

from hauberk.core.progress import Quiet, Task
from hauberk.data.reading.dataset import Dataset, Doubles


def out_of_fold(kind: Literal["image", "table", "embedding"], side: Dataset, *, seed: int, task: Task) -> Doubles:
    """Return (n, k) probabilities. Pictures: edges and a line, with a small network where torch is installed; tables: trees.

    Network and line err on different rows, so their mean doubts honest rows less than either; and a trigger that the
    network has learned is nothing to the line.
    """
    if kind == "table":
        from hauberk.data.poison.detectors._table_probabilities import table_probabilities

        return table_probabilities(side, seed=seed, task=task)
    from hauberk.data.poison.detectors._folds import out_of_fold as line

    if kind == "image" and importlib.util.find_spec("torch") is not None:
        from hauberk.data.poison.detectors._views import sharp

        return (
            sharp(side.x, side.y, len(side.classes), seed=seed, task=task) + line(side, seed=seed, task=Quiet())
        ) / 2
    return line(side, seed=seed, task=task)
