"""From a declared hardening to functions: choose the method, bind its budgets, set up the watches it needs."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from hauberk.attacks.budget import Budget
from hauberk.core.errors import InvalidInput
from hauberk.core.registry import Entry
from hauberk.models.port import Floats
from hauberk.training.adversarial import HARDENING, Traits, members, traits_of
from hauberk.training.batch import Batch

if TYPE_CHECKING:
    import torch
    from torch import Tensor, nn

    from hauberk.training.heldout import HeldOut
    from hauberk.training.watching import Watch

AUTO = "auto"
# How the robustness of held-out rows is measured: by PGD, whichever method trains.
MEASURING = "pgd"
_WATCHING = {"steps": 10, "step": 0.25}
_SHORT = {"steps": 5, "step": 0.4}  # shows a collapse as well as ten steps do, and the guard has to be cheap


@dataclass(frozen=True, slots=True)
class Chosen:
    """A torch method with its budgets bound: a `watching.Method`. Batches use the budgets in turn."""

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
        """Whether the run has to be watched for catastrophic overfitting."""
        return bool(getattr(self.params, "guard", False))

    @property
    def has_loss(self) -> bool:
        """Whether the method minimises a loss of its own."""
        return hasattr(self.params, "loss")

    def perturb(self, module: nn.Module, batch: Batch[Tensor], *, rng: torch.Generator) -> Tensor:
        """Return inputs like `batch.x` to train on."""
        return self.run(module, batch, self._budget(batch), self.params, rng=rng).detach()

    def loss(self, module: nn.Module, batch: Batch[Tensor]) -> tuple[Tensor, Tensor]:
        """Return the method's own loss, or the cross-entropy on the changed batch; and the scores on it."""
        if self.has_loss:
            value, scores = self.params.loss(module, batch, self._budget(batch))
            return value, scores
        from hauberk.training.watching import Plain

        return Plain().loss(module, batch)

    def _budget(self, batch: Batch[Tensor]) -> Budget:
        budget = self.budgets[batch.turn % len(self.budgets)]
        return budget.scaled(batch.strength) if batch.strength < 1 else budget


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


def traits(method: str, framework: str = "torch") -> Traits:
    """Return what the method declares; "auto" is the default of the framework."""
    return traits_of(_entry(method, framework))


def ladder() -> list[tuple[str, int]]:
    """Return the torch methods that a plan may choose: name and `pays_from`, strongest first."""
    ranked = [(traits_of(entry), entry) for entry in members("torch")]
    chosen = [(each.rank, each, entry.name) for each, entry in ranked if each.rank is not None]
    return [(name, each.pays_from) for _, each, name in sorted(chosen, key=lambda rung: (-rung[0], rung[2]))]


def without_loss() -> list[str]:
    """Return the names of the adversarial torch methods that minimise the cross-entropy on the changed batch."""
    return [
        entry.name
        for entry in members("torch")
        if traits_of(entry).adversarial and not hasattr(entry.params, "loss")
    ]


def resolve(method: str, framework: str) -> str:
    """Return the method's name, with "auto" replaced by the default for "torch" or "sklearn"."""
    if method != AUTO:
        return method
    defaults = [entry.name for entry in members(framework) if traits_of(entry).default]
    if len(defaults) != 1:
        raise InvalidInput(
            f"{len(defaults)} hardening methods for {framework} declare themselves the default "
            f"({', '.join(defaults) or 'none'}); expected one. Name the method, or remove the plug-in that adds another."
        )
    return defaults[0]


def watching(chosen: Chosen, held: HeldOut, *, patience: int, start: int) -> list[Watch]:
    """Return the watches of a training with held-out rows: the guard if the method needs it, and early stopping.

    patience, start: as `stopping.Stopping`; patience 0 never stops and keeps the last weights instead of the best.
    """
    from hauberk.training.guard import Guard
    from hauberk.training.stopping import Stopping

    watches: list[Watch] = []
    if chosen.guard:
        short = for_torch(MEASURING, _SHORT, chosen.budgets)
        watches.append(Guard(held, single=chosen, strong=short, fallback=short))
    if patience:
        strong = for_torch(MEASURING, _WATCHING, chosen.budgets)
        watches.append(Stopping(held, strong=strong, patience=patience, start=start))
    return watches


def _entry(method: str, framework: str) -> Entry[Any]:
    entry = HARDENING[resolve(method, framework)]
    made_for = traits_of(entry).framework
    if made_for != framework:
        words = {"torch": "torch modules", "sklearn": "scikit-learn estimators"}
        fitting = [each.name for each in members(framework)]
        raise InvalidInput(
            f"hardening method {entry.name!r} is for {words[made_for]}, and this model is one of the "
            f"{words[framework]}: use {' or '.join(fitting)}."
        )
    return entry
