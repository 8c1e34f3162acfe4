"""Hardening: the registered ways of making training inputs adversarial within a declared budget.

One file adds one. A member is `run(target, x, y, budget, params, *, rng) -> x_adv`, called inside training:

- `framework = "torch"` in its params: once a batch; `target` is the module, `x` and `y` are tensors, `rng` is a
  torch.Generator on their device.
- `framework = "sklearn"`: once a round; `target` is a fitted `models.port.Model`, `x` and `y` numpy arrays, `rng`
  a numpy Generator.

`x_adv` is allowed by the budget for every row, or by the budget scaled by the params' `reach`. Torch params may have:

- `loss(module, batch) -> (loss, scores)`: what is minimised, and the scores on the hardened batch; without it, that
  is the cross-entropy on `x_adv`.
- `warmup`: share of the epochs over which the budget grows to its full size.
- `guard`: watch for catastrophic overfitting, see `training.guard`.
- `adversarial = False`: `x_adv` is no attack (noise, or the input itself), and the budget need not allow it.
- `needs(budget)`: raises InvalidInput for a budget that the method cannot serve.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from hauberk.attacks.budget import Budget
from hauberk.core.registry import Registry

if TYPE_CHECKING:
    from torch import Tensor

HARDENING: Registry[Callable[..., Any]] = Registry("hardening", "hauberk.training.adversarial")


@dataclass(frozen=True, slots=True)
class Batch:
    """What a method's own loss may look at.

    x, changed: the rows before and after hardening. y: (n,) labels. strength: how far the budget has grown, in
    (0, 1]. budget: already scaled by it.
    """

    x: Tensor
    changed: Tensor
    y: Tensor
    budget: Budget
    strength: float
