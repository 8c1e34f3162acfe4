"""Square attack: random search with squares, a black-box attack on images that asks for scores alone.

Andriushchenko, Croce, Flammarion, Hein 2020, "Square Attack: a query-efficient black-box adversarial attack via
random search", algorithms 1 (L-inf, 2) and 3 (L2). One difference: the rows of a batch share the positions of
their squares, which changes no row's distribution.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from hauberk.attacks.budget import Ball, Budget
from hauberk.attacks.evasion import ATTACKS
from hauberk.attacks.margin import BATCH, margins
from hauberk.attacks.model import Floats, Labels, Model
from hauberk.core.errors import InvalidInput
from hauberk.core.progress import Task
from hauberk.core.threats import Norm

_Rows: TypeAlias = NDArray[np.intp]
_Move: TypeAlias = Callable[[Floats, _Rows], Floats]  # (best so far, active rows) to a candidate for each

# Iterations, out of 10,000, at which the share of pixels that a square covers is halved (section 3.1).
_HALVINGS = (10, 50, 200, 500, 1000, 2000, 4000, 6000, 8000)


@dataclass(frozen=True, slots=True)
class SquareParams:
    """`share` is the share of pixels that the first squares cover."""

    queries: int = field(default=500, metadata={"help": "scores asked for each row, at most"})
    share: float = field(default=0.3, metadata={"help": "share of the pixels in the first squares, in (0, 1]"})

    def __post_init__(self) -> None:
        if self.queries < 1 or not 0 < self.share <= 1:
            raise ValueError("expected queries >= 1 and share in (0, 1]")


@ATTACKS.register(
    "square",
    practice="2a",
    threats=("evasion",),
    summary="random search with squares (black box)",
    params=SquareParams,
    kinds=("image",),
)
def square(  # noqa: PLR0913 - the shape of an attack
    model: Model,
    x: Floats,
    y: Labels,
    budget: Budget,
    params: SquareParams,
    *,
    rng: np.random.Generator,
    task: Task,
) -> Floats:
    """Return adversarial images found by random search on the margin, with at most `queries` scores a row.

    Raises InvalidInput for a budget that is no ball. Answers what masked gradients would hide from PGD; not an
    adversary who knows the weights.
    """
    if not isinstance(budget, Ball) or x.ndim != 4:
        raise InvalidInput("the square attack is for images with an L-inf or L2 budget: use coordinate-search.")
    best = x.copy()
    for first in range(0, len(x), BATCH):
        rows = slice(first, first + BATCH)
        best[rows] = _search(model, x[rows], y[rows], budget, params, rng)
        task.update(min(1.0, (first + BATCH) / len(x)))
    return best


def _search(  # noqa: PLR0913, PLR0917 - the state of one batch
    model: Model, origin: Floats, y: Labels, ball: Ball, params: SquareParams, rng: np.random.Generator
) -> Floats:
    moves = _linf(origin, ball, params, rng) if ball.norm is Norm.LINF else _l2(origin, ball, params, rng)
    best = origin.copy()
    lowest = margins(model.scores(origin), y)
    active = np.flatnonzero(lowest > 0)
    current = next(moves)(origin, active)  # the starting pattern is taken whatever it gives
    for query in range(params.queries):
        if not len(active):
            break
        candidate = ball.project(current, origin[active])
        found = margins(model.scores(candidate), y[active])
        better = (found < lowest[active]) | (query == 0)
        best[active[better]] = candidate[better]
        lowest[active[better]] = found[better]
        active = active[lowest[active] > 0]
        current = next(moves)(best, active)
    return best


def _share(params: SquareParams, query: int) -> float:
    progress = 10_000 * query / params.queries
    halved = sum(progress > halving for halving in _HALVINGS)
    return float(params.share * 0.5**halved)


def _linf(origin: Floats, ball: Ball, params: SquareParams, rng: np.random.Generator) -> Iterator[_Move]:
    """Stripes first, then one square of plus or minus eps at a time."""
    _, channels, height, width = origin.shape

    def stripes(_best: Floats, rows: _Rows) -> Floats:
        signs = rng.choice([-1.0, 1.0], size=(len(rows), channels, 1, width)).astype(np.float32)
        return np.asarray(origin[rows] + ball.eps * signs, dtype=np.float32)

    yield stripes
    query = 0
    while True:
        query += 1
        side = min(height, width, max(1, round(float(np.sqrt(_share(params, query) * height * width)))))
        top, left = rng.integers(0, height - side + 1), rng.integers(0, width - side + 1)

        def one_square(best: Floats, rows: _Rows, side: int = side, top: int = top, left: int = left) -> Floats:
            moved = best[rows].copy()
            window = np.s_[:, :, top : top + side, left : left + side]
            signs = rng.choice([-1.0, 1.0], size=(len(rows), channels, 1, 1)).astype(np.float32)
            moved[window] = origin[rows][window] + ball.eps * signs
            return moved

        yield one_square


def _l2(origin: Floats, ball: Ball, params: SquareParams, rng: np.random.Generator) -> Iterator[_Move]:
    """Bumps on a grid first, then move the mass of one window into a bump in another."""
    _, channels, height, width = origin.shape

    def signs(n: int) -> Floats:
        return rng.choice([-1.0, 1.0], size=(n, channels, 1, 1)).astype(np.float32)

    def onto_rim(delta: Floats, rows: _Rows) -> Floats:
        return np.asarray(origin[rows] + delta * (ball.eps / np.maximum(_lengths(delta), 1e-12)), dtype=np.float32)

    def grid(_best: Floats, rows: _Rows) -> Floats:
        delta = np.zeros((len(rows), *origin.shape[1:]), dtype=np.float32)
        side = max(1, min(height, width) // 5)
        for top in range(0, height - side + 1, side):
            for left in range(0, width - side + 1, side):
                delta[:, :, top : top + side, left : left + side] += _bump(side, side) * signs(len(rows))
        return onto_rim(delta, rows)

    yield grid
    query = 0
    while True:
        query += 1
        side = max(3, round(float(np.sqrt(_share(params, query) * height * width))))
        side = min(side + (side + 1) % 2, height, width)
        to, away = (
            (int(rng.integers(0, height - side + 1)), int(rng.integers(0, width - side + 1))) for _ in range(2)
        )
        shape = _two_bumps(side) if rng.random() < 0.5 else _two_bumps(side).T

        def move_mass(  # noqa: PLR0913, PLR0917 - what this round drew is bound to it
            best: Floats,
            rows: _Rows,
            side: int = side,
            to: tuple[int, int] = to,
            away: tuple[int, int] = away,
            shape: Floats = shape,
        ) -> Floats:
            delta = best[rows] - origin[rows]
            target = np.s_[:, :, to[0] : to[0] + side, to[1] : to[1] + side]
            source = np.s_[:, :, away[0] : away[0] + side, away[1] : away[1] + side]
            both = np.zeros(delta.shape[2:], dtype=np.float32)
            both[target[2:]] = both[source[2:]] = 1
            unused = np.maximum(ball.eps**2 - (delta**2).sum(axis=(1, 2, 3), keepdims=True), 0) / channels
            mass = ((delta * both) ** 2).sum(axis=(2, 3), keepdims=True)
            old = delta[target]
            old = old / (1e-10 + np.sqrt((old**2).sum(axis=(2, 3), keepdims=True)))
            new = shape * signs(len(rows)) + old
            new *= np.sqrt(unused + mass) / (1e-10 + np.sqrt((new**2).sum(axis=(2, 3), keepdims=True)))
            delta[source] = 0
            delta[target] = new
            return onto_rim(delta, rows)

        yield move_mass


def _lengths(delta: Floats) -> Floats:
    result: Floats = np.sqrt((delta**2).sum(axis=(1, 2, 3), keepdims=True))
    return result


def _bump(height: int, width: int) -> Floats:
    """Nested rectangles around the middle, each lighter than the last by 1 / k^2, of length 1 (section 3.3)."""
    across = np.abs(np.arange(height) - (height - 1) / 2)[:, None]
    along = np.abs(np.arange(width) - (width - 1) / 2)[None, :]
    rings = np.floor(np.maximum(across, along)).astype(int)
    weights = np.cumsum(1.0 / np.arange(1, rings.max() + 2)[::-1] ** 2)[::-1]
    bump = weights[rings]
    return np.asarray(bump / np.sqrt((bump**2).sum()), dtype=np.float32)


def _two_bumps(side: int) -> Floats:
    """One half up, the other down, of length 1."""
    half = side // 2
    shape = np.concatenate([_bump(half, side), -_bump(side - half, side)]) if half else _bump(side, side)
    return np.asarray(shape / np.sqrt((shape**2).sum()), dtype=np.float32)
