"""Hardening an estimator in rounds: attack the fitted model, add the successful points, fit again, keep the best round.

The best round has the highest sum of clean accuracy and accuracy under a fresh attack, on rows that no round was
fitted on. Its estimator is then fitted once more, with those rows and the points that the attack reached on them.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hauberk.attacks.budget import Budget
from hauberk.core.progress import Task
from hauberk.models.port import Floats, Labels
from hauberk.models.sklearn_model import SklearnModel
from hauberk.training.adversarial.augment import Augment

_HELD_OUT = 0.2
Fit = Callable[[Floats, Labels], SklearnModel]
Step = Callable[..., Floats]


@dataclass(slots=True)
class Hardened:
    """The hardened model, the number of its best round (0 is the plain fit), and the measurements of each round."""

    model: SklearnModel
    best: int
    history: list[dict[str, float]] = field(default_factory=list)


@dataclass(slots=True)
class _Pool:
    x: Floats
    y: Labels

    def add(self, x: Floats, y: Labels) -> _Pool:
        return _Pool(np.concatenate([self.x, x]), np.concatenate([self.y, y]))


@dataclass(frozen=True, slots=True)
class Attack:
    """The attack of each round. step: a member of HARDENING for estimators."""

    step: Step
    params: Augment
    budgets: Sequence[Budget]

    def on(self, model: SklearnModel, rows: _Pool, rng: np.random.Generator) -> list[Floats]:
        """Return the changed rows, once for each budget."""
        return [self.step(model, rows.x, rows.y, budget, self.params, rng=rng) for budget in self.budgets]


def harden(  # noqa: PLR0913 - a fit, its data and the attack
    fit: Fit, x: Floats, y: Labels, *, attack: Attack, seed: int, task: Task
) -> Hardened:
    """Return the estimator hardened by attack and augment.

    fit: returns a model fitted on rows. Cost: params.rounds + 2 fits and as many attacks on params.rows training rows
    and the held-out rows. Raises InvalidInput from fit and attack.
    """
    params = attack.params
    rng = np.random.default_rng(seed)
    kept, held = _split(y, rng)
    pool = _Pool(x[kept], y[kept])
    checked = _Pool(x[held], y[held])
    history: list[dict[str, float]] = []
    best, best_score, best_pool = 0, -1.0, pool
    for number in range(params.rounds + 1):
        model = fit(pool.x, pool.y)
        reached = attack.on(model, checked, rng)
        clean, robust = _accuracy(model, checked.x, checked.y), _worst(model, reached, checked)
        history.append({"round": float(number), "clean": clean, "robust": robust, "rows": float(len(pool.x))})
        if clean + robust > best_score + 1e-9:
            best, best_score = number, clean + robust
            best_pool = pool.add(checked.x, checked.y)
            for changed in reached:
                best_pool = best_pool.add(*_changed_only(changed, checked))
        task.update(
            (number + 1) / (params.rounds + 2), text=f"round {number} of {params.rounds}, robust {robust:.3f}"
        )
        if number < params.rounds:
            pool = _grown(pool, _Pool(x[kept], y[kept]), model, attack, rng)
    model = fit(best_pool.x, best_pool.y) if best else fit(x, y)
    task.update(1.0)
    return Hardened(model, best, history)


def _grown(pool: _Pool, original: _Pool, model: SklearnModel, attack: Attack, rng: np.random.Generator) -> _Pool:
    chosen = np.sort(rng.permutation(len(original.x))[: attack.params.rows])
    rows = _Pool(original.x[chosen], original.y[chosen])
    for changed in attack.on(model, rows, rng):
        pool = pool.add(*_changed_only(changed, rows))
    return pool


def _changed_only(changed: Floats, rows: _Pool) -> tuple[Floats, Labels]:
    differs = (changed != rows.x).reshape(len(changed), -1).any(axis=1)
    return changed[differs], rows.y[differs]


def _accuracy(model: SklearnModel, x: Floats, y: Labels) -> float:
    return float((model.scores(x).argmax(axis=1) == y).mean())


def _worst(model: SklearnModel, reached: Sequence[Floats], rows: _Pool) -> float:
    right = model.scores(rows.x).argmax(axis=1) == rows.y
    for changed in reached:
        right &= model.scores(changed).argmax(axis=1) == rows.y
    return float(right.mean())


def _split(y: Labels, rng: np.random.Generator) -> tuple[NDArray[Any], NDArray[Any]]:
    """Return row numbers kept and held out: a fifth of each class, rounded down, so every class keeps rows."""
    held = [
        rng.permutation(np.flatnonzero(y == label))[: int(_HELD_OUT * np.sum(y == label))] for label in np.unique(y)
    ]
    out = np.sort(np.concatenate(held))
    if not len(out):
        return np.arange(len(y)), np.arange(len(y))
    return np.setdiff1d(np.arange(len(y)), out), out
