"""From a declared hardening to functions: pick the method, bind its budgets, set up its guard."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from hauberk.attacks.budget import Budget
from hauberk.attacks.model import Floats, Labels
from hauberk.core.errors import InvalidInput
from hauberk.core.registry import Entry
from hauberk.training.adversarial import HARDENING

if TYPE_CHECKING:
    import torch
    from torch import Tensor, nn

    from hauberk.training.guard import Guard
    from hauberk.training.loop import Perturb

AUTO = "auto"
DEFAULTS = {"torch": "pgd", "sklearn": "augment"}
_WATCHING = {"steps": 10, "step": 0.25}
_FALLBACK = {"steps": 5, "step": 0.3}


@dataclass(frozen=True, slots=True)
class Chosen:
    """A torch method with its budgets bound."""

    name: str
    perturb: Perturb
    warmup: float
    guard: bool


def for_torch(method: str, params: Mapping[str, Any], budgets: Sequence[Budget]) -> Chosen:
    """Return the method for a torch module. Raises InvalidInput when it is for estimators, or unknown."""
    entry = _entry(method, "torch")
    made = entry.make(params)
    return Chosen(
        entry.name,
        _bound(entry, made, budgets),
        float(getattr(made, "warmup", 0.0)),
        bool(getattr(made, "guard", False)),
    )


def for_estimator(method: str, params: Mapping[str, Any]) -> tuple[str, Callable[..., Floats], Any]:
    """Return name, step and params for an estimator. Raises InvalidInput when it is for torch, or unknown."""
    entry = _entry(method, "sklearn")
    return entry.name, entry.run, entry.make(params)


def resolve(method: str, framework: str) -> str:
    """Return the method's name, "auto" replaced by the default for "torch" or "sklearn"."""
    return DEFAULTS[framework] if method == AUTO else method


def guarded(  # noqa: PLR0913, PLR0917 - the rows, and what watches them
    chosen: Chosen, x: Floats, y: Labels, budgets: Sequence[Budget], device: str, seed: int
) -> tuple[Guard, NDArray[np.int64]]:
    """Return a guard over held-out rows, and the rows that are left to train on."""
    import torch

    from hauberk.training.guard import ROWS, Guard

    order = np.random.default_rng(seed).permutation(len(x))
    held, kept = np.split(order, [min(ROWS, max(1, len(x) // 10))])
    guard = Guard(
        torch.from_numpy(x[held]).to(device),
        torch.from_numpy(y[held]).to(device),
        single=chosen.perturb,
        strong=for_torch("pgd", _WATCHING, budgets).perturb,
        fallback=for_torch("pgd", _FALLBACK, budgets).perturb,
        seed=seed,
    )
    return guard, np.sort(kept)


def notes(guard: Guard) -> list[str]:
    """Return what a person should know of what the guard saw."""
    return [
        f"Catastrophic overfitting in epoch {epoch}: accuracy under PGD collapsed while it held under the single "
        "step. The last good state was put back, and training went on with PGD."
        for epoch in guard.collapses
    ]


def _entry(method: str, framework: str) -> Entry[Any]:
    entry = HARDENING[resolve(method, framework)]
    made_for = getattr(entry.params, "framework", "torch")
    if made_for != framework:
        words = {"torch": "torch modules", "sklearn": "scikit-learn estimators"}
        fitting = [e.name for e in HARDENING if getattr(e.params, "framework", "torch") == framework]
        raise InvalidInput(
            f"hardening method {entry.name!r} is for {words[made_for]}, and this model is one of the "
            f"{words[framework]}: use {' or '.join(fitting)}."
        )
    return entry


def _bound(entry: Entry[Any], params: Any, budgets: Sequence[Budget]) -> Perturb:  # noqa: ANN401 - per method
    calls = 0

    def perturb(module: nn.Module, x: Tensor, y: Tensor, *, rng: torch.Generator, strength: float) -> Tensor:
        nonlocal calls
        budget = budgets[calls % len(budgets)]
        calls += 1
        if strength < 1:
            budget = budget.scaled(strength)
        changed: Tensor = entry.run(module, x, y, budget, params, rng=rng).detach()
        return changed

    return perturb
