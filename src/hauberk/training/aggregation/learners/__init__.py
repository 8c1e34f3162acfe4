"""Learners: how the models of an aggregation are trained, one file each, registered by name.

A learner is `run(lesson, params, *, rng, task) -> predict`; `predict(x)` returns (n,) class indices. The certificate requires
that it is a pure function of its arguments. `from_builder` returns a learner for the team's own builder.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeAlias

from hauberk.core.control import Algorithm, seed_of
from hauberk.core.registry import Registry
from hauberk.models.port import Floats, Labels
from hauberk.models.spec import Spec
from hauberk.training.options import Options

Predict: TypeAlias = Callable[[Floats], Labels]


@dataclass(frozen=True, slots=True, eq=False)
class Lesson:
    """The training rows of one model: x (n, *spec.shape) with labels y (n,) in [0, spec.classes), every class present."""

    spec: Spec
    x: Floats
    y: Labels


Learn: TypeAlias = Algorithm[Lesson, Predict]

LEARNERS: Registry[Learn] = Registry("base learner", "hauberk.training.aggregation.learners")


def from_builder(build: Callable[..., Any], *, options: Options | None = None) -> Learn:
    """Return the learner that trains what `build(spec)` returns, a torch module or an estimator, on the CPU.

    The builder is called once for each part, with the part's own spec, which may have fewer classes and categories. The
    learner has no params.
    """

    def learn(lesson: Lesson, params: Any, *, rng: Any, task: Any) -> Predict:  # noqa: ANN401 - as `Algorithm`
        import numpy as np

        from hauberk.training import fitting

        del params, task
        spec, x, y = lesson.spec, lesson.x, lesson.y
        model = fitting.train(build, spec, x, y, options=options, seed=seed_of(rng), device="cpu").model
        return lambda asked: np.asarray(model.scores(asked).argmax(axis=1))

    return learn
