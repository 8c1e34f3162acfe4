"""Coordinate search: a black-box attack on tables that changes one column at a time, always the one that helps most.

Greedy coordinate descent on the margin over each column's allowed values, from the row itself and from random starts.
It models a person who fills in a form and sees the score. Works on any model, including trees.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from hauberk.attacks.attack import ATTACKS
from hauberk.attacks.budget import ColumnBox
from hauberk.attacks.draws import Draws
from hauberk.attacks.margin import BATCH, margins
from hauberk.attacks.params import Params
from hauberk.attacks.verdict import SearchResult
from hauberk.core.columns import ColumnKind
from hauberk.core.errors import InvalidInput
from hauberk.core.progress import Task
from hauberk.models.port import Floats, Labels, Model


@dataclass(frozen=True, slots=True)
class CoordinateSearchParams(Params):
    """`grid` values are tried for a number, and every code for a category."""

    access: ClassVar[str] = "scores"
    regions: ClassVar[tuple[type[Any], ...]] = (ColumnBox,)
    evaluation: ClassVar[Mapping[str, Mapping[str, Any]]] = {"table": {}}
    campaign: ClassVar[tuple[str, ...]] = ("table",)

    passes: int = field(default=8, metadata={"help": "largest number of single-column changes in each start"})
    grid: int = field(default=5, metadata={"help": "values tried for a number column, including its bounds"})
    restarts: int = field(default=3, metadata={"help": "starts: the row itself, then random allowed points"})

    def __post_init__(self) -> None:
        if self.passes < 1 or self.grid < 2 or self.restarts < 1:
            raise InvalidInput("expected passes >= 1, grid >= 2 and restarts >= 1.")


@ATTACKS.register(
    "coordinate-search",
    practice="2a",
    threats=("evasion",),
    summary="greedy search over the columns that may change (black box)",
    params=CoordinateSearchParams,
    kinds=("table",),
)
def run(  # noqa: PLR0913 - the shape of an attack
    model: Model,
    x: Floats,
    y: Labels,
    budget: ColumnBox,
    params: CoordinateSearchParams,
    *,
    rng: np.random.Generator,
    task: Task,
) -> SearchResult:
    """Minimise the margin by greedy changes of single columns inside the box and its cost.

    x: (n, columns). Answers an adversary who sees scores. Does not prove that a stronger search would fail. Cost: about
    passes * restarts * (grid * numbers + categories) scores for each row that is not fooled.
    """
    draws, search = Draws.of(rng, x, y), _Search(model, budget, params)
    tried = SearchResult(x.copy(), np.zeros(len(x), np.int64), np.zeros(len(x), np.int64))
    size = max(1, BATCH * 8 // max(1, len(_values(budget, x[:1], params.grid))))
    for first in range(0, len(x), size):
        rows = slice(first, first + size)
        tried.x[rows], tried.queries[rows] = search.restarts(x[rows], y[rows], draws.rows(rows))
        task.update(min(1.0, (first + size) / len(x)))
    return tried


@dataclass(frozen=True, slots=True)
class _Search:
    """Greedy searches on one model, in one box."""

    model: Model
    box: ColumnBox
    params: CoordinateSearchParams

    def restarts(self, origin: Floats, y: Labels, draws: Draws) -> tuple[Floats, NDArray[np.int64]]:
        """Return for each row the best point of all starts, and (n,) the number of scores."""
        best, queries = origin.copy(), np.zeros(len(origin), np.int64)
        lowest = np.full(len(origin), np.inf, np.float32)
        for restart in range(self.params.restarts):
            rows = np.flatnonzero(lowest > 0)
            if not len(rows):
                break
            start = origin[rows]
            if restart:
                start = self.box.start(start, draws.rows(rows).uniform(start.shape[1:], step=restart))
            found, margin, asked = self._descend(start, origin[rows], y[rows])
            better = margin < lowest[rows]
            best[rows[better]], lowest[rows[better]] = found[better], margin[better]
            queries[rows] += asked
        return best, queries

    def _descend(self, x: Floats, origin: Floats, y: Labels) -> tuple[Floats, Floats, NDArray[np.int64]]:
        """Return points after greedy changes, their margins, and (n,) the number of scores."""
        x, queries = x.copy(), np.ones(len(x), np.int64)
        lowest = margins(self.model.scores(x), y)
        active = np.flatnonzero(lowest > 0)
        for _ in range(self.params.passes):
            if not len(active):
                break
            values = _values(self.box, origin[active], self.params.grid)
            candidates = np.stack([_with(x[active], origin[active], at, value, self.box) for at, value in values])
            scores = self.model.scores(candidates.reshape(-1, x.shape[1]))
            found = margins(scores, np.tile(y[active], len(values))).reshape(len(values), len(active))
            queries[active] += len(values)
            choice = found.argmin(axis=0)
            margin = found[choice, np.arange(len(active))]
            better = margin < lowest[active]
            rows = active[better]
            x[rows] = candidates[choice[better], np.flatnonzero(better)]
            lowest[rows] = margin[better]
            active = rows[lowest[rows] > 0]
        return x, lowest, queries


def _values(box: ColumnBox, origin: Floats, grid: int) -> list[tuple[int, Floats]]:
    """Return (column, one value for each row) for every change that is tried, including the return to the origin."""
    low, high = box.bounds(origin)
    tried: list[tuple[int, Floats]] = []
    for index, column, _ in box.movable:
        if column.kind is ColumnKind.CATEGORY:
            codes = range(len(column.categories))
            tried += [(index, np.full(len(origin), code, dtype=np.float32)) for code in codes]
        else:
            shares = np.linspace(0, 1, grid, dtype=np.float32)
            tried += [(index, low[:, index] + share * (high[:, index] - low[:, index])) for share in shares]
            tried.append((index, origin[:, index]))
    return tried


def _with(x: Floats, origin: Floats, index: int, value: Floats, box: ColumnBox) -> Floats:
    changed = x.copy()
    changed[:, index] = value
    result: Floats = np.asarray(box.project(changed, origin), dtype=np.float32)
    return result
