"""Patch: a sticker on the picture that fools the model when it is shifted, rotated, scaled or lit differently.

Brown, Mané, Roy, Abadi, Gilmer 2017, "Adversarial Patch", with expectation over transformations (Athalye, Engstrom,
Ilyas, Kwok 2018): each step raises the mean margin over random views of the sticker. Each picture gets its own sticker,
placed where a grey one harms most, or all pictures share one at one place (`universal`).
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from hauberk.attacks.attack import ATTACKS
from hauberk.attacks.draws import Draws
from hauberk.attacks.evasion.methods._patch_params import PatchParams
from hauberk.attacks.evasion.methods._slope import on
from hauberk.attacks.margin import margins
from hauberk.attacks.shapes import Patch
from hauberk.attacks.verdict import SearchResult
from hauberk.core.errors import InvalidInput
from hauberk.core.progress import Task
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
    budget: Patch,
    params: PatchParams,
    *,
    rng: np.random.Generator,
    task: Task,
    targets: Labels | None = None,
) -> SearchResult:
    """Optimise a sticker on each picture so that the model is fooled in most views.

    x: (n, channels, height, width). The distance in the verdicts is the sticker's share of the area. Answers an adversary
    who can put a sticker on the object; views are small rotations, shifts, sizes and brightness changes, not a printer's
    colours. Cost: steps * views gradients for each row.
    """
    if x.ndim != 4:
        raise InvalidInput(f"a patch is for pictures (n, channels, height, width), found shape {x.shape}.")
    from hauberk.attacks.evasion.methods import _stickers  # imports torch

    tried = SearchResult(x.copy(), np.zeros(len(x), np.int64), np.zeros(len(x), np.int64))
    draws = Draws.of(rng, x, y)
    size = len(x) if params.universal else _ROWS
    for first in range(0, len(x), max(1, size)):
        rows = slice(first, first + max(1, size))
        corners, asked = _corners(model, x[rows], y[rows], budget, params, draws.rows(rows))
        scene = _stickers.Scene(
            model,
            on(model, x[rows]),
            on(model, y[rows]),
            None if targets is None else on(model, targets[rows]),
            on(model, np.asarray(corners, np.int64)),
            budget,
            params,
            draws.rows(rows),
        )
        made = _stickers.make(scene, task)
        tried.x[rows] = made.x
        tried.gradients[rows] += made.gradients
        tried.queries[rows] += made.queries + asked
    return tried


def _corners(  # noqa: PLR0913, PLR0917 - rows and the positions that a sticker may take
    model: Differentiable, x: Floats, y: Labels, shape: Patch, params: PatchParams, draws: Draws
) -> tuple[NDArray[Any], int]:
    """Return (n, 2) whole numbers, the top left corner of each sticker, and the number of scores asked for each row."""
    height, width = x.shape[2:]
    tall, wide = shape.size(height, width)
    room = np.array([height - tall, width - wide])
    if params.place == "centre" or not len(x):
        return np.broadcast_to(room // 2, (len(x), 2)).copy(), 0
    if params.place == "random":
        drawn = draws.uniform((2,), step=1)
        shared = np.repeat(drawn[:1], len(x), axis=0) if params.universal else drawn
        return shared * (room + 1) // 1, 0
    sides = [np.linspace(0, side, 4) // 1 for side in room]
    tries = np.unique(np.stack(np.meshgrid(*sides), axis=-1).reshape(-1, 2), axis=0)
    found = np.empty((len(tries), len(x)), np.float32)
    for number, (down, right) in enumerate(tries.astype(int)):
        grey = x.copy()
        grey[:, :, down : down + tall, right : right + wide] = (shape.low + shape.high) / 2
        found[number] = margins(model.scores(grey), y)
    if params.universal:
        found = np.repeat(found.mean(axis=1, keepdims=True), len(x), axis=1)
    return tries[found.argmin(axis=0)], len(tries)
