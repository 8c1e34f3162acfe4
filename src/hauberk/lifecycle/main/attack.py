"""Attack every model of the run with every declared evasion threat, by the same attacks and on the same rows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

from hauberk.core.errors import InvalidInput
from hauberk.core.threats import Evasion
from hauberk.lifecycle.controls import CONTROLS
from hauberk.lifecycle.controls.evasion import Attacked, Params
from hauberk.lifecycle.controls.training import WEIGHTS
from hauberk.lifecycle.main.job import About, Job
from hauberk.lifecycle.main.models import Trained, bring_back
from hauberk.lifecycle.main.running import run_step
from hauberk.project import Declared


def attack_models(job: Job, about: About, models: Sequence[Trained]) -> None:
    """Measure clean accuracy and accuracy under attack, one piece of evidence for each model and threat."""
    for declared in job.project.threats:
        if isinstance(declared.threat, Evasion):
            for model in models:
                _attack(job, about, model, declared, declared.threat)


def _attack(job: Job, about: About, model: Trained, declared: Declared, threat: Evasion) -> None:
    evaluation = job.project.evaluation
    if evaluation.certify is not None and WEIGHTS not in model.outputs:
        raise InvalidInput(
            f"{job.project.where('evaluation', 'certify')}: certificates are for torch models, and this is a model "
            "without gradients: leave certify out."
        )

    def inputs() -> Attacked:
        rows, test = job.attacked(evaluation.rows), job.split.test
        brought = bring_back(job, about, model)
        return Attacked(brought, test.x[rows], test.y[rows], threat, about.columns, about.classes)

    params = Params(
        describe(declared, threat),
        tuple({"name": name, **params} for name, params in evaluation.attacks),
        evaluation.rows,
        evaluation.certify,
        # The noise that the model was trained with, where it was trained for smoothing.
        job.project.training.hardening.get("sigma") if evaluation.certify is not None else None,
    )
    run_step(
        job,
        CONTROLS["evasion"],
        inputs,
        params,
        step=f"attack/{declared.label}/{model.role}",
        title=f"Attack the {model.role} model: {declared.label}",
        role=model.role,
        about=model.subjects(about),
        depends={"model": dict(model.outputs), "data": about.digest},
        # One seed for all models: they meet the same adversary, with the same draws.
        seed=job.seed(f"attack {declared.label}"),
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
