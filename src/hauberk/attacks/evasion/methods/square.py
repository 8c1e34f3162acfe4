"""Square attack: random search with squares, a black-box attack on images that asks for scores only.

Andriushchenko, Croce, Flammarion, Hein 2020, "Square Attack: a query-efficient black-box adversarial attack via
random search", algorithms 1 and 2 (L-inf) and 3 (L2); the schedule of section 3.1 is scaled to the number of queries.
All rows share the positions of their squares, as in the authors' code, which changes no row's distribution; each row has
its own signs.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar, TypeAlias

import numpy as np

from hauberk.attacks.attack import ATTACKS
from hauberk.attacks.budget import Ball
from hauberk.attacks.draws import Draws
from hauberk.attacks.margin import margins
from hauberk.attacks.params import Params
from hauberk.attacks.verdict import SearchResult
from hauberk.core.errors import InvalidInput
from hauberk.core.progress import Task
from hauberk.core.threats import Norm
from hauberk.models.port import Floats, Labels, Model

_Window: TypeAlias = tuple[slice, ...]
# (best points, origins, their draws, query) to the window that changes and its new values
_Move: TypeAlias = Callable[[Floats, Floats, Draws, int], tuple[_Window, Floats]]

# Iterations, out of 10,000, at which the share of pixels that a square covers is halved (section 3.1).
_HALVINGS = (10, 50, 200, 500, 1000, 2000, 4000, 6000, 8000)
_ALL: _Window = (slice(None),)


@dataclass(frozen=True, slots=True)
class SquareParams(Params):
    """`share` is the share of pixels that the first squares cover. The paper uses 10,000 queries."""

    access: ClassVar[str] = "scores"
    norms: ClassVar[tuple[Norm, ...]] = (Norm.LINF, Norm.L2)
    evaluation: ClassVar[Mapping[str, Mapping[str, Any]]] = {"image": {}}
    campaign: ClassVar[tuple[str, ...]] = ("image",)
    trial: ClassVar[Mapping[str, Any]] = {"queries": 40}

    queries: int = field(default=500, metadata={"help": "largest number of scores asked for each row"})
    share: float = field(default=0.8, metadata={"help": "share of the pixels in the first squares, in (0, 1]"})

    def __post_init__(self) -> None:
        if self.queries < 1 or not 0 < self.share <= 1:
            raise InvalidInput("expected queries >= 1 and share in (0, 1].")


@ATTACKS.register(
    "square",
    practice="2a",
    threats=("evasion",),
    summary="random search with squares (black box)",
    params=SquareParams,
    kinds=("image",),
)
def run(  # noqa: PLR0913 - the shape of an attack
    model: Model,
    x: Floats,
    y: Labels,
    budget: Ball,
    params: SquareParams,
    *,
    rng: np.random.Generator,
    task: Task,
) -> SearchResult:
    """Lower the margin by random square changes, with at most `queries` scores for each row.

    x: (n, channels, height, width). Answers an adversary who sees scores, and reveals masked gradients that stop
    white-box attacks; not an adversary who knows the weights.
    """
    if x.ndim != 4:
        raise InvalidInput(f"square is for images (n, channels, height, width), found shape {x.shape}.")
    tried = SearchResult(x.copy(), np.zeros(len(x), np.int64), np.zeros(len(x), np.int64))
    rows, draws = np.arange(len(x)), Draws.of(rng, x, y)
    origin, best, lowest = x, x.copy(), np.full(len(x), np.inf, np.float32)
    move = _linf(budget, params) if budget.norm is Norm.LINF else _l2(budget, params)
    for query in range(params.queries):
        if not len(rows):
            break
        window, new = move(best, origin, draws, query)
        old = best[window].copy()
        best[window] = new
        found = margins(model.scores(best), y[rows])
        tried.queries[rows] += 1
        worse = found >= lowest  # the starting pattern is always kept
        best[window][worse] = old[worse]
        lowest = np.where(worse, lowest, found)
        stands = lowest > 0
        if not stands.all():
            tried.x[rows[~stands]] = best[~stands]
            rows, origin, best, lowest = rows[stands], origin[stands], best[stands], lowest[stands]
            draws = draws.rows(stands)
        task.update(query / params.queries, text=f"{len(rows)} rows not fooled")
    tried.x[rows] = best
    return tried


def _share(params: SquareParams, query: int) -> float:
    progress = 10_000 * query / params.queries
    halved = sum(progress > halving for halving in _HALVINGS)
    return float(params.share * 0.5**halved)


def _linf(ball: Ball, params: SquareParams) -> _Move:
    """Return the L-inf move: stripes first, then one square of plus or minus eps at a time."""

    def move(best: Floats, origin: Floats, draws: Draws, query: int) -> tuple[_Window, Floats]:
        _, channels, height, width = best.shape
        if query == 0:
            window, signs = _ALL, draws.signs((channels, 1, width))
        else:
            side = min(height, width, max(1, round(float(np.sqrt(_share(params, query) * height * width)))))
            window = _place(draws.shared(query), best.shape, side)
            signs = draws.signs((channels, 1, 1), step=query)
        changed = origin[window] + np.float32(ball.eps) * signs
        return window, np.clip(changed, ball.low, ball.high, out=changed)

    return move


def _l2(ball: Ball, params: SquareParams) -> _Move:
    """Return the L2 move: bumps on a grid first, then the mass of one window moves into a bump in another."""

    def move(best: Floats, origin: Floats, draws: Draws, query: int) -> tuple[_Window, Floats]:
        _, channels, height, width = best.shape
        if query == 0:
            delta = _grid(origin.shape, draws)
        else:
            side = max(3, round(float(np.sqrt(_share(params, query) * height * width))))
            side = min(side + (side + 1) % 2, height, width)
            signs = draws.signs((channels, 1, 1), step=query)
            delta = _moved(best - origin, side, signs, draws.shared(query), ball.eps)
        delta *= ball.eps / np.maximum(_lengths(delta), 1e-12)
        return _ALL, np.clip(origin + delta, ball.low, ball.high)

    return move


def _grid(shape: tuple[int, ...], draws: Draws) -> Floats:
    delta = np.zeros(shape, dtype=np.float32)
    side = max(1, min(shape[2:]) // 5)
    tops, lefts = (range(0, size - side + 1, side) for size in shape[2:])
    signs = draws.signs((shape[1], len(tops), len(lefts)))
    for row, top in enumerate(tops):
        for column, left in enumerate(lefts):
            sign = signs[:, :, row, column, None, None]
            delta[:, :, top : top + side, left : left + side] = _bump(side, side) * sign
    return delta


def _moved(delta: Floats, side: int, signs: Floats, shared: np.random.Generator, eps: float) -> Floats:
    """Empty one window and move its mass, plus the unused radius, into a bump in another (algorithm 3)."""
    target, source = _place(shared, delta.shape, side), _place(shared, delta.shape, side)
    shape = _two_bumps(side) if shared.random() < 0.5 else _two_bumps(side).T
    both = np.zeros(delta.shape[2:], dtype=np.float32)
    both[target[2:]] = both[source[2:]] = 1
    unused = np.maximum(eps**2 - (delta**2).sum(axis=(1, 2, 3), keepdims=True), 0) / delta.shape[1]
    mass = ((delta * both) ** 2).sum(axis=(2, 3), keepdims=True)
    old = delta[target]
    old = old / (1e-10 + np.sqrt((old**2).sum(axis=(2, 3), keepdims=True)))
    new = shape * signs + old
    new *= np.sqrt(unused + mass) / (1e-10 + np.sqrt((new**2).sum(axis=(2, 3), keepdims=True)))
    delta[source] = 0
    delta[target] = new
    return delta


def _place(shared: np.random.Generator, shape: tuple[int, ...], side: int) -> _Window:
    top, left = (int(shared.integers(0, size - side + 1)) for size in shape[2:])
    return (slice(None), slice(None), slice(top, top + side), slice(left, left + side))


def _lengths(delta: Floats) -> Floats:
    result: Floats = np.sqrt((delta**2).sum(axis=(1, 2, 3), keepdims=True))
    return result


def _bump(height: int, width: int) -> Floats:
    """Return nested rectangles around the centre with weights that fall by 1 / k^2, of length 1 (section 3.3)."""
    across = np.abs(np.arange(height) - (height - 1) / 2)[:, None]
    along = np.abs(np.arange(width) - (width - 1) / 2)[None, :]
    rings = np.floor(np.maximum(across, along)).astype(int)
    weights = np.cumsum(1.0 / np.arange(1, rings.max() + 2)[::-1] ** 2)[::-1]
    bump = weights[rings]
    return np.asarray(bump / np.sqrt((bump**2).sum()), dtype=np.float32)


def _two_bumps(side: int) -> Floats:
    """Return a positive half and a negative half, of length 1 together."""
    half = side // 2
    shape = np.concatenate([_bump(half, side), -_bump(side - half, side)]) if half else _bump(side, side)
    return np.asarray(shape / np.sqrt((shape**2).sum()), dtype=np.float32)
