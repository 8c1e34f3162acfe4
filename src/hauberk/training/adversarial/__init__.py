"""Hardening: the registered ways to make training inputs adversarial within a declared budget.

A new method is one file with one registration; `auto`, the planner, the error messages and the tests find it by what
its params declare. A member is `run(module, batch, budget, params, *, rng) -> x_adv` for torch modules, called once a
batch: `batch` holds tensors (`training.batch.Batch`), and `rng` is a torch.Generator on their device. For estimators it
is `run(model, x, y, budget, params, *, rng) -> x_adv`, called once a round: `model` is a fitted `models.port.Model`,
`x` and `y` are NumPy arrays, and `rng` is a NumPy Generator.

`x_adv` is allowed by the budget for every row, or by the budget scaled by the params' `reach`. Params declare
`traits: ClassVar[Traits]`, and may have:

- `passes`: forward and backward passes a batch costs, with the pass for the weights; a plain batch costs 1.
- `loss(module, batch, budget) -> (loss, scores)`: the loss to minimise, and the scores on the hardened batch; the
  default is the cross-entropy on `x_adv`.
- `warmup`: share of the epochs over which the budget grows to its full size.
- `guard`: watch for catastrophic overfitting, see `training.guard`.
- `needs(budget)`: raises InvalidInput for a budget that the method cannot serve.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

from hauberk.core.registry import Entry, Registry

HARDENING: Registry[Callable[..., Any]] = Registry("hardening", "hauberk.training.adversarial")


@dataclass(frozen=True, slots=True)
class Traits:
    """What a method declares about itself.

    framework: the models it hardens. adversarial: whether `x_adv` is an attack; False for noise or the unchanged
    input, which the budget need not allow. rank: strength, higher is stronger; a plan takes the highest rank that gets
    `pays_from` epochs, and None leaves the method out of plans. default: used for "auto" without a plan; one method
    of each framework.
    """

    framework: Literal["torch", "sklearn"] = "torch"
    adversarial: bool = True
    rank: int | None = None
    pays_from: int = 1
    default: bool = False


def traits_of(entry: Entry[Any]) -> Traits:
    """Return what a member declares; the defaults of `Traits` if it declares nothing."""
    traits: Traits = getattr(entry.params, "traits", Traits())
    return traits


def members(framework: str) -> list[Entry[Any]]:
    """Return the methods for "torch" or "sklearn", by name."""
    return [entry for entry in HARDENING if traits_of(entry).framework == framework]
