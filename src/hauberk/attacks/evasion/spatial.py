"""Spatial: turn and shift a picture until it is read as something else; a black-box attack without a perturbation.

Engstrom, Tran, Tsipras, Schmidt, Madry 2019, "Exploring the Landscape of Spatial Robustness": every choice of a grid
(section 4, grid search), or the worst of some random ones (worst-of-k). First-order search is weak here, as they show.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, ClassVar

import numpy as np

from hauberk.attacks.attack import ATTACKS, attack
from hauberk.attacks.budget import Region
from hauberk.attacks.draws import Draws
from hauberk.attacks.margin import BATCH, margins
from hauberk.attacks.shapes import Affine
from hauberk.attacks.verdict import Found, Tried
from hauberk.core.errors import InvalidInput
from hauberk.core.progress import Quiet, Task
from hauberk.core.threats import Norm
from hauberk.models.port import Floats, Labels, Model


@dataclass(frozen=True, slots=True)
class SpatialParams:
    """All choices of the budget's grid, or some."""

    access: ClassVar[str] = "scores"
    norms: ClassVar[tuple[Norm, ...]] = ()

    tries: int = field(default=0, metadata={"help": "random choices for each row; 0: the whole grid"})

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
    budget: Region,
    params: SpatialParams,
    *,
    rng: np.random.Generator,
    task: Task,
) -> Tried:
    """Try choices, the smallest first, until a row falls. Cost: a score for each choice of each row that stands."""
    if not isinstance(budget, Affine) or x.ndim != 4:
        raise InvalidInput("spatial is for pictures with an affine budget: name degrees and pixels.")
    if len(budget.choices) == 1:
        raise InvalidInput(
            "0 degrees and 0 pixels: nothing may change, so there is nothing to attack. Count clean accuracy."
        )
    tried = Tried(x.copy(), np.zeros(len(x), np.int64), np.zeros(len(x), np.int64))
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
        task.update(number / len(budget.choices), text=f"{int((lowest > 0).sum())} rows stand")
    return tried


def _wanted(draws: Draws, choices: int, tries: int) -> Any:  # noqa: ANN401 - (n, choices) bool
    if not tries or tries >= choices:
        return np.ones((len(draws), choices), np.bool_)
    ranks = draws.uniform((choices,)).argsort(axis=1).argsort(axis=1)
    return ranks < tries


def spatial(  # noqa: PLR0913 - each is a setting of the attack
    model: Any,  # noqa: ANN401 - what `as_model` takes
    x: Floats,
    y: Labels,
    *,
    degrees: float = 30.0,
    pixels: float = 3.0,
    tries: int = 0,
    generator: np.random.Generator | int = 0,
    task: Task | None = None,
) -> Found:
    """Attack pictures by turning them up to `degrees` and shifting them up to `pixels`, asking for scores alone.

    x: (n, channels, height, width). tries: random choices of each row, 0 for the whole grid of 31 angles and 5 by 5
    shifts. The distance in the verdicts is the share of the reach that was used. Answers a camera or a sign that stands
    askew; not lens distortion or perspective.
    """
    budget = Affine(degrees, pixels)
    rng = np.random.default_rng(generator)
    return attack(run, model, x, y, budget, SpatialParams(tries), rng=rng, task=task or Quiet())
