"""Spatial: rotate and shift a picture until it is misclassified; a black-box attack without a perturbation.

Engstrom, Tran, Tsipras, Schmidt, Madry 2019, "Exploring the Landscape of Spatial Robustness": all points of a grid
(section 4, grid search), or the worst of some random ones (worst-of-k). They show that first-order search is weak here.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, ClassVar

import numpy as np

from hauberk.attacks.attack import ATTACKS
from hauberk.attacks.draws import Draws
from hauberk.attacks.margin import BATCH, margins
from hauberk.attacks.params import Params
from hauberk.attacks.shapes import Affine
from hauberk.attacks.verdict import SearchResult
from hauberk.core.errors import InvalidInput
from hauberk.core.progress import Task
from hauberk.models.port import Floats, Labels, Model


@dataclass(frozen=True, slots=True)
class SpatialParams(Params):
    """All points of the budget's grid, or a random selection."""

    access: ClassVar[str] = "scores"
    regions: ClassVar[tuple[type[Any], ...]] = (Affine,)
    anytime: ClassVar[str] = "tries"

    tries: int = field(default=0, metadata={"help": "random points of the grid for each row; 0: the whole grid"})

    def __post_init__(self) -> None:
        if self.tries < 0:
            raise InvalidInput("expected tries >= 0.")


@ATTACKS.register(
    "spatial",
    practice="2a",
    threats=("evasion",),
    summary="turns and shifts of a picture, a grid or the worst of some (black box)",
    params=SpatialParams,
    kinds=("image",),
)
def run(  # noqa: PLR0913 - the shape of an attack
    model: Model,
    x: Floats,
    y: Labels,
    budget: Affine,
    params: SpatialParams,
    *,
    rng: np.random.Generator,
    task: Task,
) -> SearchResult:
    """Try the grid's rotations and shifts, smallest first, until the picture is misclassified.

    x: (n, channels, height, width). The distance in the verdicts is the share of the largest rotation or shift that was
    used. Answers a camera or an object that is tilted; not lens distortion or perspective. Cost: one score for each point
    of the grid for each row that is not fooled.
    """
    if x.ndim != 4:
        raise InvalidInput(f"spatial is for pictures (n, channels, height, width), found shape {x.shape}.")
    if len(budget.choices) == 1:
        raise InvalidInput(
            "0 degrees and 0 pixels: nothing may change, so there is nothing to attack. Measure clean accuracy."
        )
    tried = SearchResult(x.copy(), np.zeros(len(x), np.int64), np.zeros(len(x), np.int64))
    lowest = np.full(len(x), np.inf, np.float32)
    wanted = _wanted(Draws.of(rng, x, y), len(budget.choices), params.tries)
    for number, choice in enumerate(budget.choices):
        standing = np.flatnonzero((lowest > 0) & wanted[:, number])
        for first in range(0, len(standing), BATCH):
            rows = standing[first : first + BATCH]
            moved = budget.warp(x[rows], choice)
            margin = margins(model.scores(moved), y[rows])
            tried.queries[rows] += 1
            better = margin < lowest[rows]
            tried.x[rows[better]], lowest[rows[better]] = moved[better], margin[better]
        task.update(number / len(budget.choices), text=f"{int((lowest > 0).sum())} rows not fooled")
    return tried


def _wanted(draws: Draws, choices: int, tries: int) -> Any:  # noqa: ANN401 - (n, choices) bool
    if not tries or tries >= choices:
        return np.ones((len(draws), choices), np.bool_)
    ranks = draws.uniform((choices,)).argsort(axis=1).argsort(axis=1)
    return ranks < tries
