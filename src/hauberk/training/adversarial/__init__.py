"""Hardening: the registered ways of making training inputs adversarial within a declared budget.

One file adds one. A member is `run(target, x, y, budget, params, *, rng) -> x_adv`, called inside training:

- `framework = "torch"` in its params: once a batch; `target` is the module, `x` and `y` are tensors, `rng` is a
  torch.Generator on their device.
- `framework = "sklearn"`: once a round; `target` is a fitted `attacks.model.Model`, `x` and `y` numpy arrays, `rng`
  a numpy Generator.

`x_adv` is allowed by the budget for every row. Params may have `warmup` (share of the epochs over which the
budget grows to its full size) and `guard` (watch for catastrophic overfitting, see `training.guard`).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from hauberk.core.registry import Registry

HARDENING: Registry[Callable[..., Any]] = Registry("hardening", "hauberk.training.adversarial")
