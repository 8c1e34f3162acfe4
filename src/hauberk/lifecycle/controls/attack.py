"""Attack: a campaign of attacks on one model, one aim, with an exact confidence interval; what `hauberk attack` runs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from hauberk.attacks.attack import attack
from hauberk.attacks.budget import Region
from hauberk.attacks.campaign import INTERRUPTED, Campaign, Chosen, campaign
from hauberk.attacks.examples import examples
from hauberk.core.control import seed_of
from hauberk.core.errors import Unavailable
from hauberk.core.evidence import Measurement
from hauberk.core.findings import Finding, Kind, Place, Severity
from hauberk.core.progress import Task
from hauberk.data.reading.dataset import Dataset
from hauberk.lifecycle.controls import CONTROLS
from hauberk.models.port import Floats, Model

_FACTORS = (0.25, 0.5, 0.75, 1.0, 1.5, 2.0)  # radii of the curve, as shares of the aim's
_CURVE_ROWS = 128


@dataclass(frozen=True, slots=True, eq=False)
class Besieged:
    """A model, the rows to attack it on, what the adversary may do, and the attacks in their order.

    radius: of the budget, in the unit of the curve's x axis. notes: sentences on the model, for the evidence.
    """

    model: Model
    rows: Dataset
    budget: Region
    radius: float
    attacks: Sequence[Chosen]
    notes: Sequence[str] = ()


@dataclass(frozen=True, slots=True)
class Params:
    """rows: at least 1. precision, confidence: in (0, 1)."""

    threat: Mapping[str, Any] = field(
        default_factory=dict, metadata={"help": "what the adversary may do, described"}
    )
    target: Mapping[str, Any] = field(default_factory=dict, metadata={"help": "name and form of the model"})
    attacks: Sequence[str] = field(default=(), metadata={"help": "names of the attacks, in their order"})
    rows: int | None = field(default=None, metadata={"help": "attack no more rows, drawn at random"})
    precision: float | None = field(
        default=None, metadata={"help": "stop once robust accuracy is known to this on either side"}
    )
    confidence: float = field(default=0.95, metadata={"help": "of the interval"})
    curve: bool = field(default=True, metadata={"help": "measure other radii too, by the first attack"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Attacked(Measurement):
    """The measurement, and the campaign that it is about, for the page and the screen."""

    campaign: Campaign


@CONTROLS.register(
    "attack",
    practice="2a",
    threats=("evasion",),
    summary="one model under a campaign of attacks, with an exact interval",
    params=Params,
)
def run(inputs: Besieged, params: Params, *, rng: np.random.Generator, task: Task) -> Attacked:
    """Attack the rows and measure the result. Outputs: examples.json.

    Details: `partial`, why the campaign ended early, "" when it did not: an interrupt, or a service that went away, gives a
    partial result. Raises as `attacks.campaign`. Answers: how often these attacks succeed. Does not answer: stronger attacks.
    """
    seed, data = seed_of(rng), inputs.rows
    if params.rows is not None and params.rows < len(data):
        data = data.take(np.sort(np.random.default_rng([seed, 1]).permutation(len(data))[: params.rows]))
    found = campaign(
        inputs.model,
        data.x,
        data.y,
        budgets=[inputs.budget] * len(inputs.attacks),
        attacks=inputs.attacks,
        seed=seed,
        precision=params.precision,
        confidence=params.confidence,
        task=task,
    )
    origin = data.x[found.order]
    series = {f"success_by_queries_{a.name}": found.success_by_queries(a) for a in found.attempts}
    outputs: dict[str, bytes] = {}
    # The result is kept when somebody stops the rest, or when the service goes away meanwhile.
    try:
        fell = np.flatnonzero(found.fooled)
        outputs["examples.json"] = examples(
            inputs.model,
            origin,
            found.x,
            found.y,
            fell,
            inputs.budget,
            data.classes,
            numbers=data.rows[found.order],
        )
        if params.curve and not found.partial:
            series["accuracy_by_radius"] = _curve(inputs, found, origin, seed, task)
    except (KeyboardInterrupt, Unavailable) as error:
        found = replace(found, partial=INTERRUPTED if isinstance(error, KeyboardInterrupt) else str(error))
    return Attacked(
        _metrics(found),
        _findings(found),
        series,
        outputs,
        _notes(found, inputs),
        details={"partial": found.partial},
        campaign=found,
    )


def _metrics(found: Campaign) -> dict[str, float]:
    metrics = {
        "clean_accuracy": found.clean,
        "robust_accuracy": found.robust.share,
        "robust_accuracy_low": found.robust.low,
        "robust_accuracy_high": found.robust.high,
        "rows": float(len(found.order)),
        "seconds": found.seconds,
    }
    for attempt in found.attempts:
        metrics[f"attacked_{attempt.name}"] = float(len(attempt.rows))
        metrics[f"success_{attempt.name}"] = attempt.success
        metrics[f"queries_{attempt.name}"] = float(attempt.asked.mean()) if len(attempt.rows) else 0.0
    return metrics


def _curve(inputs: Besieged, found: Campaign, origin: Floats, seed: int, task: Task) -> list[dict[str, float]]:
    """Return the accuracy of the first rows under the first attack, at growing shares of the budget."""
    chosen = inputs.attacks[0]
    x, y = origin[:_CURVE_ROWS], found.y[:_CURVE_ROWS]
    points = [{"x": 0.0, "y": float(found.right[:_CURVE_ROWS].mean())}]
    for number, factor in enumerate(_FACTORS):
        task.update(number / len(_FACTORS), text=f"accuracy at {factor:g} of the radius")
        rng = np.random.default_rng([seed, 0])
        tried = attack(chosen.run, inputs.model, x, y, inputs.budget.scaled(factor), chosen.params, rng=rng)
        points.append({"x": factor * inputs.radius, "y": tried.robust})
    return points


def _findings(found: Campaign) -> tuple[Finding, ...]:
    findings: list[Finding] = []
    if found.clean - found.robust.share > 0.5 * found.clean:
        findings.append(
            Finding(
                "the attack breaks most of what the model gets right",
                Place(Kind.MODEL),
                Severity.HIGH,
                "harden it to this threat, or do not serve it where inputs can be chosen by others",
                threat="evasion",
                value=found.robust.share,
                limit=found.clean,
                unit="accuracy",
            )
        )
    return tuple(findings)


def _notes(found: Campaign, inputs: Besieged) -> tuple[str, ...]:
    names = ", ".join(chosen.name for chosen in inputs.attacks)
    told = f"{len(found.order)} of {found.wanted} rows were attacked by {names}, each on the rows that none before it had fooled"
    notes = [f"{told}; stronger attacks may exist.", *inputs.notes, *found.warnings]
    if found.partial:
        notes.insert(0, f"partial: {found.partial}")
    return tuple(notes)
