"""Checks: what is wrong with data before anything is trained on them (practice 1a), one file each, found by name.

A check is `run(split, params, *, rng, task) -> Measurement` and rests on a pure function of arrays in its own file.
It measures and names rows; whether that stops a release is for the gate to say. Findings show the worst few, and
metrics count all.
"""

from __future__ import annotations

from typing import Any, Protocol

import numpy as np

from hauberk.core.evidence import Measurement
from hauberk.core.progress import Task
from hauberk.core.registry import Registry
from hauberk.data.reading.dataset import Split


class Check(Protocol):
    """Measures one property of the data."""

    def __call__(
        self,
        split: Split,
        params: Any,  # noqa: ANN401 - the check's own params
        *,
        rng: np.random.Generator,
        task: Task,
    ) -> Measurement:
        """Return numbers and findings; the data are left as they are."""


CHECKS: Registry[Check] = Registry("data check", "hauberk.data.checks")
