"""Evasion: attacks on a model's input at prediction time, one file each, found by name in `ATTACKS`."""

from __future__ import annotations

from typing import Any, Protocol

import numpy as np

from hauberk.attacks.budget import Budget
from hauberk.attacks.model import Floats, Labels, Model
from hauberk.core.progress import Task
from hauberk.core.registry import Registry


class Attack(Protocol):
    """Looks for an allowed input that is not classified as `y`."""

    def __call__(  # noqa: PLR0913 - model, inputs, what is allowed, how hard to try
        self,
        model: Model,
        x: Floats,
        y: Labels,
        budget: Budget,
        params: Any,  # noqa: ANN401 - the attack's own params
        *,
        rng: np.random.Generator,
        task: Task,
    ) -> Floats:
        """Return inputs like `x`, each allowed by `budget`; a row that was not fooled is its best attempt."""


ATTACKS: Registry[Attack] = Registry("attack", "hauberk.attacks.evasion")
