"""Evasion: accuracy of a model on clean rows, under a declared threat, and, where asked for, certified against it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal

import numpy as np

from hauberk.attacks.evaluation import evaluate
from hauberk.core.columns import Column
from hauberk.core.control import seed_of
from hauberk.core.errors import InvalidInput
from hauberk.core.evidence import Measurement
from hauberk.core.progress import Task
from hauberk.core.threats import Evasion
from hauberk.data.reading.dataset import Floats, Labels
from hauberk.lifecycle.controls import CONTROLS
from hauberk.models.port import Model

_CERTIFIED_ROWS = 256  # as many as the curve under attack has; smoothing takes 1,100 votes for each


@dataclass(frozen=True, slots=True, eq=False)
class Attacked:
    """A model, the rows to attack it on, x (n, *shape) with labels y (n,), and what the adversary may do."""

    model: Model
    x: Floats
    y: Labels
    threat: Evasion
    columns: Sequence[Column]
    classes: Sequence[str]


@dataclass(frozen=True, slots=True)
class Params:
    """threat: as `threats.describe` writes it, for readers of the evidence."""

    threat: Mapping[str, Any] = field(default_factory=dict, metadata={"help": "the declared threat, described"})
    attacks: Sequence[Mapping[str, Any]] = field(
        default=(), metadata={"help": "name and params of each attack; empty: the usual ones for the kind of data"}
    )
    rows: int = field(default=0, metadata={"help": "test rows that are attacked, at most"})
    certify: Literal["bounds", "smoothing"] | None = field(
        default=None, metadata={"help": "how accuracy is certified too: bounds or smoothing"}
    )
    sigma: float | None = field(default=None, metadata={"help": "noise of smoothing, as a share of the L2 radius"})


@CONTROLS.register(
    "evasion",
    practice="2a",
    threats=("evasion",),
    summary="accuracy under the declared attacks, and certified",
    params=Params,
)
def run(inputs: Attacked, params: Params, *, rng: np.random.Generator, task: Task) -> Measurement:
    """Measure clean accuracy, robust accuracy, accuracy against radius and, with `certify`, certified accuracy.

    Models that are run with the same seed meet the same draws, so that they can be compared row by row. Raises InvalidInput
    for `certify` on a model without gradients. Answers and does not answer: as `attacks.evaluation`.
    """
    seed = seed_of(rng)
    measured = evaluate(
        inputs.model,
        inputs.x,
        inputs.y,
        threat=inputs.threat,
        columns=inputs.columns,
        classes=inputs.classes,
        attacks=tuple((one["name"], {k: v for k, v in one.items() if k != "name"}) for one in params.attacks),
        seed=seed,
        task=task,
    )
    if params.certify is None:
        return measured
    return _joined(measured, _certified(inputs, params.certify, params.sigma, seed, task))


def _certified(
    inputs: Attacked, way: Literal["bounds", "smoothing"], sigma: float | None, seed: int, task: Task
) -> Measurement:
    from hauberk.models.torch_model import TorchModel
    from hauberk.training.certified import curve

    if not isinstance(inputs.model, TorchModel):
        raise InvalidInput(
            "certificates are for torch models, and this is a model without gradients: leave certify out."
        )
    return curve.measure(
        inputs.model,
        inputs.x[:_CERTIFIED_ROWS],
        inputs.y[:_CERTIFIED_ROWS],
        threat=inputs.threat,
        columns=inputs.columns,
        way=way,
        sigma=curve.SIGMA if sigma is None else sigma,
        seed=seed,
        task=task,
    )


def _joined(one: Measurement, other: Measurement) -> Measurement:
    return replace(
        one,
        metrics={**one.metrics, **other.metrics},
        series={**one.series, **other.series},
        notes=(*one.notes, *other.notes),
    )
