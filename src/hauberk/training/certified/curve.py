"""Certified accuracy against radius, measured as evidence: to stand beside the empirical curve.

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
_FACTORS = (0.0, 0.25, 0.5, 0.75, 1.0, 1.5, 2.0)  # radii, as shares of the declared budget: those of the attacks
SIGMA = 0.5  # noise, as a share of the L2 radius: what method "noise" trains with


def measure(  # noqa: PLR0913 - the model, the rows, and what the evidence has to name
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
    """Return the share of rows that is right and proven to stay so, at the declared budget and around it.

    sigma: of the noise, as a share of the radius; smoothing alone uses it. Metrics: certified_accuracy, at the
    declared budget; by smoothing also smoothed_accuracy, of the vote at radius 0, and abstained. Series:
    certified_accuracy_by_radius. Raises InvalidInput for smoothing of anything but an L2 ball, and for bounds of a
    model that they cannot read.
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
    told = f"{len(x)} rows were certified by interval and linear bounds: of these no input within the radius errs."
    return Measurement({"certified_accuracy": _at_budget(points)}, series={SERIES: points}, notes=(told,))


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
    found = smoothing.certify(model, x, how, rng=rng, task=task)
    right = found.classes == y
    points = []
    for factor in _FACTORS:
        radius = factor * threat.eps
        # Theorem 1 is of changes shorter than the radius, so a ball of that radius needs a longer one.
        points.append({"x": radius, "y": float((right & (found.radii > radius if factor else right)).mean())})
    metrics = {
        "certified_accuracy": _at_budget(points),
        "smoothed_accuracy": points[0]["y"],
        "abstained": float((found.classes == smoothing.ABSTAIN).mean()),
    }
    votes = (
        f"sigma {how.sigma:.3g}, {how.votes} votes, each certificate wrong with probability {how.alpha:g} at most"
    )
    told = f"{len(x)} rows were certified by randomised smoothing: {votes}."
    whose = "It certifies the vote over noisy copies, not the model that is served alone."
    return Measurement(metrics, series={SERIES: points}, notes=(told, whose))


def _at_budget(points: Sequence[dict[str, float]]) -> float:
    return points[_FACTORS.index(1.0)]["y"]
