"""HopSkipJump: a black-box attack on images that asks for labels only and moves along the decision boundary.

Chen, Jordan, Wainwright 2020, "HopSkipJumpAttack: A Query-Efficient Decision-Based Attack", algorithm 2, L2 and L-inf.
All rows move in parallel, so that the model is asked in large batches; each row has its own random numbers and its own
count of queries, which never exceeds the limit. Three differences: directions are random signs; if uniform noise finds no
start, coarser patterns are tried; and a row without a start counts as not fooled instead of raising an error.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from hauberk.attacks.attack import ATTACKS
from hauberk.attacks.budget import Ball
from hauberk.attacks.draws import Draws
from hauberk.attacks.params import Params
from hauberk.attacks.verdict import SearchResult, predictions
from hauberk.core.errors import InvalidInput
from hauberk.core.progress import Task
from hauberk.core.threats import Norm
from hauberk.models.port import Floats, Labels, Model

Rows = NDArray[np.intp]
Flags = NDArray[np.bool_]

_CHUNK = 32  # directions drawn at once for each row; changing it changes the random streams and so the results
_VALUES = 1 << 22  # input values in one request to the model
_RESERVE = 20  # queries that a row reserves for the step and the binary search after an estimate
_HALVINGS = 25  # largest number of times that a step is halved


@dataclass(frozen=True, slots=True)
class HopSkipJumpParams(Params):
    """`directions` grows with the square root of the iteration, as in the paper."""

    access: ClassVar[str] = "labels"
    norms: ClassVar[tuple[Norm, ...]] = (Norm.L2, Norm.LINF)
    minimal: ClassVar[bool] = True
    campaign: ClassVar[tuple[str, ...]] = ("image",)
    trial: ClassVar[Mapping[str, Any]] = {"queries": 150, "directions": 20}

    queries: int = field(default=1000, metadata={"help": "largest number of labels asked for each row"})
    directions: int = field(default=100, metadata={"help": "directions of the first estimate of the boundary"})
    tries: int = field(default=100, metadata={"help": "largest number of random images tried as a start"})

    def __post_init__(self) -> None:
        if self.queries < 1 or self.directions < 2 or self.tries < 1:
            raise InvalidInput("expected queries >= 1, directions >= 2 and tries >= 1.")


@ATTACKS.register(
    "hop-skip-jump",
    practice="2a",
    threats=("evasion",),
    summary="walk along the decision boundary, asking for labels alone (black box)",
    params=HopSkipJumpParams,
    kinds=("image",),
)
def run(  # noqa: PLR0913 - the shape of an attack
    model: Model,
    x: Floats,
    y: Labels,
    budget: Ball,
    params: HopSkipJumpParams,
    *,
    rng: np.random.Generator,
    task: Task,
) -> SearchResult:
    """Search for the smallest change with labels only; with a finite eps, stop a row inside that radius.

    Only the class of the largest score is used. `queries` is never exceeded for a row. Answers an adversary who sees
    decisions and nothing else.
    """
    walk = _Walk(model, x, y, budget, params, Draws.of(rng, x, y))
    walk.begin()
    iteration = 0
    while len(rows := walk.walking()):
        iteration += 1
        walk.go(rows, iteration)
        task.update(float(walk.spent.mean()) / params.queries, text=f"{len(rows)} rows searched")
    found = np.where(_wide(walk.started, x), walk.best, x)
    return SearchResult(budget.project(found, x), walk.spent, np.zeros(len(x), np.int64))


class _Walk:
    """The state of all rows. x: each row's current fooling point. best: its nearest one. size: the distance of `best`."""

    def __init__(  # noqa: PLR0913, PLR0917 - rows and the settings of a search
        self, model: Model, origin: Floats, y: Labels, ball: Ball, params: HopSkipJumpParams, draws: Draws
    ) -> None:
        self._model, self._ball, self._params, self._draws = model, ball, params, draws
        self._origin, self._y = origin, y
        self._values = math.prod(origin.shape[1:])
        self._goal = ball.eps if math.isfinite(ball.eps) else 0.0
        # The paper's theta: a binary search ends at this share of the line, or of the radius.
        self._theta = self._values ** (-1.5 if ball.norm is Norm.L2 else -2.0)
        self.x, self.best = origin.copy(), origin.copy()
        self.size, self._reach = np.full(len(origin), np.inf), np.full(len(origin), np.inf)
        self.spent = np.zeros(len(origin), np.int64)
        self.started = np.zeros(len(origin), np.bool_)

    def begin(self) -> None:
        """Find a fooling image for each row and move from it to the boundary."""
        for number in range(self._params.tries):
            rows = np.flatnonzero(~self.started & (self.spent < self._params.queries))
            if not len(rows):
                break
            for part in self._parts(rows):
                start = self._start(part, number)
                fooled = self._ask(part, start)
                self.x[part[fooled]] = start[fooled]
                self.started[part[fooled]] = True
        rows = np.flatnonzero(self.started)
        self._keep(rows)
        self._search(rows)

    def walking(self) -> Rows:
        """Return the rows to continue: with a start, with queries for one more estimate, and not inside the radius yet."""
        rest = self._params.queries - self.spent
        return np.flatnonzero(self.started & (rest >= 2 * _RESERVE) & (self.size > self._goal))

    def go(self, rows: Rows, iteration: int) -> None:
        """Estimate the direction away from the boundary, step along it, and search the boundary on the way to the origin."""
        direction = self._estimate(rows, iteration)
        home, origin = self._measure(self.x[rows], rows), self._origin[rows]
        length = home / math.sqrt(iteration)
        stepping, landed = np.arange(len(rows)), np.zeros(len(rows), np.bool_)
        for _ in range(_HALVINGS):
            stepping = stepping[self.spent[rows[stepping]] < self._params.queries]
            if not len(stepping):
                break
            here = rows[stepping]
            reach = _wide(length[stepping].astype(np.float32), origin) * direction[stepping]
            moved = (self.x[here] + reach).clip(self._ball.low, self._ball.high)
            fooled = self._ask(here, moved)
            self.x[here[fooled]], landed[stepping[fooled]] = moved[fooled], True
            stepping = stepping[~fooled]
            length[stepping] /= 2
        self._reach[rows] = self._measure(self.x[rows], rows)
        self._search(rows[landed])

    def _estimate(self, rows: Rows, iteration: int) -> Floats:
        """Return the unit direction (for L-inf its sign) that leads away from the boundary (equations 9 and 14)."""
        rest = self._params.queries - self.spent[rows] - _RESERVE
        counts = np.minimum(rest, int(self._params.directions * math.sqrt(iteration)))
        # The probing radius: sqrt(d) theta times the distance for L2, d theta for L-inf, is the distance over d.
        radius = (self._reach[rows] / self._values).clip(1e-6, None).astype(np.float32)
        if iteration == 1:
            radius = np.full(len(rows), 0.1 * (self._ball.high - self._ball.low), np.float32)
        sums, votes = np.zeros((len(rows), 2, self._values), np.float32), np.zeros(len(rows), np.float64)
        for chunk in range(-(-int(counts.max()) // _CHUNK)):
            wanted = np.clip(counts - chunk * _CHUNK, 0, _CHUNK)
            for part in self._parts(np.flatnonzero(wanted), each=_CHUNK):
                moves, said = self._probe(rows[part], radius[part], wanted[part], (iteration, chunk))
                sums[part] += np.stack([said, np.ones_like(said)], axis=1) @ moves
                votes[part] += said.sum(axis=1)
        mean = (votes / counts)[:, None]
        # If all answers agree there is no baseline to subtract.
        found = np.where(np.abs(mean) == 1, mean * sums[:, 1], sums[:, 0] - mean * sums[:, 1])
        if self._ball.norm is Norm.LINF:
            return np.sign(found).astype(np.float32).reshape(-1, *self._origin.shape[1:])
        found /= np.maximum(np.linalg.norm(found, axis=1, keepdims=True), 1e-12)
        return found.astype(np.float32).reshape(-1, *self._origin.shape[1:])

    def _probe(
        self, rows: Rows, radius: Floats, counts: NDArray[np.int64], step: tuple[int, int]
    ) -> tuple[Floats, Floats]:
        """Return moves (n, chunk, d) in units of the radius, 0 beyond a row's count, and answers 1 (fooled), -1 or 0 (unused)."""
        width = self._values
        here = self.x[rows].reshape(len(rows), 1, width)
        reach = radius[:, None, None] / (
            np.float32(math.sqrt(width)) if self._ball.norm is Norm.L2 else np.float32(1)
        )
        moves = self._signs(rows, step)
        moves *= reach
        moves += here
        np.clip(moves, self._ball.low, self._ball.high, out=moves)
        used = np.arange(_CHUNK) < counts[:, None]
        said = np.zeros(used.shape, np.float32)
        points = moves[used].reshape(-1, *self._origin.shape[1:])
        said[used] = np.where(self._ask(np.repeat(rows, counts), points), np.float32(1), np.float32(-1))
        moves -= here
        moves /= radius[:, None, None]
        moves[~used] = 0
        return moves, said

    def _signs(self, rows: Rows, step: tuple[int, int]) -> Floats:
        """Return (n, chunk, d) of -1 and 1, from a stream that depends on the row's key and the step.

        Random signs have the same covariance as directions on the sphere, which is all that the estimate uses, and cost
        one random bit each.
        """
        need = _CHUNK * self._values
        bits = np.empty((len(rows), need), np.uint8)
        for place, key in enumerate(self._draws.keys[rows].tolist()):
            stream = np.random.Generator(np.random.SFC64([key, *step]))
            bits[place] = np.unpackbits(np.frombuffer(stream.bytes(-(-need // 8)), np.uint8), count=need)
        signs = bits.astype(np.float32)
        signs *= 2
        signs -= 1
        return signs.reshape(len(rows), _CHUNK, self._values)

    def _search(self, rows: Rows) -> None:
        """Bisect between a fooling point and the origin until the boundary is within theta (algorithm 1)."""
        far = self._measure(self.x[rows], rows)
        low = np.zeros(len(rows))
        high = np.ones(len(rows)) if self._ball.norm is Norm.L2 else far.copy()
        limit = (
            np.full(len(rows), self._theta) if self._ball.norm is Norm.L2 else np.minimum(1.0, far) * self._theta
        )
        start, searching = self.x[rows].copy(), np.arange(len(rows))
        while True:
            more = (high - low)[searching] > np.maximum(limit[searching], 1e-7)
            searching = searching[more & (self.spent[rows[searching]] < self._params.queries)]
            if not len(searching):
                break
            middle = (low + high)[searching] / 2
            point = self._towards(start[searching], rows[searching], middle)
            fooled = self._ask(rows[searching], point)
            high[searching[fooled]], low[searching[~fooled]] = middle[fooled], middle[~fooled]
            self.x[rows[searching[fooled]]] = point[fooled]
        self._keep(rows)

    def _towards(self, start: Floats, rows: Rows, share: NDArray[np.float64]) -> Floats:
        """Return the point on the line to the origin (L2), or the start clipped to a smaller cube (L-inf)."""
        origin = self._origin[rows]
        size = _wide(share.astype(np.float32), origin)
        if self._ball.norm is Norm.L2:
            return np.asarray(origin + size * (start - origin), dtype=np.float32)
        return np.asarray(origin + np.clip(start - origin, -size, size), dtype=np.float32)

    def _keep(self, rows: Rows) -> None:
        """Keep each row's nearest fooling point."""
        size = self._measure(self.x[rows], rows)
        better = rows[size < self.size[rows]]
        self.best[better], self.size[better] = self.x[better], size[size < self.size[rows]]

    def _measure(self, x: Floats, rows: Rows) -> NDArray[np.float64]:
        delta = (x - self._origin[rows]).reshape(len(rows), self._values).astype(np.float64)
        if self._ball.norm is Norm.L2:
            return np.asarray(np.sqrt((delta**2).sum(axis=1)))
        return np.asarray(np.abs(delta).max(axis=1, initial=0.0))

    def _ask(self, rows: Rows, x: Floats) -> Flags:
        """Return whether each point fools the model; `rows` may repeat, and each repetition counts as a query."""
        self.spent += np.bincount(rows, minlength=len(self.spent))
        said = [predictions(self._model.scores(x[i : i + self._most])) for i in range(0, len(x), self._most)]
        return np.concatenate(said) != self._y[rows] if said else np.zeros(0, np.bool_)

    @property
    def _most(self) -> int:
        return max(1, _VALUES // self._values)

    def _parts(self, rows: Rows, *, each: int = 1) -> Iterator[Rows]:
        """Yield parts of rows whose points, `each` for a row, fit into one request."""
        size = max(1, self._most // each)
        for first in range(0, len(rows), size):
            yield rows[first : first + size]

    def _start(self, rows: Rows, number: int) -> Floats:
        """Return a starting image for each row: noise, noise in coarse patches, or one colour."""
        low, high = self._ball.low, self._ball.high
        shape = self._origin.shape[1:]
        coarse = shape if number % 3 == 0 or len(shape) < 3 else (shape[0], *(1 if number % 3 == 2 else 4,) * 2)
        noise = self._draws.rows(rows).uniform(coarse, step=number)
        if coarse != shape:
            across = [np.arange(side) * small // side for side, small in zip(shape[1:], coarse[1:], strict=True)]
            noise = noise[:, :, across[0][:, None], across[1][None, :]]
        return np.asarray(low + (high - low) * noise, dtype=np.float32)


def _wide(values: NDArray[Any], like: Floats) -> NDArray[Any]:
    """Shape (n,) so that it multiplies `like` row by row."""
    return values.reshape(-1, *(1,) * (like.ndim - 1))
