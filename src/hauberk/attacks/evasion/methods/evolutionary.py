"""Evolutionary search: a black-box attack on tables that breeds valid rows until one fools the model.

A genetic search as in MoEvA (Simonetto, Dyrmishi, Ghamizi, Cordy, Le Traon 2022, "A Unified Framework for Adversarial
Attack and Defense in Constrained Feature Space", section 4.2), for models that return scores only, such as trees and
services. It changes several columns at once, which a search column by column cannot do. MoEvA treats broken constraints
as one of three objectives; here every child is repaired, so that margin and cost remain as objectives.
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
from hauberk.attacks.evasion.methods._trim import trim
from hauberk.attacks.margin import margins
from hauberk.attacks.params import Params
from hauberk.attacks.verdict import SearchResult
from hauberk.core.columns import ColumnKind
from hauberk.core.errors import InvalidInput
from hauberk.core.progress import Task
from hauberk.models.port import Floats, Labels, Model

_ROWS = 1 << 14  # individuals of one block, so that a generation is a few array operations
_NEAR = 0.1  # size of a small mutation, as a share of the column's range


@dataclass(frozen=True, slots=True)
class EvolutionaryParams(Params):
    """Each attacked row has its own population."""

    access: ClassVar[str] = "scores"
    regions: ClassVar[tuple[type[Any], ...]] = (ColumnBox,)
    evaluation: ClassVar[Mapping[str, Mapping[str, Any]]] = {"table": {"generations": 20}}
    campaign: ClassVar[tuple[str, ...]] = ("table",)
    trial: ClassVar[Mapping[str, Any]] = {"generations": 6, "population": 10}

    generations: int = field(default=50, metadata={"help": "largest number of generations"})
    population: int = field(default=40, metadata={"help": "size of the population of each attacked row"})
    trim: bool = field(default=True, metadata={"help": "undo each change that the success does not need"})

    def __post_init__(self) -> None:
        if self.generations < 1 or self.population < 4:
            raise InvalidInput("expected generations >= 1 and population >= 4.")


@ATTACKS.register(
    "evolutionary",
    practice="2a",
    threats=("evasion",),
    summary="genetic search over valid rows, for trees and services (black box)",
    params=EvolutionaryParams,
    kinds=("table",),
)
def run(  # noqa: PLR0913 - the shape of an attack
    model: Model,
    x: Floats,
    y: Labels,
    budget: ColumnBox,
    params: EvolutionaryParams,
    *,
    rng: np.random.Generator,
    task: Task,
) -> SearchResult:
    """Breed rows inside a column box until one fools the model.

    x: (n, columns). Every returned row keeps the box's types, ranges, relations and cost. Answers an adversary who sees
    scores and may change several columns. A row that is not fooled may be fooled by a longer search. Cost: at most
    population * (generations + 1) scores for each row.
    """
    tried = SearchResult(x.copy(), np.zeros(len(x), np.int64), np.zeros(len(x), np.int64))
    if not budget.movable:
        return tried
    draws, size = Draws.of(rng, x, y), max(1, _ROWS // params.population)
    for first in range(0, len(x), size):
        rows = np.arange(first, min(first + size, len(x)))
        herd = _Herd(model, x[rows], y[rows], budget, params, draws.rows(rows))
        for generation in range(params.generations + 1):
            if not len(herd.here):
                break
            herd.breed(generation)
            done = (first + len(rows) * generation / params.generations) / len(x)
            task.update(min(1.0, done), text=f"{len(herd.here)} rows not fooled")
        tried.x[rows], tried.queries[rows] = herd.best, herd.queries
        fell = rows[herd.lowest < 0]
        if params.trim and len(fell):
            tried.x[fell], asked = trim(model, tried.x[fell], x[fell], y[fell], budget)
            tried.queries[fell] += asked
    return tried


class _Herd:
    """The populations of a block of rows; a row leaves when it is fooled.

    best: for each row, the individual of lowest margin, or the cheapest one that fools. lowest: its margin. here: indices
    of the rows that are not fooled yet.
    """

    def __init__(  # noqa: PLR0913, PLR0917 - rows and the settings of a search
        self, model: Model, origin: Floats, y: Labels, box: ColumnBox, params: EvolutionaryParams, draws: Draws
    ) -> None:
        self._model, self._box, self._params, self._draws = model, box, params, draws
        self._origin, self._y = origin, y
        self._genes = _Genes.of(box, origin)
        self.best, self.lowest = origin.copy(), np.full(len(origin), np.inf, np.float32)
        self.queries = np.zeros(len(origin), np.int64)
        self.here = np.arange(len(origin))
        self._herd = np.zeros((len(origin), 0, origin.shape[1]), np.float32)
        self._margin = np.zeros((len(origin), 0), np.float32)
        self._cost = np.zeros((len(origin), 0), np.float64)

    def breed(self, generation: int) -> None:
        """Create one generation (generation 0 from scratch) and keep the fitter half of all individuals."""
        children = self._first() if generation == 0 else self._children(generation)
        here, size, width = self.here, self._params.population, self._origin.shape[1]
        origin = np.repeat(self._origin[here], size, axis=0)
        flat = np.asarray(self._box.project(children.reshape(-1, width), origin), dtype=np.float32)
        margin = margins(self._model.scores(flat), np.repeat(self._y[here], size)).reshape(-1, size)
        cost = self._box.price(flat, origin).reshape(-1, size)
        self.queries[here] += size
        herd = np.concatenate([self._herd, flat.reshape(-1, size, width)], axis=1)
        self._select(
            herd, np.concatenate([self._margin, margin], axis=1), np.concatenate([self._cost, cost], axis=1)
        )

    def _first(self) -> Floats:
        """Return the first generation: half random points of the box, half with one or two columns at an end of the range."""
        size, genes, draws = self._params.population, self._genes, self._draws
        shape = (size, len(genes.places))
        point, change = draws.uniform(shape, step=1), draws.uniform(shape, step=2)
        few = np.minimum(1.0, 1.5 / len(genes.places))
        changed = (change < few) | (np.arange(size)[:, None] % 2 == 0)
        ends = np.where(np.arange(size)[:, None] % 2 == 0, point, np.round(point))
        herd = np.repeat(self._origin[:, None], size, axis=1)
        herd[:, :, genes.places] = np.where(changed, genes.at(ends, point), herd[:, :, genes.places])
        return herd

    def _children(self, generation: int) -> Floats:
        """Cross the winners of two tournaments gene by gene, and mutate one or two genes of each child."""
        size, genes, here = self._params.population, self._genes.rows(self.here), self.here
        draws, step = self._draws.rows(here), 4 * generation
        entrants = (draws.uniform((4, size), step=step) * self._herd.shape[1]).astype(np.int64)
        # The population is sorted, fittest first: the lower index wins.
        parents = [entrants[:, :2].min(axis=1), entrants[:, 2:].min(axis=1)]
        mother, father = (np.take_along_axis(self._herd, p[:, :, None], axis=1) for p in parents)
        shape = (size, len(genes.places))
        side, kind, point = (draws.uniform(shape, step=step + offset) for offset in (1, 2, 3))
        child = mother.copy()
        bred = np.where(side < 0.5, mother[:, :, genes.places], father[:, :, genes.places])
        # One draw decides whether a gene mutates and how.
        rate = min(0.5, 1.5 / shape[1])
        way = np.floor(kind / rate * 4)
        near = np.clip(bred + (2 * point - 1) * _NEAR * (genes.high - genes.low), genes.low, genes.high)
        near = np.where(genes.category, genes.at(point, point), near)
        home = np.broadcast_to(self._origin[here][:, None, genes.places], bred.shape)
        ways = [genes.at(point, point), genes.at(np.round(point), point), near, home]
        child[:, :, genes.places] = np.select([way == number for number in range(4)], ways, default=bred)
        return child

    def _select(self, herd: Floats, margin: Floats, cost: NDArray[np.float64]) -> None:
        size, here = self._params.population, self.here
        # Fooling individuals come first, ordered by cost; the others follow by margin.
        by_margin = np.lexsort((cost, np.where(margin < 0, -np.inf, margin)), axis=1)
        leader = by_margin[:, 0]
        rows = np.arange(len(here))
        better = (margin[rows, leader] < self.lowest[here]) | (margin[rows, leader] < 0)
        self.best[here[better]] = herd[rows, leader][better]
        self.lowest[here[better]] = margin[rows, leader][better]
        order = _survivors(herd, cost, by_margin, size)
        stands = self.lowest[here] >= 0
        pick = order[stands]
        self._herd = np.take_along_axis(herd[stands], pick[:, :, None], axis=1)
        self._margin = np.take_along_axis(margin[stands], pick, axis=1)
        self._cost = np.take_along_axis(cost[stands], pick, axis=1)
        self.here = here[stands]


def _survivors(herd: Floats, cost: NDArray[np.float64], by_margin: NDArray[np.intp], size: int) -> NDArray[np.intp]:
    """Return (rows, size) indices of survivors: half by lowest margin, half by margin and cost together.

    Cheap individuals are kept because they leave budget for other changes. A duplicate is kept once.
    """
    ranks = np.argsort(by_margin, axis=1, kind="stable").astype(np.float64)
    again = _copies(herd, by_margin)
    ranks[again] += 2 * size
    cheap = np.argsort(np.argsort(cost, axis=1, kind="stable"), axis=1, kind="stable")
    places = np.argsort(ranks, axis=1, kind="stable")[:, : size // 2]
    both = ranks + cheap
    np.put_along_axis(both, places, -1.0, axis=1)  # selected already: they come first, in their own order
    order = np.argsort(both, axis=1, kind="stable")[:, :size]
    kept = np.take_along_axis(ranks, order, axis=1)
    return np.take_along_axis(order, np.argsort(kept, axis=1, kind="stable"), axis=1)


def _copies(herd: Floats, order: NDArray[np.intp]) -> NDArray[np.bool_]:
    """Return (rows, individuals): whether an individual with the same values comes earlier in `order`."""
    # Equal individuals have equal digests; a chance collision only drops one individual.
    weights = np.random.default_rng(0).normal(size=herd.shape[2])
    digest = np.take_along_axis(herd.astype(np.float64) @ weights, order, axis=1)
    ordered = np.argsort(digest, axis=1, kind="stable")
    sorted_ = np.take_along_axis(digest, ordered, axis=1)
    same = np.zeros(digest.shape, np.bool_)
    np.put_along_axis(same, ordered[:, 1:], sorted_[:, 1:] == sorted_[:, :-1], axis=1)
    result = np.zeros(digest.shape, np.bool_)
    np.put_along_axis(result, order, same, axis=1)
    return result


@dataclass(frozen=True, slots=True)
class _Genes:
    """The columns that may change: their indices (m,) and the ends of their ranges, (rows, 1, m)."""

    places: NDArray[np.int64]
    low: Floats
    high: Floats
    category: NDArray[np.bool_]
    codes: NDArray[np.int64]

    @classmethod
    def of(cls, box: ColumnBox, origin: Floats) -> _Genes:
        places = np.array([index for index, _, _ in box.movable], dtype=np.int64)
        category = np.array([column.kind is ColumnKind.CATEGORY for _, column, _ in box.movable], dtype=np.bool_)
        codes = np.array([max(1, len(column.categories)) for _, column, _ in box.movable], dtype=np.int64)
        low, high = box.bounds(origin)
        return cls(places, low[:, None, places], high[:, None, places], category, codes)

    def rows(self, rows: NDArray[np.intp]) -> _Genes:
        return _Genes(self.places, self.low[rows], self.high[rows], self.category, self.codes)

    def at(self, share: Floats, point: Floats) -> Floats:
        """Return the value at a share of each number's range; for a category, the code that `point` selects."""
        number = self.low + share * (self.high - self.low)
        return np.asarray(np.where(self.category, np.floor(point * self.codes), number), dtype=np.float32)
