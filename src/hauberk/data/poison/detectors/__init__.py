"""Poison detectors for training rows (practice 1a): one file a detector, registered by name in `DETECTORS`.

A detector is `run(rows, params, *, rng, task) -> Suspicion`. It scores every row by how rarely an honest row would look
as suspicious: minus the decimal logarithm of that share of honest rows. Because all detectors use this unit,
`poison.screening` can merge their scores under one false-alarm rate. A detector that sees nothing suspicious returns
zeros. Detectors never remove or change rows.
"""

from __future__ import annotations

from hauberk.core.control import Algorithm
from hauberk.core.registry import Registry
from hauberk.data.poison.detectors._rows import Rows, Suspicion

__all__ = ["DETECTORS", "Rows", "Suspicion"]


DETECTORS: Registry[Algorithm[Rows, Suspicion]] = Registry("poison detector", "hauberk.data.poison.detectors")
