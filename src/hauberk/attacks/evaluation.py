"""Evaluate one model under one declared evasion threat: accuracy as it is, and accuracy under attack.

A row counts as robust only if it is right as it is and right under every attack. Each adversarial input is judged
once more by the budget's independent check: one that broke the rules would be a bug here, and ends the evaluation.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from time import monotonic
from typing import Any

import numpy as np

from hauberk.attacks.budget import Budget, budget_of
from hauberk.attacks.evasion import ATTACKS
from hauberk.attacks.examples import examples
from hauberk.attacks.model import Differentiable, Floats, Labels, Model
from hauberk.core import canonical
from hauberk.core.columns import Column
from hauberk.core.errors import HauberkError, InvalidInput
from hauberk.core.evidence import Measurement
from hauberk.core.findings import Finding, Severity
from hauberk.core.progress import Quiet, Task
from hauberk.core.registry import Entry
from hauberk.core.threats import Evasion

Attacks = Sequence[tuple[str, Mapping[str, Any]]]

_FACTORS = (0.0, 0.25, 0.5, 0.75, 1.0, 1.5, 2.0)  # radii of the curve, as shares of the declared budget
_CURVE_ROWS = 256
_MASKED = 0.05  # a black-box attack that beats the white-box one by this share points to masked gradients


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
    """Measure accuracy on x, y as they are and under attack.

    x: float32, as `attacks.model` says; y: int64 (n,), n >= 1. attacks: names and parameters; none named means
    every registered one that serves this model and budget, with its defaults. Metrics: clean_accuracy,
    robust_accuracy, robust_accuracy_<attack>, queries_<attack> (scores and gradients asked for each row), seconds.
    Series: accuracy_by_radius. Outputs: examples.json; verdicts.json, whether each row is right as it is, and robust.
    Raises InvalidInput when the model fails or returns NaN.
    """
    started = monotonic()
    task = task or Quiet()
    if not len(x):
        raise InvalidInput("there are no rows to attack: the test side of the data is empty.")
    door = _Watched(model) if isinstance(model, Differentiable) else _Asked(model)
    budget = budget_of(threat, columns)
    right = door.scores(x).argmax(axis=1) == y
    chosen = _chosen(attacks, door, x)
    standing, worst = right.copy(), x.copy()
    metrics = {"clean_accuracy": float(right.mean())}
    for number, (entry, params) in enumerate(chosen):
        rows, door.rows = np.flatnonzero(right), 0
        rng = np.random.default_rng([seed, number])
        found = entry.run(
            door, x[rows], y[rows], budget, params, rng=rng, task=_Part(task, number, len(chosen) + 1)
        )
        metrics[f"queries_{entry.name}"] = door.rows / max(1, len(rows))
        _recheck(budget, found, x[rows], entry.name)
        held = door.scores(found).argmax(axis=1) == y[rows] if len(rows) else np.zeros(0, dtype=np.bool_)
        metrics[f"robust_accuracy_{entry.name}"] = float(held.sum() / len(x))
        fell = rows[~held & standing[rows]]
        worst[fell] = found[~held & standing[rows]]
        standing[fell] = False
    metrics["robust_accuracy"] = float(standing.mean())
    curve = _curve(door, x, y, budget, threat, chosen[0], seed, _Part(task, len(chosen), len(chosen) + 1))
    metrics["seconds"] = monotonic() - started
    return Measurement(
        metrics,
        findings=_findings(metrics, chosen, curve),
        series={"accuracy_by_radius": curve},
        outputs={
            "examples.json": examples(door, x, worst, y, np.flatnonzero(right & ~standing), budget, classes),
            # Row by row, in the order of x: what a paired comparison of two models is made from.
            "verdicts.json": canonical.encode(
                {"version": 1, "right": right.astype(int).tolist(), "robust": standing.astype(int).tolist()}
            ),
        },
        notes=_notes(len(x), chosen),
    )


class _Asked:
    """Stands before the model: counts the rows it is asked about, and refuses answers that are no numbers."""

    def __init__(self, model: Model) -> None:
        self._model = model
        self.rows = 0

    @property
    def classes(self) -> int:
        return self._model.classes

    def scores(self, x: Floats) -> Floats:
        self.rows += len(x)
        try:
            scores = self._model.scores(x)
        except HauberkError:
            raise
        except Exception as error:
            raise InvalidInput(f"the model failed on {len(x)} rows: {type(error).__name__}: {error}") from error
        if scores.shape != (len(x), self.classes):
            raise InvalidInput(
                f"the model returned scores of shape {scores.shape}, expected {(len(x), self.classes)}."
            )
        _finite(scores, "scores")
        return scores


class _Watched(_Asked):
    """The same before a model with gradients."""

    def loss_gradient(self, x: Floats, y: Labels) -> tuple[Floats, Floats]:
        assert isinstance(self._model, Differentiable)
        self.rows += len(x)
        loss, gradient = self._model.loss_gradient(x, y)
        _finite(gradient.reshape(len(x), -1), "gradients")
        return loss, gradient


def _finite(values: Floats, what: str) -> None:
    bad = np.flatnonzero(~np.isfinite(values).all(axis=1))
    if len(bad):
        raise InvalidInput(
            f"the model returned {what} that are NaN or infinite for {len(bad)} of {len(values)} rows, first at "
            f"row {bad[0]}: look for a division by zero, a logarithm of zero, or training that diverged."
        )


class _Part:
    """One of several equal parts of a task."""

    def __init__(self, task: Task, number: int, parts: int) -> None:
        self._task, self._number, self._parts = task, number, parts

    def update(self, done: float, *, text: str = "") -> None:
        self._task.update((self._number + done) / self._parts, text=text)


Chosen = tuple[Entry[Any], Any]


def _chosen(attacks: Attacks, model: Model, x: Floats) -> list[Chosen]:
    if attacks:
        return [(ATTACKS[name], ATTACKS[name].make(params)) for name, params in attacks]
    kind = "image" if x.ndim == 4 else "table"
    gradients = isinstance(model, Differentiable)
    entries = [entry for entry in ATTACKS if kind in entry.kinds and (gradients or entry.name != "pgd")]
    return [(entry, entry.make({})) for entry in entries]


def _recheck(budget: Budget, found: Floats, origin: Floats, name: str) -> None:
    broken = np.flatnonzero(~budget.allows(found, origin))
    if len(broken):
        raise AssertionError(f"attack {name} left its budget in {len(broken)} rows: its results do not count.")


def _curve(  # noqa: PLR0913, PLR0917 - as evaluate
    model: Model, x: Floats, y: Labels, budget: Budget, threat: Evasion, chosen: Chosen, seed: int, task: Task
) -> list[dict[str, float]]:
    """Accuracy of the first rows under the first attack, at growing shares of the budget."""
    entry, params = chosen
    x, y = x[:_CURVE_ROWS], y[:_CURVE_ROWS]
    right = np.flatnonzero(model.scores(x).argmax(axis=1) == y)
    unit = threat.eps or 1.0
    points: list[dict[str, float]] = []
    for number, factor in enumerate(_FACTORS):
        held = float(len(right))
        if factor and len(right):
            scaled = budget.scaled(factor)
            part = _Part(task, number, len(_FACTORS))
            found = entry.run(model, x[right], y[right], scaled, params, rng=np.random.default_rng(seed), task=part)
            _recheck(scaled, found, x[right], entry.name)
            held = float((model.scores(found).argmax(axis=1) == y[right]).sum())
        points.append({"x": factor * unit, "y": held / len(x)})
    return points


def _findings(
    metrics: Mapping[str, float], chosen: Sequence[Chosen], curve: list[dict[str, float]]
) -> tuple[Finding, ...]:
    findings: list[Finding] = []
    clean, robust = metrics["clean_accuracy"], metrics["robust_accuracy"]
    if clean - robust > 0.5 * clean:
        findings.append(
            Finding(
                "the declared attack breaks most of what the model gets right",
                "model",
                Severity.HIGH,
                "harden it to this threat, or do not serve it where inputs can be chosen by others",
                threat="evasion",
                value=robust,
                limit=clean,
                unit="accuracy",
            )
        )
    by_name = {entry.name: metrics[f"robust_accuracy_{entry.name}"] for entry, _ in chosen}
    black = [value for name, value in by_name.items() if name != "pgd"]
    flat = curve[-1]["y"] > 0.9 * curve[0]["y"] > 0
    if "pgd" in by_name and black and min(black) < by_name["pgd"] - _MASKED:
        findings.append(
            _masked("a black-box attack succeeds more often than the one with gradients", by_name["pgd"])
        )
    elif "pgd" in by_name and flat and robust > 0.9 * clean and by_name["pgd"] == robust:
        findings.append(_masked("accuracy hardly falls at twice the radius", curve[-1]["y"], Severity.LOW))
    return tuple(findings)


def _masked(what: str, value: float, severity: Severity = Severity.MEDIUM) -> Finding:
    return Finding(
        f"{what}: gradients may be masked",
        "model",
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
