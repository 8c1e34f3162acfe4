"""Out-of-fold probabilities: what models that never saw a row think of it, the best affordable for its kind."""

from __future__ import annotations

import importlib.util
from typing import Literal

from hauberk.core.progress import Task
from hauberk.data.dataset import Dataset, Doubles


def out_of_fold(kind: Literal["image", "table", "embedding"], side: Dataset, *, seed: int, task: Task) -> Doubles:
    """Return (n, k) probabilities. Pictures: a small network where torch is installed, else edges and a line; tables: trees."""
    if kind == "image" and importlib.util.find_spec("torch") is not None:
        from hauberk.data.poisoning._views import sharp

        return sharp(side.x, side.y, len(side.classes), seed=seed, task=task)
    if kind == "table":
        from hauberk.data.poisoning._table_probabilities import table_probabilities

        return table_probabilities(side, seed=seed, task=task)
    from hauberk.data.poisoning._folds import out_of_fold as quick

    return quick(side, seed=seed, task=task)
