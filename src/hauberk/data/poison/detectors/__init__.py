"""Poisoning: which training rows were put there to harm, one detector a file, found by name (practice 1a).

A detector is `run(rows, params, *, rng, task) -> Suspicion`: it looks at training rows and says of each how rarely an
honest row would look like that. That unit is common to all, so that `data.screening` can put them into one list with
one false-alarm rate. A detector with nothing to say gives zeros; it never drops or changes rows.
"""

from __future__ import annotations

from typing import Any, Protocol

import numpy as np

from hauberk.core.progress import Task
from hauberk.core.registry import Registry
from hauberk.data.poison.detectors._rows import Rows, Suspicion

__all__ = ["DETECTORS", "Detector", "Rows", "Suspicion"]


class Detector(Protocol):
    """Says of each row how much it looks like one kind of poison."""

    def __call__(
        self,
        rows: Rows,
        params: Any,  # noqa: ANN401 - the detector's own params
        *,
        rng: np.random.Generator,
        task: Task,
    ) -> Suspicion:
        """Return one score and, where it matters, one reason for each row."""


DETECTORS: Registry[Detector] = Registry("poison detector", "hauberk.data.poison.detectors")
