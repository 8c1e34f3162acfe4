"""Logistic: logistic regression on the encoded table, or on the pixels of pictures."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import numpy as np

from hauberk.core.control import seed_of
from hauberk.core.errors import InvalidInput
from hauberk.core.extras import need
from hauberk.core.progress import Task
from hauberk.models import encoding
from hauberk.models.port import Floats, Labels
from hauberk.models.sklearn_model import features
from hauberk.training.aggregation.learners import LEARNERS, Lesson, Predict

_ITERATIONS = 5000  # L-BFGS converges long before; scikit-learn warns if it does not


@dataclass(frozen=True, slots=True)
class Params:
    """strength: inverse strength of the L2 penalty (scikit-learn's C), above 0."""

    strength: float = field(default=0.1, metadata={"help": "inverse strength of the L2 penalty (scikit-learn's C)"})

    def __post_init__(self) -> None:
        if not (math.isfinite(self.strength) and self.strength > 0):
            raise InvalidInput(f"strength must be above 0, found {self.strength}.")


@LEARNERS.register(
    "logistic",
    practice="2a",
    threats=("poisoning",),
    summary="logistic regressions that vote, for certificates against poison",
    params=Params,
    kinds=("table", "image"),
)
def logistic(lesson: Lesson, params: Params, *, rng: np.random.Generator, task: Task) -> Predict:
    """Return the function that predicts."""
    del task  # quick
    spec, x, y = lesson.spec, lesson.x, lesson.y
    encode = encoding.fit(spec, x) if spec.kind == "table" else None
    model = need("sklearn.linear_model").LogisticRegression(
        C=params.strength, max_iter=_ITERATIONS, random_state=seed_of(rng)
    )
    model.fit(features(x, encode), y)

    def predict(asked: Floats) -> Labels:
        labels: Labels = model.predict(features(asked, encode))
        return labels

    return predict
