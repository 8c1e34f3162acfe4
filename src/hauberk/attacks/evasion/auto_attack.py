"""AutoAttack: the standard ensemble of four attacks, with nothing to tune, and warnings where it cannot be trusted.

Croce and Hein 2020, "Reliable evaluation of adversarial robustness with an ensemble of diverse parameter-free attacks",
section 6: APGD-CE, APGD-T, FAB-T, Square, each on the rows that the ones before could not fool. Differences: Square's
schedule is stretched to its queries, FAB-T stops at the radius, and L1 balls are attacked by the first three alone. For
models that answer at random the list is the authors' too, APGD-CE and APGD-DLR, on the mean prediction over draws.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, ClassVar, Unpack

import numpy as np

from hauberk.attacks.attack import ATTACKS, Attack, Common, Params, attack_ball
from hauberk.attacks.budget import Budget
from hauberk.attacks.evasion import _masking
from hauberk.attacks.evasion._minimal import ball_of
from hauberk.attacks.evasion.apgd import ApgdParams
from hauberk.attacks.evasion.apgd import run as apgd
from hauberk.attacks.evasion.fab import FabParams
from hauberk.attacks.evasion.fab import run as fab
from hauberk.attacks.evasion.square import SquareParams
from hauberk.attacks.evasion.square import run as square
from hauberk.attacks.verdict import Found, Tried, predictions
from hauberk.core.errors import InvalidInput
from hauberk.core.progress import Part, Task
from hauberk.core.threats import Norm
from hauberk.models.port import Differentiable, Floats, Labels

_DRAWS = 20  # of a model that answers at random (the authors' number)
_MODES = {"standard": 1, "random": _DRAWS}


@dataclass(frozen=True, slots=True)
class AutoAttackParams:
    """The defaults are the standard ones: results at other numbers are no AutoAttack results."""

    access: ClassVar[str] = "gradients"
    norms: ClassVar[tuple[Norm, ...]] = tuple(Norm)

    steps: int = field(default=100, metadata={"help": "gradient steps of APGD and FAB"})
    classes: int = field(default=9, metadata={"help": "target classes of APGD-T and FAB-T"})
    queries: int = field(default=5000, metadata={"help": "scores that Square asks for, at most"})
    draws: int = field(default=1, metadata={"help": "answers of a random model that are averaged; 1: not random"})

    def __post_init__(self) -> None:
        if min(self.steps, self.classes, self.queries, self.draws) < 1:
            raise InvalidInput("expected steps, classes, queries and draws of 1 or more.")

    def stages(self, norm: Norm) -> list[tuple[str, Attack, Params]]:
        """Return the attacks in their order: name, function and settings."""
        first: tuple[str, Attack, Params] = ("apgd-ce", apgd, ApgdParams(self.steps))
        if self.draws > 1:
            return [first, ("apgd-dlr", apgd, ApgdParams(self.steps, loss="dlr"))]
        stages = [
            first,
            ("apgd-t", apgd, ApgdParams(self.steps, loss="dlr", classes=self.classes)),
            ("fab-t", fab, FabParams(self.steps, classes=self.classes)),
        ]
        return [*stages, ("square", square, SquareParams(self.queries))] if norm in SquareParams.norms else stages


@ATTACKS.register(
    "auto-attack",
    practice="2a",
    threats=("evasion",),
    summary="the standard ensemble: APGD-CE, APGD-T, FAB-T, Square (white and black box)",
    params=AutoAttackParams,
    kinds=("image",),
)
def run(  # noqa: PLR0913 - the shape of an attack
    model: Differentiable,
    x: Floats,
    y: Labels,
    budget: Budget,
    params: AutoAttackParams,
    *,
    rng: np.random.Generator,
    task: Task,
) -> Tried:
    """Run the stages on what stands. Cost of a row that stands: 1,900 gradients and 5,900 queries, by the defaults."""
    ball = ball_of(budget, "auto-attack")
    tried = Tried(x.copy(), np.zeros(len(x), np.int64), np.zeros(len(x), np.int64))
    rows, fell = np.arange(len(x)), dict[str, int]()
    stages = params.stages(ball.norm)
    for number, (name, attack, settings) in enumerate(stages):
        if not len(rows):
            break
        part = Part(task, number, len(stages))
        found = attack(model, x[rows], y[rows], ball, settings, rng=rng, task=part)
        tried.x[rows] = found.x
        tried.queries[rows] += found.queries + 1
        tried.gradients[rows] += found.gradients
        stands = predictions(model.scores(found.x)) == y[rows]
        fell[name] = int((~stands).sum())
        rows = rows[stands]
    warnings = _masking.fallen_to(fell, len(x)) + _masking.of_the_standing(model, x[rows], y[rows], ball, rng=rng)
    return Tried(tried.x, tried.queries, tried.gradients, tuple(warnings))


def auto_attack(  # noqa: PLR0913 - each is a setting of the attack
    model: Any,  # noqa: ANN401 - what `as_model` takes
    x: Floats,
    y: Labels,
    *,
    norm: str,
    eps: float,
    mode: str = "standard",
    **rest: Unpack[Common],
) -> Found:
    """Attack images by the standard ensemble. mode "random" is for models that answer at random.

    model, x, y, rest: as `evasion.pgd`. With mode "random" every answer, the verdict's too, is the mean over 20 draws.
    `warnings` of the result name signs of masked gradients and of randomness. Answers the adversary that papers
    compare against; not one who adapts to the defence at hand, nor a proof that no stronger attack exists.
    """
    if mode not in _MODES:
        raise InvalidInput(f"no mode is named {mode!r}; known: {', '.join(_MODES)}.")
    return attack_ball(run, model, x, y, AutoAttackParams(draws=_MODES[mode]), norm=norm, eps=eps, **rest)
