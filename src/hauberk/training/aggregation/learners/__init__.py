"""Learners: what the models of an aggregation learn with, one file each, found by name.

A learner is made from its params and is then `learn(spec, x, y, seed) -> predict`; `predict(x)` returns (n,) class
indices. The proof asks that it is a pure function of its arguments. `from_builder` makes one of the team's own builder.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

from hauberk.core.registry import Registry
from hauberk.models.port import Floats, Labels
from hauberk.models.spec import Spec
from hauberk.training.options import Options

Predict = Callable[[Floats], Labels]


class Learn(Protocol):
    """Learns from rows x (n, *spec.shape) with labels y in [0, spec.classes), every class present."""

    def __call__(self, spec: Spec, x: Floats, y: Labels, seed: int) -> Predict:
        """Return the function that predicts."""


LEARNERS: Registry[Callable[[Any], Learn]] = Registry("base learner", "hauberk.training.aggregation.learners")


def from_builder(build: Callable[..., Any], *, options: Options | None = None) -> Learn:
    """Return the learner that trains what `build(spec)` returns, a torch module or an estimator, on the CPU.

    The builder is called once for each part, with the part's own spec: fewer classes and categories may be there.
    """

    def learn(spec: Spec, x: Floats, y: Labels, seed: int) -> Predict:
        import numpy as np

        from hauberk.training import fitting

        model = fitting.train(build, spec, x, y, options=options, seed=seed, device="cpu").model
        return lambda asked: np.asarray(model.scores(asked).argmax(axis=1))

    return learn
