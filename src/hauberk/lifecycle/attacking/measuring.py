"""Measuring: run the campaign of one aim on one target, and say what it came to as evidence."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from hauberk.attacks.attack import attack
from hauberk.attacks.campaign import INTERRUPTED, Campaign, Chosen, campaign
from hauberk.attacks.examples import examples
from hauberk.core.errors import Unavailable
from hauberk.core.evidence import Measurement, Subject
from hauberk.core.findings import Finding, Severity
from hauberk.core.progress import Quiet, Task
from hauberk.lifecycle.attacking.aims import Aim
from hauberk.lifecycle.attacking.targets import Rows, Target
from hauberk.models.port import Floats
from hauberk.records.workshop import Logged, Workshop

CONTROL = "attack"
_FACTORS = (0.25, 0.5, 0.75, 1.0, 1.5, 2.0)  # radii of the curve, as shares of the aim's
_CURVE_ROWS = 128


@dataclass(frozen=True, slots=True)
class Outcome:
    """A campaign and its evidence. parameters: what it was told."""

    campaign: Campaign
    measurement: Measurement
    parameters: Mapping[str, Any]
    subjects: tuple[Subject, ...]


def measure(  # noqa: PLR0913 - the target, the rows, and how far to go
    target: Target,
    rows: Rows,
    aim: Aim,
    *,
    attacks: Sequence[Chosen],
    seed: int,
    most: int | None = None,
    precision: float | None = None,
    confidence: float = 0.95,
    curve: bool = True,
    task: Task | None = None,
) -> Outcome:
    """Attack at most `most` rows, drawn at random, and return what came of it.

    curve: measure accuracy at other radii too, by the first attack on the first rows. Raises as `attacks.campaign`;
    what is interrupted, or cut off by a service that went away, is a partial outcome.
    """
    task = task or Quiet()
    data = rows.attacked
    if most is not None and most < len(data):
        data = data.take(np.sort(np.random.default_rng([seed, 1]).permutation(len(data))[:most]))
    found = campaign(
        target.model,
        data.x,
        data.y,
        budgets=[aim.budget] * len(attacks),
        attacks=attacks,
        seed=seed,
        precision=precision,
        confidence=confidence,
        task=task,
    )
    origin = data.x[found.order]
    series = {f"success_by_queries_{a.name}": found.success_by_queries(a) for a in found.attempts}
    outputs: dict[str, bytes] = {}
    # What was found is kept when somebody stops the rest, or the service goes away while it is shown.
    try:
        fell = np.flatnonzero(found.fooled)
        outputs["examples.json"] = examples(
            target.model, origin, found.x, found.y, fell, aim.budget, data.classes, numbers=data.rows[found.order]
        )
        if curve and not found.partial:
            series["accuracy_by_radius"] = _curve(target, aim, attacks[0], found, origin, seed, task)
    except (KeyboardInterrupt, Unavailable) as error:
        found = replace(found, partial=INTERRUPTED if isinstance(error, KeyboardInterrupt) else str(error))
    measurement = Measurement(_metrics(found), _findings(found), series, outputs, _notes(found, target, attacks))
    parameters = {
        "threat": dict(aim.described),
        "target": {"name": target.name, "form": target.form},
        "attacks": [chosen.name for chosen in attacks],
        "rows": len(data),
        "precision": precision,
        "confidence": confidence,
        "partial": found.partial,
    }
    subjects = (*target.subjects, Subject("dataset", rows.attacked.digest()))
    return Outcome(found, measurement, parameters, subjects)


def attest(workshop: Workshop, outcome: Outcome, *, seed: int, started: str) -> Logged:
    """Sign the outcome and log it. started: RFC 3339, when the campaign began."""
    statement = workshop.evidence(
        outcome.measurement,
        control=CONTROL,
        practice="2a",
        role="attacked",
        subjects=outcome.subjects,
        parameters=outcome.parameters,
        seed=seed,
        started=started,
    )
    return workshop.attest(statement)


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


def _curve(  # noqa: PLR0913, PLR0917 - as measure
    target: Target, aim: Aim, chosen: Chosen, found: Campaign, origin: Floats, seed: int, task: Task
) -> list[dict[str, float]]:
    """Accuracy of the first rows under the first attack, at growing shares of the budget."""
    x, y = origin[:_CURVE_ROWS], found.y[:_CURVE_ROWS]
    points = [{"x": 0.0, "y": float(found.right[:_CURVE_ROWS].mean())}]
    for number, factor in enumerate(_FACTORS):
        task.update(number / len(_FACTORS), text=f"accuracy at {factor:g} of the radius")
        rng = np.random.default_rng([seed, 0])
        tried = attack(chosen.run, target.model, x, y, aim.budget.scaled(factor), chosen.params, rng=rng)
        points.append({"x": factor * aim.radius, "y": tried.robust})
    return points


def _findings(found: Campaign) -> tuple[Finding, ...]:
    findings: list[Finding] = []
    if found.clean - found.robust.share > 0.5 * found.clean:
        findings.append(
            Finding(
                "the attack breaks most of what the model gets right",
                "model",
                Severity.HIGH,
                "harden it to this threat, or do not serve it where inputs can be chosen by others",
                threat="evasion",
                value=found.robust.share,
                limit=found.clean,
                unit="accuracy",
            )
        )
    return tuple(findings)


def _notes(found: Campaign, target: Target, attacks: Sequence[Chosen]) -> tuple[str, ...]:
    names = ", ".join(chosen.name for chosen in attacks)
    told = (
        f"{len(found.order)} of {found.wanted} rows were attacked by {names}, each those that no other had fooled"
    )
    notes = [f"{told} before it; stronger attacks may exist.", *target.notes, *found.warnings]
    if found.partial:
        notes.insert(0, f"partial: {found.partial}")
    return tuple(notes)
