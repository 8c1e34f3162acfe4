"""Label search: random points of the budget with labels only; the weakest useful black-box attack.

The simplest decision-based attack: it needs no starting point, gradient or score. It tries random corners and points of
the budget, coarse patterns first, and keeps the worst of k (as Engstrom et al. 2019 do for rotations).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar

import numpy as np

from hauberk.attacks.attack import ATTACKS
from hauberk.attacks.budget import Ball, Budget, ColumnBox
from hauberk.attacks.draws import Draws
from hauberk.attacks.margin import BATCH
from hauberk.attacks.params import Params
from hauberk.attacks.verdict import SearchResult, predictions
from hauberk.core.errors import InvalidInput
from hauberk.core.progress import Task
from hauberk.core.threats import Norm
from hauberk.models.port import Floats, Labels, Model

_COARSE = (0, 1, 2, 4, 8)  # cells along a side of the pattern, used in turn; 0: each pixel is a cell


@dataclass(frozen=True, slots=True)
class LabelSearchParams(Params):
    """Each try costs one label."""

    access: ClassVar[str] = "labels"
    regions: ClassVar[tuple[type[Any], ...]] = (Ball, ColumnBox)
    norms: ClassVar[tuple[Norm, ...]] = tuple(Norm)
    campaign: ClassVar[tuple[str, ...]] = ("table",)
    trial: ClassVar[Mapping[str, Any]] = {"queries": 30}
    anytime: ClassVar[str] = "queries"

    queries: int = field(default=200, metadata={"help": "largest number of labels asked for each row"})

    def __post_init__(self) -> None:
        if self.queries < 1:
            raise InvalidInput("expected queries >= 1.")


@ATTACKS.register(
    "label-search",
    practice="2a",
    threats=("evasion",),
    summary="random points of the budget, asking for labels alone (black box)",
    params=LabelSearchParams,
)
def run(  # noqa: PLR0913 - the shape of an attack
    model: Model,
    x: Floats,
    y: Labels,
    budget: Budget,
    params: LabelSearchParams,
    *,
    rng: np.random.Generator,
    task: Task,
) -> SearchResult:
    """Try random points of the budget, at most `queries` for each row that is not fooled.

    A longer search repeats the shorter one first, so that it never finds less. Anybody can fool a row that this attack
    fools. A row that withstands it may be fooled by a search that uses the answers, such as hop-skip-jump.
    """
    draws = Draws.of(rng, x, y)
    tried = SearchResult(x.copy(), np.zeros(len(x), np.int64), np.zeros(len(x), np.int64))
    standing = np.arange(len(x))
    for query in range(params.queries):
        fell = np.zeros(len(standing), np.bool_)
        for first in range(0, len(standing), BATCH):
            part = slice(first, first + BATCH)
            rows = standing[part]
            point = _point(budget, x[rows], draws.rows(rows), query)
            fell[part] = predictions(model.scores(point)) != y[rows]
            tried.x[rows[fell[part]]] = point[fell[part]]
        tried.queries[standing] += 1
        standing = standing[~fell]
        task.update(query / params.queries, text=f"{len(standing)} rows not fooled")
        if not len(standing):
            break
    return tried


def _point(budget: Budget, x: Floats, draws: Draws, query: int) -> Floats:
    """Return an allowed point for each row: a patterned corner of the ball, or a random row of a column box."""
    if not isinstance(budget, Ball):
        return np.asarray(budget.start(x, draws.uniform(x.shape[1:], step=query)), dtype=np.float32)
    cells = _COARSE[query % len(_COARSE)] if x.ndim == 4 else 0
    shape = (x.shape[1], min(cells, x.shape[2]), min(cells, x.shape[3])) if cells else x.shape[1:]
    pattern = draws.signs(shape, step=query)
    if cells:
        across = [np.arange(side) * small // side for side, small in zip(x.shape[2:], shape[1:], strict=True)]
        pattern = pattern[:, :, across[0][:, None], across[1][None, :]]
    # A full step along random signs ends on the sphere in every norm.
    return np.asarray(budget.project(x + budget.step(pattern, 1.0), x), dtype=np.float32)
