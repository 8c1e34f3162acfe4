"""Label search: random points of the budget, asked for their labels alone; the least that an adversary can do.

The simplest decision-based attack, and the one that needs no start, no slope and no score: random corners and points of
what is allowed, coarse patterns first, as the worst of k (Engstrom et al. 2019 call it so for turns). What falls to it
falls to anybody; what stands may still fall to a search that learns from the answers, such as hop-skip-jump.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, ClassVar, Unpack

import numpy as np

from hauberk.attacks.attack import ATTACKS, Common, attack_ball
from hauberk.attacks.budget import Ball, Budget
from hauberk.attacks.draws import Draws
from hauberk.attacks.margin import BATCH
from hauberk.attacks.verdict import Found, Tried, predictions
from hauberk.core.errors import InvalidInput
from hauberk.core.progress import Task
from hauberk.core.threats import Norm
from hauberk.models.port import Floats, Labels, Model

_COARSE = (0, 1, 2, 4, 8)  # cells on a side of a pattern, in turn; 0: every pixel its own


@dataclass(frozen=True, slots=True)
class LabelSearchParams:
    """One label for each try."""

    access: ClassVar[str] = "labels"
    norms: ClassVar[tuple[Norm, ...]] = tuple(Norm)

    queries: int = field(default=200, metadata={"help": "labels asked for each row, at most"})

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
) -> Tried:
    """Try a random point of each row that stands, `queries` times at most; a longer search finds what a shorter one did."""
    draws = Draws.of(rng, x, y)
    tried = Tried(x.copy(), np.zeros(len(x), np.int64), np.zeros(len(x), np.int64))
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
        task.update(query / params.queries, text=f"{len(standing)} rows stand")
        if not len(standing):
            break
    return tried


def label_search(  # noqa: PLR0913 - each is a setting of the attack
    model: Any,  # noqa: ANN401 - what `as_model` takes
    x: Floats,
    y: Labels,
    *,
    norm: str,
    eps: float,
    queries: int = 200,
    **rest: Unpack[Common],
) -> Found:
    """Attack by random points of a ball, asking for labels alone. model, x, y, rest: as `evasion.pgd`."""
    return attack_ball(run, model, x, y, LabelSearchParams(queries), norm=norm, eps=eps, **rest)


def _point(budget: Budget, x: Floats, draws: Draws, query: int) -> Floats:
    """Return an allowed point for each row: a corner of the ball in a pattern, or for a table a random row of the box."""
    if not isinstance(budget, Ball):
        return np.asarray(budget.start(x, draws.uniform(x.shape[1:], step=query)), dtype=np.float32)
    cells = _COARSE[query % len(_COARSE)] if x.ndim == 4 else 0
    shape = (x.shape[1], min(cells, x.shape[2]), min(cells, x.shape[3])) if cells else x.shape[1:]
    pattern = draws.signs(shape, step=query)
    if cells:
        across = [np.arange(side) * small // side for side, small in zip(x.shape[2:], shape[1:], strict=True)]
        pattern = pattern[:, :, across[0][:, None], across[1][None, :]]
    # A step of the whole radius along signs ends at the rim in every norm.
    return np.asarray(budget.project(x + budget.step(pattern, 1.0), x), dtype=np.float32)
