"""Controls: what the jobs measure, one file each, found by name; data checks have a family of their own (`data.checks`).

A control is `run(inputs, params, *, rng, task) -> Measurement` (`core.control.Check`). It signs and logs nothing, and knows
neither a project nor a workshop: a job makes its inputs, and `records.running` makes its evidence.
"""

from __future__ import annotations

from typing import Any

from hauberk.core.control import Check
from hauberk.core.registry import Registry

CONTROLS: Registry[Check[Any]] = Registry("control", "hauberk.lifecycle.controls")
