"""AutoAttack: the standard ensemble of four attacks, without parameters to tune, with warnings about masked gradients.

Croce and Hein 2020, "Reliable evaluation of adversarial robustness with an ensemble of diverse parameter-free attacks",
section 6: APGD-CE, APGD-T, FAB-T, Square, each on the rows that the earlier ones did not fool. Differences: Square's
schedule is scaled to its number of queries, FAB-T stops at the radius, and L1 balls are attacked by the first three only.
For models that answer at random the stages are APGD-CE and APGD-DLR, as in the authors' code, on the mean prediction
over draws.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar

import numpy as np

from hauberk.attacks.attack import ATTACKS, Attack
from hauberk.attacks.budget import Ball
from hauberk.attacks.evasion.methods import _masking
from hauberk.attacks.evasion.methods.apgd import ApgdParams
from hauberk.attacks.evasion.methods.apgd import run as apgd
from hauberk.attacks.evasion.methods.fab import FabParams
from hauberk.attacks.evasion.methods.fab import run as fab
from hauberk.attacks.evasion.methods.square import SquareParams
from hauberk.attacks.evasion.methods.square import run as square
from hauberk.attacks.params import Params
from hauberk.attacks.verdict import SearchResult, predictions
from hauberk.core.errors import InvalidInput
from hauberk.core.progress import Part, Task
from hauberk.core.threats import Norm
from hauberk.models.port import Differentiable, Floats, Labels


@dataclass(frozen=True, slots=True)
class AutoAttackParams(Params):
    """The defaults are the standard values; results with other values are not AutoAttack results."""

    access: ClassVar[str] = "gradients"
    norms: ClassVar[tuple[Norm, ...]] = tuple(Norm)
    trial: ClassVar[Mapping[str, Any]] = {"steps": 6, "classes": 2, "queries": 30}

    steps: int = field(default=100, metadata={"help": "gradient steps of APGD and FAB"})
    classes: int = field(default=9, metadata={"help": "target classes of APGD-T and FAB-T"})
    queries: int = field(default=5000, metadata={"help": "largest number of scores that Square asks for"})
    draws: int = field(
        default=1,
        metadata={
            "help": "answers of a model that is random on purpose to average over (the authors use 20); 1: not random"
        },
    )

    def __post_init__(self) -> None:
        if min(self.steps, self.classes, self.queries, self.draws) < 1:
            raise InvalidInput("expected steps, classes, queries and draws of 1 or more.")

    def stages(self, norm: Norm) -> list[tuple[str, Attack, Params]]:
        """Return the stages in order: name, function and settings."""
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
    budget: Ball,
    params: AutoAttackParams,
    *,
    rng: np.random.Generator,
    task: Task,
) -> SearchResult:
    """Run the stages in order, each on the rows that are not fooled yet.

    With draws above 1 every answer, the verdict's too, is the mean over that many draws of a random model. The result's
    warnings name signs of masked gradients and of randomness. Answers the adversary that papers compare against; not one
    who adapts to the defence, nor a proof that no stronger attack exists. Cost of a row that no stage fools, with the
    defaults: 1,900 gradients and 5,900 queries.
    """
    tried = SearchResult(x.copy(), np.zeros(len(x), np.int64), np.zeros(len(x), np.int64))
    rows, fell = np.arange(len(x)), dict[str, int]()
    stages = params.stages(budget.norm)
    for number, (name, attack, settings) in enumerate(stages):
        if not len(rows):
            break
        part = Part(task, number, len(stages))
        found = attack(model, x[rows], y[rows], budget, settings, rng=rng, task=part)
        tried.x[rows] = found.x
        tried.queries[rows] += found.queries + 1
        tried.gradients[rows] += found.gradients
        stands = predictions(model.scores(found.x)) == y[rows]
        fell[name] = int((~stands).sum())
        rows = rows[stands]
    warnings = _masking.black_box_signs(fell, len(x))
    warnings += _masking.signs_on_robust_rows(model, x[rows], y[rows], budget, rng=rng)
    return SearchResult(tried.x, tried.queries, tried.gradients, tuple(warnings))
