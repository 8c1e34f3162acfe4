"""Rounds: restarts and targets of a white-box attack, over blocks of rows; a row leaves when it is done."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from hauberk.attacks.evasion._slope import SPARSE, blocks
from hauberk.attacks.model import Floats
from hauberk.attacks.verdict import Tried
from hauberk.core.progress import Task

if TYPE_CHECKING:
    from torch import Tensor

Tick = Callable[[float], None]
S = TypeVar("S")


@dataclass(frozen=True, slots=True)
class Outcome:
    """What one round found for each of its rows.

    x: like the rows. score: (n,) the higher the better a find. done: (n,) bool, nothing better is looked for.
    queries, gradients: (n,) whole numbers.
    """

    x: Tensor
    score: Tensor
    done: Tensor
    queries: Tensor
    gradients: Tensor


def search(x: Floats, rounds: int, go: Callable[[NDArray[np.intp], int, Tick], Outcome], task: Task) -> Tried:
    """Return the best of `rounds` rounds for each row. go: (rows, round, tick) to what it found for those rows."""
    tried = Tried(x.copy(), np.zeros(len(x), np.int64), np.zeros(len(x), np.int64))
    best = np.full(len(x), -np.inf, np.float32)
    for block in blocks(x):
        rows = np.arange(block.start, block.stop)
        for number in range(rounds):
            if not len(rows):
                break
            outcome = go(rows, number, _tick(task, block, (number, rounds), len(x), len(rows)))
            found, score = outcome.x.cpu().numpy(), outcome.score.cpu().numpy()
            better = score > best[rows]
            tried.x[rows[better]], best[rows[better]] = found[better], score[better]
            tried.queries[rows] += outcome.queries.cpu().numpy()
            tried.gradients[rows] += outcome.gradients.cpu().numpy()
            rows = rows[~outcome.done.cpu().numpy()]
    return tried


def _tick(task: Task, block: slice, place: tuple[int, int], total: int, standing: int) -> Tick:
    number, rounds = place

    def tick(share: float) -> None:
        done = (number + share) / rounds * (block.stop - block.start)
        task.update(min(1.0, (block.start + done) / total), text=f"{standing} rows stand")

    return tick


def pack(state: S, up: Tensor) -> S:
    """Return a dataclass of row-wise tensors with the rows of `up` alone, or as it is while few have left it."""
    if int(up.sum()) >= SPARSE * len(up):
        return state
    values: dict[str, Any] = {name: getattr(state, name) for name in state.__dataclass_fields__}  # type: ignore[attr-defined]  # it is a dataclass
    kept = {name: None if value is None else value[up] for name, value in values.items()}
    return replace(state, **kept)  # type: ignore[type-var]  # it is a dataclass
