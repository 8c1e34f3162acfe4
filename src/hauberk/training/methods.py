"""From a declared hardening to functions: pick the method, bind its budgets, set up what watches it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from hauberk.attacks.budget import Budget
from hauberk.core.errors import InvalidInput
from hauberk.core.registry import Entry
from hauberk.models.port import Floats
from hauberk.training.adversarial import HARDENING, Batch

if TYPE_CHECKING:
    import torch
    from torch import Tensor, nn

    from hauberk.training.heldout import HeldOut
    from hauberk.training.watching import Watch

AUTO = "auto"
DEFAULTS = {"torch": "pgd", "sklearn": "augment"}
_WATCHING = {"steps": 10, "step": 0.25}
_SHORT = {"steps": 5, "step": 0.4}  # shows a collapse as well as ten steps do, and a guard is to cost little


@dataclass(frozen=True, slots=True)
class Chosen:
    """A torch method with its budgets bound: a `loop.Method`. Batches meet the budgets in turn."""

    name: str
    run: Callable[..., Tensor]
    params: Any
    budgets: tuple[Budget, ...]

    @property
    def warmup(self) -> float:
        """Share of the epochs in which the budget grows to full."""
        return float(getattr(self.params, "warmup", 0.0))

    @property
    def guard(self) -> bool:
        """Whether it has to be watched for catastrophic overfitting."""
        return bool(getattr(self.params, "guard", False))

    def perturb(  # noqa: PLR0913 - as `loop.Method`
        self, module: nn.Module, x: Tensor, y: Tensor, *, rng: torch.Generator, strength: float = 1.0, turn: int = 0
    ) -> Tensor:
        """Return inputs like x to train on."""
        return self.run(module, x, y, self._budget(strength, turn), self.params, rng=rng).detach()

    def loss(  # noqa: PLR0913 - as `loop.Method`
        self, module: nn.Module, x: Tensor, changed: Tensor, y: Tensor, *, strength: float = 1.0, turn: int = 0
    ) -> tuple[Tensor, Tensor]:
        """Return the method's own loss, or the cross-entropy on the changed batch; and the scores on that."""
        own = getattr(self.params, "loss", None)
        if own is not None:
            value, scores = own(module, Batch(x, changed, y, self._budget(strength, turn), strength))
            return value, scores
        from hauberk.models.torch_model import forward
        from hauberk.training import losses

        scores = forward(module, changed)
        return losses.cross_entropy(scores, y), scores

    def _budget(self, strength: float, turn: int) -> Budget:
        budget = self.budgets[turn % len(self.budgets)]
        return budget.scaled(strength) if strength < 1 else budget


def for_torch(method: str, params: Mapping[str, Any], budgets: Sequence[Budget]) -> Chosen:
    """Return the method for a torch module.

    Raises InvalidInput when it is for estimators, unknown, or cannot serve one of the budgets.
    """
    entry = _entry(method, "torch")
    made = entry.make(params)
    needs = getattr(made, "needs", None)
    if needs is not None:
        for budget in budgets:
            needs(budget)
    return Chosen(entry.name, entry.run, made, tuple(budgets))


def for_estimator(method: str, params: Mapping[str, Any]) -> tuple[str, Callable[..., Floats], Any]:
    """Return name, step and params for an estimator. Raises InvalidInput when it is for torch, or unknown."""
    entry = _entry(method, "sklearn")
    return entry.name, entry.run, entry.make(params)


def resolve(method: str, framework: str) -> str:
    """Return the method's name, "auto" replaced by the default for "torch" or "sklearn"."""
    return DEFAULTS[framework] if method == AUTO else method


def watching(chosen: Chosen, held: HeldOut, *, patience: int, start: int) -> list[Watch]:
    """Return what watches a training with held-out rows: the guard where the method needs it, and early stopping.

    patience, start: as `stopping.Stopping`; patience 0 never stops, and then the last weights are kept rather than
    the best.
    """
    from hauberk.training.guard import Guard
    from hauberk.training.stopping import Stopping

    watches: list[Watch] = []
    if chosen.guard:
        short = for_torch("pgd", _SHORT, chosen.budgets)
        watches.append(Guard(held, single=chosen, strong=short, fallback=short))
    if patience:
        strong = for_torch("pgd", _WATCHING, chosen.budgets)
        watches.append(Stopping(held, strong=strong, patience=patience, start=start))
    return watches


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
