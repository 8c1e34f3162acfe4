"""Checks: what is wrong with data before anything is trained on them (practice 1a), one file each, found by name.

A check is `run(split, params, *, rng, task) -> Measurement` and rests on a pure function of arrays in its own file.
It measures and names rows; whether that stops a release is for the gate to say. Findings show the worst few, and
metrics count all.
"""

from __future__ import annotations

from hauberk.core.control import Check
from hauberk.core.registry import Registry
from hauberk.data.reading.dataset import Split

CHECKS: Registry[Check[Split]] = Registry("data check", "hauberk.data.checks")
