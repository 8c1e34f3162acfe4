"""Evaluate one model under one declared evasion threat: clean accuracy and accuracy under attack.

A row counts as robust only if it is classified correctly unchanged and under every attack. `attacks.verdict` judges every
adversarial input; an input outside its budget would be a bug of an attack and ends the evaluation.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from time import monotonic
from typing import Any

import numpy as np

from hauberk.attacks.attack import attack
from hauberk.attacks.budget import Ball, Budget, budget_of
from hauberk.attacks.evasion import ATTACKS
from hauberk.attacks.examples import examples
from hauberk.attacks.params import by_cost
from hauberk.attacks.verdict import AttackResult
from hauberk.core import canonical
from hauberk.core.columns import Column
from hauberk.core.errors import InvalidInput
from hauberk.core.evidence import Measurement
from hauberk.core.findings import Finding, Kind, Place, Severity
from hauberk.core.progress import Part, Quiet, Task
from hauberk.core.registry import Entry
from hauberk.core.threats import Evasion
from hauberk.models.port import Differentiable, Floats, Labels, Model

Attacks = Sequence[tuple[str, Mapping[str, Any]]]
Chosen = tuple[Entry[Any], Any]

_FACTORS = (0.0, 0.25, 0.5, 0.75, 1.0, 1.5, 2.0)  # radii of the curve, as multiples of the declared budget
_CURVE_ROWS = 256
_MASKED = 0.05  # a black-box attack that is better by this share of rows is a sign of masked gradients


def usual(kind: str) -> list[Chosen]:
    """Return the attacks that `evaluate` runs by default on this kind of data, cheapest access first."""
    entries = [entry for entry in ATTACKS if kind in entry.params.evaluation]
    entries.sort(key=lambda entry: by_cost(entry.name, entry.params))
    return [(entry, entry.make(entry.params.evaluation[kind])) for entry in entries]


def evaluate(  # noqa: PLR0913 - the model, the rows, and what the evidence has to name
    model: Model,
    x: Floats,
    y: Labels,
    *,
    threat: Evasion,
    columns: Sequence[Column],
    classes: Sequence[str],
    attacks: Attacks = (),
    seed: int,
    task: Task | None = None,
) -> Measurement:
    """Measure accuracy on x, y unchanged and under attack.

    x: float32, as described in `models.port`; y: int64 (n,), n >= 1. attacks: names and parameters; if none is named, the
    attacks of `usual` that fit this model and budget. Metrics: clean_accuracy, robust_accuracy, robust_accuracy_<attack>,
    queries_<attack> (mean number of scores and gradients for each row), seconds. Series: accuracy_by_radius. Outputs:
    examples.json; verdicts.json with, for each row, whether it is right and whether it is robust. Raises InvalidInput
    when the model fails or returns NaN.
    """
    started = monotonic()
    task = task or Quiet()
    if not len(x):
        raise InvalidInput("there are no rows to attack: the test side of the data is empty.")
    budget = budget_of(threat, columns)
    chosen = _chosen(attacks, model, x, budget)
    standing, worst = np.ones(len(x), dtype=np.bool_), x.copy()
    metrics: dict[str, float] = {}
    notes = list(_notes(len(x), chosen))
    for number, (entry, params) in enumerate(chosen):
        rng = np.random.default_rng([seed, number])
        part = Part(task, number, len(chosen) + 1)
        found = _sound(attack(entry.run, model, x, y, budget, params, rng=rng, task=part), entry.name)
        right = found.verdicts.right
        metrics["clean_accuracy"] = found.accuracy
        asked = found.verdicts.queries + found.verdicts.gradients
        metrics[f"queries_{entry.name}"] = float(asked[right].mean()) if right.any() else 0.0
        metrics[f"robust_accuracy_{entry.name}"] = found.robust
        fell = found.verdicts.fooled & right & standing
        worst[fell] = found.x[fell]
        standing &= right & ~found.verdicts.fooled
        notes += [warning for warning in found.warnings if warning not in notes]
    metrics["robust_accuracy"] = float(standing.mean())
    curve = _curve(model, x, y, budget, threat, chosen[0], seed, Part(task, len(chosen), len(chosen) + 1))
    metrics["seconds"] = monotonic() - started
    return Measurement(
        metrics,
        findings=_findings(metrics, chosen, curve),
        series={"accuracy_by_radius": curve},
        outputs={
            "examples.json": examples(model, x, worst, y, np.flatnonzero(right & ~standing), budget, classes),
            # Row by row, in the order of x: a paired comparison of two models needs it.
            "verdicts.json": canonical.encode(
                {"version": 1, "right": right.astype(int).tolist(), "robust": standing.astype(int).tolist()}
            ),
        },
        notes=tuple(notes),
    )


def _chosen(attacks: Attacks, model: Model, x: Floats, budget: Budget) -> list[Chosen]:
    if attacks:
        return [(ATTACKS[name], ATTACKS[name].make(params)) for name, params in attacks]
    kind = "image" if x.ndim == 4 else "table"
    candidates = usual(kind)
    fitting = [
        (entry, params)
        for entry, params in candidates
        if (params.access != "gradients" or isinstance(model, Differentiable))
        and (not isinstance(budget, Ball) or budget.norm in params.norms)
    ]
    if not fitting:
        known = ", ".join(entry.name for entry, _ in candidates) or "none"
        raise InvalidInput(f"none of the default attacks ({known}) fits this model and budget: name one.")
    return fitting


def _sound(found: AttackResult, name: str) -> AttackResult:
    """Return the result. Raises for an attack that left its budget, and for a model that returned NaN."""
    broken = np.flatnonzero(~found.verdicts.allowed)
    if len(broken):
        raise AssertionError(f"attack {name} left its budget in {len(broken)} rows: its results do not count.")
    undefined = np.flatnonzero(found.verdicts.undefined)
    if len(undefined):
        raise InvalidInput(
            f"the model returned scores that are NaN for {len(undefined)} of {len(found.x)} rows, first at row "
            f"{undefined[0]}: look for a division by zero, a logarithm of zero, or training that diverged."
        )
    return found


def _curve(  # noqa: PLR0913, PLR0917 - as evaluate
    model: Model, x: Floats, y: Labels, budget: Budget, threat: Evasion, chosen: Chosen, seed: int, task: Task
) -> list[dict[str, float]]:
    """Return the accuracy of the first rows under the first attack, at growing multiples of the budget."""
    entry, params = chosen
    x, y = x[:_CURVE_ROWS], y[:_CURVE_ROWS]
    unit = threat.eps or 1.0
    points: list[dict[str, float]] = []
    for number, factor in enumerate(_FACTORS):
        if factor:
            part = Part(task, number, len(_FACTORS))
            rng = np.random.default_rng(seed)
            found = attack(entry.run, model, x, y, budget.scaled(factor), params, rng=rng, task=part)
            points.append({"x": factor * unit, "y": _sound(found, entry.name).robust})
        else:
            points.append({"x": 0.0, "y": float((model.scores(x).argmax(axis=1) == y).mean())})
    return points


def _findings(
    metrics: Mapping[str, float], chosen: Sequence[Chosen], curve: list[dict[str, float]]
) -> tuple[Finding, ...]:
    findings: list[Finding] = []
    clean, robust = metrics["clean_accuracy"], metrics["robust_accuracy"]
    if clean - robust > 0.5 * clean:
        findings.append(
            Finding(
                "the declared attack breaks most of the model's correct predictions",
                Place(Kind.MODEL),
                Severity.HIGH,
                "harden it against this threat, or do not serve it where others choose the inputs",
                threat="evasion",
                value=robust,
                limit=clean,
                unit="accuracy",
            )
        )
    by_name = {entry.name: metrics[f"robust_accuracy_{entry.name}"] for entry, _ in chosen}
    white = [by_name[entry.name] for entry, params in chosen if params.access == "gradients"]
    black = [by_name[entry.name] for entry, params in chosen if params.access != "gradients"]
    flat = curve[-1]["y"] > 0.9 * curve[0]["y"] > 0
    if white and black and min(black) < min(white) - _MASKED:
        findings.append(_masked("a black-box attack succeeds more often than the white-box attacks", min(white)))
    elif white and flat and robust > 0.9 * clean and min(white) == robust:
        findings.append(_masked("accuracy hardly falls at twice the radius", curve[-1]["y"], Severity.LOW))
    return tuple(findings)


def _masked(what: str, value: float, severity: Severity = Severity.MEDIUM) -> Finding:
    return Finding(
        f"{what}: gradients may be masked",
        Place(Kind.MODEL),
        severity,
        "trust the smaller number, and look for layers that round, clip or saturate (Athalye et al. 2018)",
        threat="evasion",
        value=value,
        unit="accuracy",
    )


def _notes(rows: int, chosen: Sequence[Chosen]) -> tuple[str, ...]:
    names = ", ".join(entry.name for entry, _ in chosen)
    return (
        f"{rows} test rows were attacked by {names}; stronger attacks may exist.",
        f"The curve is of the first {min(rows, _CURVE_ROWS)} of them under {chosen[0][0].name}.",
    )
