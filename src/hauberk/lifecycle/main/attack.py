"""Attack every model of the run with every declared evasion threat, by the same attacks and on the same rows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from hauberk.attacks.evaluation import evaluate
from hauberk.core.errors import InvalidInput
from hauberk.core.evidence import Measurement
from hauberk.core.progress import Task
from hauberk.core.threats import Evasion
from hauberk.lifecycle.main.job import About, Job
from hauberk.lifecycle.main.models import WEIGHTS, Trained, bring_back
from hauberk.project import Declared
from hauberk.records.steps import Product

_CERTIFIED_ROWS = 256  # as many as the empirical curve is of; smoothing asks for 1100 votes of each


def attack_models(job: Job, about: About, models: Sequence[Trained]) -> None:
    """Measure clean accuracy and accuracy under attack, one piece of evidence for each model and threat."""
    for declared in job.project.threats:
        if isinstance(declared.threat, Evasion):
            for model in models:
                _attack(job, about, model, declared, declared.threat)


def _attack(job: Job, about: About, model: Trained, declared: Declared, threat: Evasion) -> None:
    evaluation = job.project.evaluation
    # One seed for both models: they meet the same adversary, with the same draws.
    seed = job.seed(f"attack {declared.label}")
    described = describe(declared, threat)
    parameters = {
        "threat": described,
        "attacks": [{"name": name, **params} for name, params in evaluation.attacks],
        "rows": evaluation.rows,
    }
    if evaluation.certify:
        parameters["certify"] = evaluation.certify

    def work(task: Task) -> Product:
        started = job.workshop.now()
        test = job.split.test
        chosen = job.attacked(evaluation.rows)
        measured = evaluate(
            bring_back(job, about, model),
            test.x[chosen],
            test.y[chosen],
            threat=threat,
            columns=about.columns,
            classes=about.classes,
            attacks=evaluation.attacks,
            seed=seed,
            task=task,
        )
        if evaluation.certify is not None:
            measured = _joined(measured, _proven(job, about, model, threat, evaluation.certify, chosen, seed))
        statement = job.workshop.evidence(
            measured,
            control="evasion",
            practice="2a",
            role=model.role,
            subjects=model.subjects(about),
            parameters=parameters,
            seed=seed,
            started=started,
        )
        return Product(statements=[statement])

    inputs = {"model": dict(model.outputs), "data": about.digest, "parameters": parameters, "seed": seed}
    title = f"Attack the {model.role} model: {declared.label}"
    job.steps.do(f"attack/{declared.label}/{model.role}", title, inputs, work)


def _proven(  # noqa: PLR0913, PLR0917 - the model, the threat, and how it is proven on which rows
    job: Job,
    about: About,
    model: Trained,
    threat: Evasion,
    way: Literal["bounds", "smoothing"],
    rows: NDArray[np.int64],
    seed: int,
) -> Measurement:
    """Return certified accuracy by radius, on as many rows as the empirical curve is of."""
    if WEIGHTS not in model.outputs:
        raise InvalidInput(
            f"{job.project.where('evaluation', 'certify')}: certificates are for torch models, and this is a model "
            "without gradients: leave certify out."
        )
    from hauberk.models.torch_model import TorchModel
    from hauberk.training.certified import curve

    brought, test, rows = bring_back(job, about, model), job.split.test, rows[:_CERTIFIED_ROWS]
    assert isinstance(brought, TorchModel)
    # What the model was trained with, where it was trained for smoothing.
    sigma = job.project.training.hardening.get("sigma", curve.SIGMA)
    return curve.measure(
        brought,
        test.x[rows],
        test.y[rows],
        threat=threat,
        columns=about.columns,
        way=way,
        sigma=sigma,
        seed=seed,
    )


def _joined(one: Measurement, other: Measurement) -> Measurement:
    return replace(
        one,
        metrics={**one.metrics, **other.metrics},
        series={**one.series, **other.series},
        notes=(*one.notes, *other.notes),
    )


def describe(declared: Declared, threat: Evasion) -> dict[str, Any]:
    """Return a threat as evidence names it: label, kind, ATLAS ids, and either norm and eps or columns and cost."""
    about: dict[str, Any] = {"label": declared.label, "kind": threat.kind, "atlas": list(threat.atlas)}
    if threat.norm is not None:
        return about | {"norm": str(threat.norm), "eps": threat.eps}
    columns = [_plain(asdict(budget)) for budget in threat.columns]
    return about | {"columns": columns, "cost": threat.cost, "relations": list(threat.relations)}


def _plain(values: Mapping[str, Any]) -> dict[str, Any]:
    given = {name: value for name, value in values.items() if value not in (None, ())}
    return (
        given
        | {"direction": str(given["direction"])}
        | ({"choices": [*given["choices"]]} if "choices" in given else {})
    )
