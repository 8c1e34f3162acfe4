"""HopSkipJump: a black-box attack on images that asks for labels alone and walks along the decision boundary.

Chen, Jordan, Wainwright 2020, "HopSkipJumpAttack: A Query-Efficient Decision-Based Attack", algorithm 2, L2 and L-inf.
All rows walk side by side, so that the model is asked in large batches; each has its own draws and its own account of
queries, which is never overdrawn. Three differences: directions are random signs; where uniform noise finds no start,
coarser patterns are tried; and a row that has none after all is a row that stands, not an error.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, ClassVar, Unpack

import numpy as np
from numpy.typing import NDArray

from hauberk.attacks.attack import ATTACKS, Common, attack_ball
from hauberk.attacks.budget import Ball, Budget
from hauberk.attacks.draws import Draws
from hauberk.attacks.verdict import Found, Tried, predictions
from hauberk.core.errors import InvalidInput
from hauberk.core.progress import Task
from hauberk.core.threats import Norm
from hauberk.models.port import Floats, Labels, Model

Rows = NDArray[np.intp]
Flags = NDArray[np.bool_]

_CHUNK = 32  # directions drawn at once for each row: a part of the attack's definition, as draws are named by it
_VALUES = 1 << 22  # values of one request to the model
_RESERVE = 20  # queries that a row keeps for the step and the search that follow an estimate
_HALVINGS = 25  # of a step, at most


@dataclass(frozen=True, slots=True)
class HopSkipJumpParams:
    """`directions` grows with the square root of the iteration, as in the paper."""

    access: ClassVar[str] = "labels"
    norms: ClassVar[tuple[Norm, ...]] = (Norm.L2, Norm.LINF)

    queries: int = field(default=1000, metadata={"help": "labels asked for each row, at most"})
    directions: int = field(default=100, metadata={"help": "directions of the first estimate of the boundary"})
    tries: int = field(default=100, metadata={"help": "random images tried as a start, at most"})

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
    budget: Budget,
    params: HopSkipJumpParams,
    *,
    rng: np.random.Generator,
    task: Task,
) -> Tried:
    """Walk until the queries are spent, or, where the radius is finite, until a row is inside it."""
    if not isinstance(budget, Ball):
        raise InvalidInput("hop-skip-jump is for inputs with an L2 or L-inf budget: use evolutionary for tables.")
    walk = _Walk(model, x, y, budget, params, Draws.of(rng, x, y))
    walk.begin()
    iteration = 0
    while len(rows := walk.walking()):
        iteration += 1
        walk.go(rows, iteration)
        task.update(float(walk.spent.mean()) / params.queries, text=f"{len(rows)} rows walk")
    found = np.where(_wide(walk.started, x), walk.best, x)
    return Tried(budget.project(found, x), walk.spent, np.zeros(len(x), np.int64))


def hop_skip_jump(  # noqa: PLR0913 - each is a setting of the attack
    model: Any,  # noqa: ANN401 - what `as_model` takes
    x: Floats,
    y: Labels,
    *,
    norm: str,
    eps: float = math.inf,
    queries: int = 1000,
    directions: int = 100,
    tries: int = 100,
    **rest: Unpack[Common],
) -> Found:
    """Attack by HopSkipJump in L2 or L-inf, asking for labels alone; with no `eps`, look for the smallest change.

    model, x, y, rest: as `evasion.pgd`; only the largest score is looked at. queries: of each row, never exceeded.
    A row that falls inside a finite `eps` stops there. Answers an adversary who sees decisions and nothing else.
    """
    return attack_ball(run, model, x, y, HopSkipJumpParams(queries, directions, tries), norm=norm, eps=eps, **rest)


class _Walk:
    """The state of all rows. x: where each stands, fooling; best: the nearest such point; size: its distance."""

    def __init__(  # noqa: PLR0913, PLR0917 - rows and how to move them
        self, model: Model, origin: Floats, y: Labels, ball: Ball, params: HopSkipJumpParams, draws: Draws
    ) -> None:
        self._model, self._ball, self._params, self._draws = model, ball, params, draws
        self._origin, self._y = origin, y
        self._values = math.prod(origin.shape[1:])
        self._goal = ball.eps if math.isfinite(ball.eps) else 0.0
        # The paper's theta; a search ends at this share of the line, or of the radius.
        self._theta = self._values ** (-1.5 if ball.norm is Norm.L2 else -2.0)
        self.x, self.best = origin.copy(), origin.copy()
        self.size, self._reach = np.full(len(origin), np.inf), np.full(len(origin), np.inf)
        self.spent = np.zeros(len(origin), np.int64)
        self.started = np.zeros(len(origin), np.bool_)

    def begin(self) -> None:
        """Find a fooling image for each row, and go from there to the boundary."""
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
        """Return the rows that go on: they have a start, queries for one more estimate, and are not inside yet."""
        rest = self._params.queries - self.spent
        return np.flatnonzero(self.started & (rest >= 2 * _RESERVE) & (self.size > self._goal))

    def go(self, rows: Rows, iteration: int) -> None:
        """Estimate the boundary's direction, step away from it, and search the boundary again on the way home."""
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
        """Return the unit direction (its sign, for L-inf) in which the boundary is left behind (equation 9 and 14)."""
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
        # Where all agree there is no baseline to take off.
        found = np.where(np.abs(mean) == 1, mean * sums[:, 1], sums[:, 0] - mean * sums[:, 1])
        if self._ball.norm is Norm.LINF:
            return np.sign(found).astype(np.float32).reshape(-1, *self._origin.shape[1:])
        found /= np.maximum(np.linalg.norm(found, axis=1, keepdims=True), 1e-12)
        return found.astype(np.float32).reshape(-1, *self._origin.shape[1:])

    def _probe(
        self, rows: Rows, radius: Floats, counts: NDArray[np.int64], step: tuple[int, int]
    ) -> tuple[Floats, Floats]:
        """Return moves (n, chunk, d) in units of the radius, 0 beyond a row's count, and what was said: 1, -1, or 0."""
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
        """Return (n, chunk, d) of -1 and 1, each row's from a stream that its key and the step name.

        Signs have the covariance of directions on the sphere, which is all that the estimate asks of them, and cost one
        random bit each.
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
        """Halve the way between a fooling point and home until the boundary is as near as theta (algorithm 1)."""
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
        """Return the point on the line home (L2), or the start cut to a smaller cube (L-inf)."""
        origin = self._origin[rows]
        size = _wide(share.astype(np.float32), origin)
        if self._ball.norm is Norm.L2:
            return np.asarray(origin + size * (start - origin), dtype=np.float32)
        return np.asarray(origin + np.clip(start - origin, -size, size), dtype=np.float32)

    def _keep(self, rows: Rows) -> None:
        """Remember each row's nearest fooling point."""
        size = self._measure(self.x[rows], rows)
        better = rows[size < self.size[rows]]
        self.best[better], self.size[better] = self.x[better], size[size < self.size[rows]]

    def _measure(self, x: Floats, rows: Rows) -> NDArray[np.float64]:
        delta = (x - self._origin[rows]).reshape(len(rows), self._values).astype(np.float64)
        if self._ball.norm is Norm.L2:
            return np.asarray(np.sqrt((delta**2).sum(axis=1)))
        return np.asarray(np.abs(delta).max(axis=1, initial=0.0))

    def _ask(self, rows: Rows, x: Floats) -> Flags:
        """Return whether each point fools the model; rows may come more than once, and pay each time."""
        self.spent += np.bincount(rows, minlength=len(self.spent))
        said = [predictions(self._model.scores(x[i : i + self._most])) for i in range(0, len(x), self._most)]
        return np.concatenate(said) != self._y[rows] if said else np.zeros(0, np.bool_)

    @property
    def _most(self) -> int:
        return max(1, _VALUES // self._values)

    def _parts(self, rows: Rows, *, each: int = 1) -> Iterator[Rows]:
        """Yield rows in parts whose points, `each` for a row, make one request."""
        size = max(1, self._most // each)
        for first in range(0, len(rows), size):
            yield rows[first : first + size]

    def _start(self, rows: Rows, number: int) -> Floats:
        """Return an image for each row to begin with: noise, noise in coarse patches, or one colour."""
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
