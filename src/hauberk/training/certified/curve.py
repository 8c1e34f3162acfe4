"""Certified accuracy by radius, measured as evidence, for comparison with the empirical curve.

Imports torch when it is imported.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import torch

from hauberk.attacks.budget import Ball, budget_of
from hauberk.core.columns import Column
from hauberk.core.errors import InvalidInput
from hauberk.core.evidence import Measurement
from hauberk.core.progress import Quiet, Task
from hauberk.core.threats import Evasion, Norm
from hauberk.models.port import Floats, Labels
from hauberk.models.torch_model import TorchModel
from hauberk.training.certified import bounds, smoothing
from hauberk.training.certified.smoothing import Smoothing

Way = Literal["bounds", "smoothing"]
SERIES = "certified_accuracy_by_radius"
_FACTORS = (
    0.0,
    0.25,
    0.5,
    0.75,
    1.0,
    1.5,
    2.0,
)  # radii as multiples of the declared budget, as in the attacks' curve
SIGMA = 0.5  # noise, as a share of the L2 radius: the default of method "noise"


def measure(  # noqa: PLR0913 - the model, the rows, and the threat, all keyword-only but model and rows
    model: TorchModel,
    x: Floats,
    y: Labels,
    *,
    threat: Evasion,
    columns: Sequence[Column] = (),
    way: Way,
    sigma: float = SIGMA,
    seed: int,
    task: Task | None = None,
) -> Measurement:
    """Return the share of rows that are classified correctly and certified, at the declared budget and around it.

    sigma: standard deviation of the noise as a share of the radius, for smoothing only. Metrics, all in [0, 1]:
    certified_accuracy at the declared budget; with smoothing also smoothed_accuracy (of the vote at radius 0) and
    abstained. Series: certified_accuracy_by_radius. Answers: every attacker within the budget, for certified rows.
    Does not answer: larger budgets. Raises InvalidInput for smoothing with any budget but an L2 ball, and for bounds
    of a model that cannot be traced or has a layer without a rule.
    """
    task = task or Quiet()
    if way == "smoothing":
        return _smoothed(model, x, y, threat, sigma, seed, task)
    unit, points = threat.eps or 1.0, []
    budget = budget_of(threat, columns)
    for number, factor in enumerate(_FACTORS):
        if factor:
            share = float(bounds.certified(model, x, y, budget.scaled(factor)).mean())
        else:
            share = float((model.scores(x).argmax(axis=1) == y).mean())
        points.append({"x": factor * unit, "y": share})
        task.update((number + 1) / len(_FACTORS), text=f"certified at {factor:g} of the radius: {share:.3f}")
    note = (
        f"Interval and linear bounds were computed for {len(x)} rows: for a certified row, no allowed input is "
        "classified wrongly."
    )
    return Measurement({"certified_accuracy": _at_budget(points)}, series={SERIES: points}, notes=(note,))


def _smoothed(  # noqa: PLR0913, PLR0917 - as `measure`
    model: TorchModel, x: Floats, y: Labels, threat: Evasion, sigma: float, seed: int, task: Task
) -> Measurement:
    budget = budget_of(threat)
    if not (isinstance(budget, Ball) and budget.norm is Norm.L2):
        raise InvalidInput(
            'smoothing certifies L2 balls around images: declare norm = "l2", or certify by "bounds".'
        )
    how = Smoothing(sigma * threat.eps)
    rng = torch.Generator(model.device).manual_seed(seed)
    result = smoothing.certify(model, x, how, rng=rng, task=task)
    right = result.classes == y
    points = []
    for factor in _FACTORS:
        radius = factor * threat.eps
        # Theorem 1 holds for changes shorter than the certified radius, so that radius must exceed the ball's.
        points.append({"x": radius, "y": float((right & (result.radii > radius if factor else right)).mean())})
    metrics = {
        "certified_accuracy": _at_budget(points),
        "smoothed_accuracy": points[0]["y"],
        "abstained": float((result.classes == smoothing.ABSTAIN).mean()),
    }
    note = (
        f"Randomised smoothing was computed for {len(x)} rows: sigma {how.sigma:.3g}, {how.votes} votes, each "
        f"certificate wrong with probability at most {how.alpha:g}."
    )
    scope = "The certificate is for the vote over noisy copies, not for the model served alone."
    return Measurement(metrics, series={SERIES: points}, notes=(note, scope))


def _at_budget(points: Sequence[dict[str, float]]) -> float:
    return points[_FACTORS.index(1.0)]["y"]
