"""Rounds: restarts and targets of a white-box attack over blocks of rows; a row leaves when it is done."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray

from hauberk.attacks.evasion.methods._slope import SPARSE, blocks
from hauberk.attacks.verdict import SearchResult
from hauberk.core.progress import Task
from hauberk.models.port import Floats

if TYPE_CHECKING:
    from torch import Tensor

Tick = Callable[[float], None]
_PATIENCE = 5  # on a GPU, steps between two checks for rows that have left
S = TypeVar("S")


@dataclass(frozen=True, slots=True)
class Outcome:
    """The result of one round.

    x: like the rows. score: (n,) quality, higher is better. done: (n,) bool, the row needs no further round. queries,
    gradients: (n,) whole numbers.
    """

    x: Tensor
    score: Tensor
    done: Tensor
    queries: Tensor
    gradients: Tensor


def search(
    x: Floats, rounds: int, go: Callable[[NDArray[np.intp], int, Tick], Outcome], task: Task
) -> SearchResult:
    """Return for each row the best of `rounds` rounds. go: (rows, round, tick) to the outcome for those rows."""
    tried = SearchResult(x.copy(), np.zeros(len(x), np.int64), np.zeros(len(x), np.int64))
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
        task.update(min(1.0, (block.start + done) / total), text=f"{standing} rows not fooled")

    return tick


class Climbing(Protocol):
    """State of rows in an ascent: `best` is the point of highest loss, which is infinite if the point fools."""

    @property
    def here(self) -> Tensor:
        """(n,) indices among all rows."""

    @property
    def best(self) -> Tensor:
        """Like the rows."""

    @property
    def highest(self) -> Tensor:
        """(n,) the loss at `best`."""

    @property
    def fell_at(self) -> Tensor:
        """(n,) the step at which a row was fooled; the last step if it was not."""


class Gathered:
    """The results of all rows, including rows that have left the state."""

    def __init__(self, x: Tensor, highest: Tensor, fell_at: Tensor) -> None:
        self._x, self._highest, self._fell_at = x.clone(), highest.clone(), fell_at.clone()

    def take(self, state: Climbing) -> None:
        """Store the results of the rows in the state."""
        places = state.here
        self._x[places], self._highest[places], self._fell_at[places] = state.best, state.highest, state.fell_at

    def outcome(self, state: Climbing, steps: int) -> Outcome:
        """Return all results; each row cost one gradient a step, and one query more if it was not fooled."""
        self.take(state)
        looked = (self._fell_at == steps).long()
        return Outcome(
            self._x, self._highest, self._highest.isposinf(), looked, (self._fell_at + 1).clamp_max(steps)
        )


def pack(state: S, up: Tensor, step: int, gathered: Gathered | None = None) -> S:
    """Return a dataclass of row-wise tensors reduced to the rows of `up`, or unchanged while few rows have left.

    gathered: stores the results of the rows before they leave. On a GPU this is checked only now and then, because
    reading a value waits for all queued work.
    """
    if (up.device.type != "cpu" and step % _PATIENCE) or int(up.sum()) >= SPARSE * len(up):
        return state
    if gathered is not None:
        gathered.take(state)  # type: ignore[arg-type]  # a state that is gathered is a Climbing
    values: dict[str, Any] = {name: getattr(state, name) for name in state.__dataclass_fields__}  # type: ignore[attr-defined]  # it is a dataclass
    kept = {name: None if value is None else value[up] for name, value in values.items()}
    return replace(state, **kept)  # type: ignore[type-var]  # it is a dataclass
