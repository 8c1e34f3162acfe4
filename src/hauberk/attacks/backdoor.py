"""Backdoor: how much of a poison's effect a model has learned, so that a repair is judged by attack and not by hope.

`effect` asks one trained model; `before_and_after` trains on poisoned and on repaired rows with the caller's own `fit` and
says what each model does. Models are strangers here: anything that can be asked for scores will do.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from hauberk.attacks.poisoning import Poisoned
from hauberk.core.errors import InvalidInput
from hauberk.models.port import Floats, Labels, Model

Fit = Callable[[Floats, Labels], Model]


@dataclass(frozen=True, slots=True)
class Effect:
    """What one model does.

    accuracy: on clean test rows, in [0, 1]. success: share of triggered test rows of other classes that get the
    adversary's class, in [0, 1]; None where the poison has no trigger. asked: how many were triggered.
    """

    accuracy: float
    success: float | None
    asked: int


def effect(model: Model, x: Floats, y: Labels, poisoned: Poisoned) -> Effect:
    """Return what the model does on honest test rows, and on the same rows with the trigger.

    x, y: test rows that the poisoner never saw. Rows of the target class are left out of `success`: they would be
    classified so without any trigger. For all-to-all, success is the class after the row's own.
    """
    if len(x) != len(y) or not len(y):
        raise InvalidInput(f"expected test rows with one label each, found {len(x)} and {len(y)}.")
    accuracy = float((model.scores(x).argmax(axis=1) == y).mean())
    if poisoned.trigger is None:
        return Effect(accuracy, None, 0)
    wanted = (y + 1) % model.classes if poisoned.target is None else np.full(len(y), poisoned.target)
    others = np.flatnonzero(wanted != y)
    if not len(others):
        return Effect(accuracy, None, 0)
    said = model.scores(poisoned.trigger(x[others])).argmax(axis=1)
    return Effect(accuracy, float((said == wanted[others]).mean()), len(others))


@dataclass(frozen=True, slots=True)
class BeforeAfter:
    """What models trained on poisoned and on repaired rows do."""

    before: Effect
    after: Effect

    @property
    def loss(self) -> float:
        """Clean accuracy lost by the repair; below 0 where it was gained."""
        return self.before.accuracy - self.after.accuracy


def before_and_after(  # noqa: PLR0913, PLR0917 - two sets of rows and those that are asked
    fit: Fit, poisoned: Poisoned, repaired_x: Floats, repaired_y: Labels, x: Floats, y: Labels
) -> BeforeAfter:
    """Return the effects of the model fitted to `poisoned` and of the one fitted to the repaired rows.

    fit: trains the project's model, or a small one, in the same way each time. x, y: clean test rows.
    """
    before = effect(fit(poisoned.x, poisoned.y), x, y, poisoned)
    return BeforeAfter(before, effect(fit(repaired_x, repaired_y), x, y, poisoned))
