"""CAPGD: gradient ascent on tables with an adaptive step, inside types, ranges, costs and relations.

Simonetto, Ghamizi, Cordy 2024, "Constrained Adaptive Attack: Effective Adversarial Attack Against Deep Neural Networks
for Tabular Data", section 4.1: APGD's momentum and step halving (Croce and Hein 2020, algorithm 1) with a repair at
every step, from the row itself and from random starts. Two things differ. Categories have no gradient here; between two
ascents they are chosen by trying every code of one column after the other. If changes have a cost, two of three starts
step towards the corner of the budget in the gradient's direction, which spends the cost where a unit of it gains most
(Frank and Wolfe 1956); a step of all columns at once spends most of the cost on columns that hardly matter.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from hauberk.attacks.attack import ATTACKS
from hauberk.attacks.budget import ColumnBox
from hauberk.attacks.draws import Draws
from hauberk.attacks.evasion.methods import _losses
from hauberk.attacks.evasion.methods._slope import look, on, slope
from hauberk.attacks.evasion.methods._trim import trim
from hauberk.attacks.params import Params
from hauberk.attacks.verdict import SearchResult
from hauberk.core.columns import ColumnKind
from hauberk.core.errors import InvalidInput
from hauberk.core.progress import Task
from hauberk.models.port import Differentiable, Floats, Labels

if TYPE_CHECKING:
    from torch import Tensor

_ROWS = 256  # rows of one ascent
_MOMENTUM = 0.75  # share of the new direction, as APGD's alpha
_PROGRESS = 0.75  # the step is halved if a smaller share of steps raised the loss; APGD's rho


@dataclass(frozen=True, slots=True)
class CapgdParams(Params):
    """The step size starts at twice the radius and is halved whenever the loss stops rising."""

    access: ClassVar[str] = "gradients"
    regions: ClassVar[tuple[type[Any], ...]] = (ColumnBox,)
    evaluation: ClassVar[Mapping[str, Mapping[str, Any]]] = {"table": {}}
    campaign: ClassVar[tuple[str, ...]] = ("table",)
    trial: ClassVar[Mapping[str, Any]] = {"steps": 12}

    steps: int = field(default=40, metadata={"help": "gradient steps of each start"})
    restarts: int = field(default=3, metadata={"help": "starts: the row itself twice, then random allowed points"})
    trim: bool = field(default=True, metadata={"help": "undo each change that the success does not need"})

    def __post_init__(self) -> None:
        if self.steps < 4 or self.restarts < 1:
            raise InvalidInput("expected steps >= 4 and restarts >= 1.")


@ATTACKS.register(
    "capgd",
    practice="2a",
    threats=("evasion",),
    summary="constrained adaptive gradient ascent on tables (white box)",
    params=CapgdParams,
    kinds=("table",),
)
def run(  # noqa: PLR0913 - the shape of an attack
    model: Differentiable,
    x: Floats,
    y: Labels,
    budget: ColumnBox,
    params: CapgdParams,
    *,
    rng: np.random.Generator,
    task: Task,
) -> SearchResult:
    """Maximise the margin inside a column box by constrained, adaptive gradient ascent.

    x: (n, columns). Every returned row keeps the box's types, ranges, relations and cost. Answers an adversary who knows a
    differentiable model. For trees, and to detect masked gradients, use `evolutionary`. Cost: for each row that is not
    fooled, restarts * (steps gradients + two scores for each category).
    """
    draws = Draws.of(rng, x, y)
    tried = SearchResult(x.copy(), np.zeros(len(x), np.int64), np.zeros(len(x), np.int64))
    highest = np.full(len(x), -np.inf, np.float32)
    for restart in range(params.restarts):
        standing = np.flatnonzero(highest <= 0)
        for first in range(0, len(standing), _ROWS):
            rows = standing[first : first + _ROWS]
            start = x[rows]
            if restart > 1:
                start = budget.start(start, draws.rows(rows).uniform(x.shape[1:], step=restart))
            climb = _Climb(model, start, x[rows], y[rows], budget, sparse=restart % 3 != 2)
            climb.go(params.steps, numbers_first=restart % 2 == 1)
            found, loss = climb.best.cpu().numpy(), climb.highest.cpu().numpy()
            better = loss > highest[rows]
            tried.x[rows[better]], highest[rows[better]] = found[better], loss[better]
            tried.queries[rows] += climb.queries.cpu().numpy()
            tried.gradients[rows] += climb.gradients.cpu().numpy()
            task.update(
                (restart + first / len(standing)) / params.restarts, text=f"{len(standing)} rows not fooled"
            )
    fell = np.flatnonzero(highest > 0)
    if params.trim and len(fell):
        tried.x[fell], asked = trim(model, tried.x[fell], x[fell], y[fell], budget)
        tried.queries[fell] += asked
    return tried


class _Climb:
    """The ascent of one batch from one start; fooled rows stop moving.

    best: (n, d) valid rows of the highest margin so far. highest: that margin, the best wrong class minus the label; above
    0 for fooled rows. queries, gradients: number of requests for each row.
    """

    def __init__(  # noqa: PLR0913 - rows and the state of one ascent
        self, model: Differentiable, start: Floats, origin: Floats, y: Labels, box: ColumnBox, *, sparse: bool
    ) -> None:
        import torch

        self._model, self._box = model, box
        self._origin, self._y = on(model, origin), on(model, y)
        self._prices = on(model, box.prices)
        self._category = on(model, np.array([column.kind is ColumnKind.CATEGORY for column in box.columns]))
        self._sparse = sparse and box.cost > 0
        self.best = on(model, start)
        self.highest = torch.full((len(start),), -torch.inf, device=model.device)
        self.queries = torch.zeros(len(start), dtype=torch.int64, device=model.device)
        self.gradients = torch.zeros_like(self.queries)

    def go(self, steps: int, *, numbers_first: bool) -> None:
        """Choose categories, ascend for half of the steps, and repeat; with `numbers_first`, ascend before the first choice."""
        if numbers_first:
            self._ascend(steps // 3)
            steps -= steps // 3
        for half in (steps // 2, steps - steps // 2):
            self._choose()
            self._ascend(half)

    def _choose(self) -> None:
        """Set each category column in turn to the code of the highest margin."""
        for index, column, _ in self._box.movable:
            if column.kind is not ColumnKind.CATEGORY:
                continue
            for code in range(len(column.categories)):
                rows = (self.highest <= 0).nonzero()[:, 0]
                if not len(rows):
                    return
                tried = self.best[rows]
                tried[:, index] = code
                tried = self._box.project(tried, self._origin[rows])
                self.queries[rows] += 1
                self._take(rows, tried, _losses.margin(look(self._model, tried), self._y[rows], None))

    def _take(self, rows: Tensor, x: Tensor, loss: Tensor) -> Tensor:
        """Keep points with a higher margin; return (rows,) bool, the rows that improved."""
        loss = loss.nan_to_num(nan=float("inf"))
        better = loss > self.highest[rows]
        self.best[rows[better]], self.highest[rows[better]] = x[better], loss[better]
        return better

    def _ascend(self, steps: int) -> None:
        import torch

        rows = (self.highest <= 0).nonzero()[:, 0]
        x, before = self.best[rows].clone(), self.best[rows].clone()
        size = torch.full((len(rows), 1), 1.0 if self._sparse else 2.0, device=x.device)
        rises = torch.zeros(len(rows), device=x.device)
        checks, last = _checkpoints(steps), 0
        halved = torch.ones(len(rows), dtype=torch.bool, device=x.device)
        seen = self.highest[rows].clone()
        for step in range(steps):
            if not len(rows):
                return
            valid = self._box.project(x, self._origin[rows])
            at = slope(self._model, valid, _losses.margin, self._y[rows])
            self.gradients[rows] += 1
            rises += self._take(rows, valid, at.loss)
            if step in checks:
                # APGD's two conditions: too few steps raised the loss, or step size and best loss have not changed since.
                slow = rises < _PROGRESS * (step - last)
                stuck = ~halved & (self.highest[rows] <= seen)
                halved = slow | stuck
                size = torch.where(halved[:, None], size / 2, size)
                x = torch.where(halved[:, None], self.best[rows], x)
                before = torch.where(halved[:, None], x, before)
                rises, last, seen = torch.zeros_like(rises), step, self.highest[rows].clone()
            way = self._corner(at.gradient, rows, x) - x if self._sparse else self._box.step(at.gradient, 1.0)
            moved = self._box.project(x + way * size, self._origin[rows], whole=False)
            after = x + _MOMENTUM * (moved - x) + (1 - _MOMENTUM) * (x - before) if step else moved
            before, x = x, self._box.project(after, self._origin[rows], whole=False)
            up = self.highest[rows] <= 0
            if not bool(up.all()):
                rows, x, before, size, rises = rows[up], x[up], before[up], size[up], rises[up]
                halved, seen = halved[up], seen[up]

    def _corner(self, gradient: Tensor, rows: Tensor, x: Tensor) -> Tensor:
        """Return the corner of the budget that lies furthest along the gradient; categories do not change."""
        import torch

        origin, gradient = self._origin[rows], self._box.carried(gradient)
        low, high = self._box.bounds(origin)
        room = torch.where(gradient > 0, high - origin, low - origin)
        left = self._box.cost - (self._prices * self._category * (x != origin)).sum(1, keepdim=True)
        # Order columns by gain per unit of cost, free ones first; move each as far as the remaining cost allows.
        gain = torch.where(self._prices > 0, gradient.abs() / self._prices.clamp_min(1e-12), torch.inf)
        order = gain.masked_fill(room == 0, -1.0).argsort(dim=1, descending=True, stable=True)
        bill = (self._prices * room.abs()).masked_fill(self._category, 0.0).gather(1, order)
        before = bill.cumsum(1) - bill
        paid = ((left - before) / bill.clamp_min(1e-12)).clamp(0, 1)
        paid = torch.where(bill > 0, paid, 1.0)
        share = torch.empty_like(paid).scatter(1, order, paid)
        return torch.where(self._category, x, origin + room * share)


def _checkpoints(steps: int) -> set[int]:
    """Return the steps at which progress is checked (Croce and Hein 2020, section 3.1)."""
    shares = [0.0, 0.22]
    while shares[-1] < 1:
        shares.append(shares[-1] + max(shares[-1] - shares[-2] - 0.03, 0.06))
    return {int(np.ceil(share * steps)) for share in shares[1:]}
