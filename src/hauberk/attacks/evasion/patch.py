"""Patch: a sticker on the picture, made to fool from where it is seen: shifted, turned, nearer, in other light.

Brown, Mané, Roy, Abadi, Gilmer 2017, "Adversarial Patch", with expectation over transformations (Athalye, Engstrom,
Ilyas, Kwok 2018): each step climbs the margin's mean over random views of the sticker. One sticker for each picture,
placed where a grey one harms most, or one for all of them at one place (`universal`).
"""

from __future__ import annotations

from typing import Any

import numpy as np

from hauberk.attacks.attack import ATTACKS, attack
from hauberk.attacks.budget import Region
from hauberk.attacks.draws import Draws
from hauberk.attacks.evasion._patch_params import PatchParams
from hauberk.attacks.margin import margins
from hauberk.attacks.shapes import Patch
from hauberk.attacks.verdict import Found, Tried
from hauberk.core.errors import InvalidInput
from hauberk.core.progress import Quiet, Task
from hauberk.models.port import Differentiable, Floats, Labels

_ROWS = 64  # pictures worked on at once, each with its views


@ATTACKS.register(
    "patch",
    practice="2a",
    threats=("evasion",),
    summary="a sticker that fools from any view (white box)",
    params=PatchParams,
    kinds=("image",),
)
def run(  # noqa: PLR0913 - the shape of an attack
    model: Differentiable,
    x: Floats,
    y: Labels,
    budget: Region,
    params: PatchParams,
    *,
    rng: np.random.Generator,
    task: Task,
    targets: Labels | None = None,
) -> Tried:
    """Climb the margin through random views. Cost: steps * views gradients of each row."""
    if not isinstance(budget, Patch) or x.ndim != 4:
        raise InvalidInput("a patch is for pictures with an area budget: name its share of the picture.")
    from hauberk.attacks.evasion import _stickers  # imports torch

    tried = Tried(x.copy(), np.zeros(len(x), np.int64), np.zeros(len(x), np.int64))
    draws = Draws.of(rng, x, y)
    size = len(x) if params.universal else _ROWS
    for first in range(0, len(x), max(1, size)):
        rows = slice(first, first + max(1, size))
        goal = None if targets is None else targets[rows]
        corners = _corners(model, x[rows], y[rows], budget, params, draws.rows(rows), tried.queries[rows])
        made = _stickers.make(model, x[rows], y[rows], goal, corners, budget, params, draws.rows(rows), task)
        tried.x[rows] = made.x
        tried.gradients[rows] += made.gradients
        tried.queries[rows] += made.queries
    return tried


def patch(  # noqa: PLR0913 - each is a setting of the attack
    model: Any,  # noqa: ANN401 - what `as_model` takes
    x: Floats,
    y: Labels,
    *,
    share: float,
    steps: int = 60,
    views: int = 4,
    jitter: float = 1.0,
    place: str = "search",
    universal: bool = False,
    targets: Labels | None = None,
    low: float = 0.0,
    high: float = 1.0,
    generator: np.random.Generator | int = 0,
    task: Task | None = None,
) -> Found:
    """Put a sticker of `share` of the area on each picture, made to fool a differentiable model however it is seen.

    x: (n, channels, height, width). place: "search" (where a grey one harms most), "centre" or "random". universal: one
    sticker at one place for all n pictures, as one would print it; rows are then not independent of each other.
    targets: (n,) classes to be read as, or None. The distance in the verdicts is the share of the area. Answers someone
    who can stick something on the thing; views are small turns, shifts, sizes and light, no printer's colours.
    """
    budget = Patch(share, low=low, high=high)
    params = PatchParams(steps, views, jitter, place, universal)
    rng = np.random.default_rng(generator)
    return attack(run, model, x, y, budget, params, rng=rng, task=task or Quiet(), targets=targets)


def _corners(  # noqa: PLR0913, PLR0917 - rows and where a sticker may go
    model: Differentiable,
    x: Floats,
    y: Labels,
    shape: Patch,
    params: PatchParams,
    draws: Draws,
    queries: Any,  # noqa: ANN401 - counts
) -> Any:  # noqa: ANN401 - (n, 2) int64
    """Return the top left corner of each sticker."""
    height, width = x.shape[2:]
    tall, wide = shape.size(height, width)
    room = np.array([height - tall, width - wide])
    if params.place == "centre" or not len(x):
        return np.broadcast_to(room // 2, (len(x), 2)).copy()
    if params.place == "random":
        drawn = draws.uniform((2,), step=1)
        return (np.repeat(drawn[:1], len(x), axis=0) if params.universal else drawn) * (room + 1) // 1
    sides = [np.linspace(0, side, 4) // 1 for side in room]
    tries = np.unique(np.stack(np.meshgrid(*sides), axis=-1).reshape(-1, 2), axis=0)
    found = np.empty((len(tries), len(x)), np.float32)
    for number, (down, right) in enumerate(tries.astype(int)):
        grey = x.copy()
        grey[:, :, down : down + tall, right : right + wide] = (shape.low + shape.high) / 2
        found[number] = margins(model.scores(grey), y)
    queries += len(tries)
    if params.universal:
        found = np.repeat(found.mean(axis=1, keepdims=True), len(x), axis=1)
    return tries[found.argmin(axis=0)]
