"""Data checks: what is wrong with data before anything is trained on them (practice 1a), one file and one name each.

A check is `run(split, params, *, rng, task) -> Measurement` (`core.control.Check`), around a pure function of arrays in the same
file. It measures and names rows; the gate decides whether that stops a release. Findings list the worst few rows,
metrics count all of them.
"""

from __future__ import annotations

from hauberk.core.control import Check
from hauberk.core.registry import Registry
from hauberk.data.reading.dataset import Split

CHECKS: Registry[Check[Split]] = Registry("data check", "hauberk.data.checks")
