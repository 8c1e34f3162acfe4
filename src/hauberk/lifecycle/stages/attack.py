"""Attack every model of the run with every declared evasion threat, by the same attacks and on the same rows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

from hauberk.attacks.evaluation import evaluate
from hauberk.core.progress import Task
from hauberk.core.threats import Evasion
from hauberk.lifecycle.project import Declared
from hauberk.lifecycle.stages.job import About, Job
from hauberk.lifecycle.stages.models import Trained, bring_back
from hauberk.lifecycle.steps import Product


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
