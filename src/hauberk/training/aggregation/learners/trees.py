"""Trees: a small forest of extremely randomised trees on the encoded table; fast, and accurate with few rows."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from hauberk.core.control import seed_of
from hauberk.core.errors import InvalidInput
from hauberk.core.extras import need
from hauberk.core.progress import Task
from hauberk.models import encoding
from hauberk.models.port import Floats, Labels
from hauberk.training.aggregation.learners import LEARNERS, Lesson, Predict


@dataclass(frozen=True, slots=True)
class Params:
    """trees: number of trees for one part. leaf: minimum number of rows in a leaf."""

    trees: int = field(default=20, metadata={"help": "trees in the forest of one part"})
    leaf: int = field(default=2, metadata={"help": "minimum number of rows in a leaf"})

    def __post_init__(self) -> None:
        if self.trees < 1 or self.leaf < 1:
            raise InvalidInput(f"expected trees >= 1 and leaf >= 1, found {self.trees} and {self.leaf}.")


@LEARNERS.register(
    "trees",
    practice="2a",
    threats=("poisoning",),
    summary="small forests that vote, for certificates against poison",
    params=Params,
    kinds=("table",),
)
def trees(lesson: Lesson, params: Params, *, rng: np.random.Generator, task: Task) -> Predict:
    """Return the function that predicts."""
    del task  # quick
    spec, x, y = lesson.spec, lesson.x, lesson.y
    encode = encoding.fit(spec, x)
    forest = need("sklearn.ensemble").ExtraTreesClassifier(
        params.trees, min_samples_leaf=params.leaf, random_state=seed_of(rng), n_jobs=1
    )
    forest.fit(encode(x), y)

    def predict(asked: Floats) -> Labels:
        labels: Labels = forest.predict(encode(asked))
        return labels

    return predict
