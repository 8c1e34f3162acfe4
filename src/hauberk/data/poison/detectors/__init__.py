"""Poisoning: which training rows were put there to harm, one detector a file, found by name (practice 1a).

A detector is `run(rows, params, *, rng, task) -> Suspicion`: it looks at training rows and says of each how rarely an
honest row would look like that. That unit is common to all, so that `data.screening` can put them into one list with
one false-alarm rate. A detector with nothing to say gives zeros; it never drops or changes rows.
"""

from __future__ import annotations

from hauberk.core.control import Algorithm
from hauberk.core.registry import Registry
from hauberk.data.poison.detectors._rows import Rows, Suspicion

__all__ = ["DETECTORS", "Rows", "Suspicion"]


DETECTORS: Registry[Algorithm[Rows, Suspicion]] = Registry("poison detector", "hauberk.data.poison.detectors")
