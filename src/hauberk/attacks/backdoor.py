"""Backdoor: measures how much of a poison's effect a model has learned, so that a repair can be judged by attack.

`effect` measures one trained model; `before_and_after` trains on poisoned and on repaired rows with the caller's `fit` and
measures both. Any object with scores is a model here.
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
    """Accuracy and attack success of one model.

    accuracy: on clean test rows, in [0, 1]. success: share of triggered test rows of other classes that are predicted as
    the adversary's class, in [0, 1]; None if the poison has no trigger. asked: number of triggered rows.
    """

    accuracy: float
    success: float | None
    asked: int


def effect(model: Model, x: Floats, y: Labels, poisoned: Poisoned) -> Effect:
    """Return the model's accuracy on clean test rows and the attack's success on the same rows with the trigger.

    x, y: test rows that the poisoner never saw. `success` excludes rows of the target class, which are classified as such
    without a trigger. For all-to-all poison, the adversary's class is the one after the row's own. Raises InvalidInput for
    no rows, and for rows and labels of different numbers.
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
    predicted = model.scores(poisoned.trigger(x[others])).argmax(axis=1)
    return Effect(accuracy, float((predicted == wanted[others]).mean()), len(others))


@dataclass(frozen=True, slots=True)
class BeforeAfter:
    """The effects of models trained on poisoned and on repaired rows."""

    before: Effect
    after: Effect

    @property
    def loss(self) -> float:
        """Clean accuracy lost by the repair; negative if the repair raised it."""
        return self.before.accuracy - self.after.accuracy


def before_and_after(  # noqa: PLR0913, PLR0917 - two sets of training rows and the test rows
    fit: Fit, poisoned: Poisoned, repaired_x: Floats, repaired_y: Labels, x: Floats, y: Labels
) -> BeforeAfter:
    """Return the effects of the model fitted to `poisoned` and of the one fitted to the repaired rows.

    fit: trains a model in the same way each time. x, y: clean test rows.
    """
    before = effect(fit(poisoned.x, poisoned.y), x, y, poisoned)
    return BeforeAfter(before, effect(fit(repaired_x, repaired_y), x, y, poisoned))
