"""FAB-T: the fast adaptive boundary attack, which searches for the smallest change, one target class at a time.

Croce and Hein 2020, "Minimally distorted adversarial examples with a fast adaptive boundary attack", algorithm 1, in
the targeted form of "Reliable evaluation of adversarial robustness" (same authors and year). In a ball of finite radius
a row leaves as soon as a fooling point lies inside.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from hauberk.attacks.attack import ATTACKS
from hauberk.attacks.budget import Ball
from hauberk.attacks.draws import Draws
from hauberk.attacks.evasion.methods._losses import gap
from hauberk.attacks.evasion.methods._minimal import ORDER, lengths, outcome, to_plane
from hauberk.attacks.evasion.methods._rounds import Outcome, Tick, pack, search
from hauberk.attacks.evasion.methods._slope import fell, goals_of, look, on, parts, rounding, shaped, slope
from hauberk.attacks.params import Params
from hauberk.attacks.verdict import SearchResult
from hauberk.core.errors import InvalidInput
from hauberk.core.progress import Task
from hauberk.core.threats import Norm
from hauberk.models.port import Differentiable, Floats, Labels

if TYPE_CHECKING:
    from torch import Tensor

_BIAS = 0.1  # largest share of the step that starts from the clean row (alpha_max)
_BEYOND = 1.05  # step length in multiples of the distance to the boundary (eta)
_BACK = 0.9  # share of the change that is kept after a success (beta)


@dataclass(frozen=True, slots=True)
class FabParams(Params):
    """`classes`: this many of the likeliest other classes are targeted in turn."""

    access: ClassVar[str] = "gradients"
    norms: ClassVar[tuple[Norm, ...]] = tuple(Norm)
    targeted: ClassVar[bool] = True
    minimal: ClassVar[bool] = True
    trial: ClassVar[Mapping[str, Any]] = {"steps": 6, "classes": 2}
    anytime: ClassVar[str] = "classes"

    steps: int = field(default=100, metadata={"help": "steps of each restart and target"})
    restarts: int = field(default=1, metadata={"help": "starts: the row itself, then random points"})
    classes: int = field(default=9, metadata={"help": "likeliest other classes that are targeted in turn"})

    def __post_init__(self) -> None:
        if self.steps < 1 or self.restarts < 1 or self.classes < 1:
            raise InvalidInput("expected steps >= 1, restarts >= 1 and classes >= 1.")


@ATTACKS.register(
    "fab",
    practice="2a",
    threats=("evasion",),
    summary="smallest change across the nearest boundaries, class by class (white box)",
    params=FabParams,
    kinds=("image",),
)
def run(  # noqa: PLR0913 - the shape of an attack
    model: Differentiable,
    x: Floats,
    y: Labels,
    budget: Ball,
    params: FabParams,
    *,
    rng: np.random.Generator,
    task: Task,
    targets: Labels | None = None,
) -> SearchResult:
    """Search for the smallest change by steps along the class boundaries; with a finite eps, inside that radius.

    Answers adversaries whom a misleading loss does not stop, because no loss is maximised. Does not detect masked
    gradients. Cost: steps * restarts * classes gradients, and as many queries, for each row.
    """
    draws = Draws.of(rng, x, y)
    goals = goals_of(model, x, y, targets, params.classes)
    nearest = np.full(len(x), np.inf, np.float32)

    def go(rows: NDArray[np.intp], number: int, tick: Tick) -> Outcome:
        start = (
            _start(draws.rows(rows), x[rows], budget, nearest[rows], number) if number >= len(goals) else x[rows]
        )
        walk = _Walk(
            model, x[rows], y[rows], goals[number % len(goals)][rows], start, budget, exact=targets is not None
        )
        found = walk.run(params.steps, tick)
        nearest[rows] = np.minimum(nearest[rows], -found.score.cpu().numpy())
        return found

    return search(x, params.restarts * max(1, len(goals)), go, task)


def _start(draws: Draws, x: Floats, ball: Ball, nearest: Floats, number: int) -> Floats:
    """Return points in a random direction, at half the distance of the nearest success or of the radius."""
    delta = 2 * draws.uniform(x.shape[1:], step=number) - 1
    length = np.linalg.norm(delta.reshape(len(x), -1), ord=ORDER[ball.norm], axis=1)
    reach = 0.5 * np.minimum(nearest, ball.eps) / np.maximum(length, 1e-12)
    reach[~np.isfinite(reach)] = 0
    moved: Floats = x + delta * reach.reshape(-1, *(1,) * (x.ndim - 1)).astype(np.float32)
    return np.clip(moved, ball.low, ball.high)


@dataclass(frozen=True, slots=True)
class _State:
    """The rows that are still searched."""

    here: Tensor
    origin: Tensor
    x: Tensor
    y: Tensor
    targets: Tensor


class _Walk:
    """One round: every row moves towards one class. nearest, distance: the nearest fooling point of each row."""

    def __init__(  # noqa: PLR0913, PLR0917 - rows and the state of one round
        self,
        model: Differentiable,
        x: Floats,
        y: Labels,
        targets: Labels,
        start: Floats,
        ball: Ball,
        *,
        exact: bool,
    ) -> None:
        import torch

        self._model, self._ball, self._exact = model, ball, exact
        self._origin = on(model, x)
        here = torch.arange(len(x), device=model.device)
        self._state = _State(here, self._origin, on(model, start), on(model, y), on(model, targets))
        self.nearest = self._origin.clone()
        self.distance = torch.full((len(x),), torch.inf, device=model.device)
        self.spent = torch.zeros_like(here)

    def run(self, steps: int, tick: Tick) -> Outcome:
        """Take the steps and return the fooling points."""
        for step in range(steps):
            state = self._state
            self.spent[state.here] += self._open(state)
            for part in parts(state.x):
                self._step(state, part)
            standing = self._open(state)
            if not bool(standing.any()):
                break
            self._state = pack(state, standing, step)
            tick(step / steps)
        return outcome(self._ball, self._origin, self.nearest, self.distance, self.spent, self.spent)

    def _open(self, state: _State) -> Tensor:
        """Return (n,) bool: rows without a fooling point inside the radius; all rows if the radius is infinite."""
        return (self.distance[state.here] > self._ball.eps) | (self._ball.eps == float("inf"))

    def _step(self, state: _State, part: slice) -> None:
        """Cross the linearised boundary; after a success, go part of the way back."""
        x, origin, y, targets = state.x[part], state.origin[part], state.y[part], state.targets[part]
        moved = self._cross(x, origin, slope(self._model, x, gap, y, targets))
        logits = look(self._model, moved)
        out = fell(logits, y, targets if self._exact else None)
        here = state.here[part]
        distance = lengths(moved - origin, self._ball.norm)
        better = out & (distance < self.distance[here])
        self.nearest[here[better]], self.distance[here[better]] = moved[better], distance[better]
        x.copy_(moved.where(~shaped(out, moved), origin + _BACK * (moved - origin)))

    def _cross(self, x: Tensor, origin: Tensor, seen: Any) -> Tensor:  # noqa: ANN401 - a Slope
        """Mix the steps to the boundary from the current point and from the clean row (equation 9)."""
        ball = self._ball
        rise = 2 * rounding(seen.logits) - seen.loss
        from_here = to_plane(x, seen.gradient, rise, ball)
        back = (seen.gradient * (x - origin)).flatten(1).sum(1)
        from_origin = to_plane(origin, seen.gradient, rise + back, ball)
        near, far = (lengths(step, ball.norm).clamp_min(1e-8) for step in (from_here, from_origin))
        share = shaped((near / (near + far)).clamp(0, _BIAS), x)
        mixed = (x + _BEYOND * from_here) * (1 - share) + (origin + _BEYOND * from_origin) * share
        return mixed.clamp(ball.low, ball.high)
