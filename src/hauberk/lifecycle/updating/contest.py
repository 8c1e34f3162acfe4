"""The contest: challenger and champion on the same rows, under the same attacks with the same draws.

What is compared, and with which error, is said in `controls.comparison`. The result is evidence about the challenger with the
metric `regressions`; an update's gate requires that it is 0.
"""

from __future__ import annotations

import numpy as np

from hauberk.core import canonical
from hauberk.core.evidence import Subject
from hauberk.core.threats import Evasion
from hauberk.custody.gate import Rule
from hauberk.lifecycle.comparing.paired import Compared
from hauberk.lifecycle.controls import CONTROLS
from hauberk.lifecycle.controls.comparison import DOCUMENT, Answers, Params, Rivals, read
from hauberk.lifecycle.main.attack import attack_models
from hauberk.lifecycle.main.job import About, Job
from hauberk.lifecycle.main.models import Trained, bring_back
from hauberk.lifecycle.main.running import run_step

RULE = Rule("regressions", "==", 0.0)
_VERDICTS = "verdicts.json"


def compete(
    job: Job, about: About, challenger: Trained, champion: Trained, anchor: Trained | None
) -> tuple[tuple[Compared, ...], tuple[str, ...]]:
    """Attack all models, compare them, attest the result; return every comparison and a note on each that was left out.

    anchor: the trusted release's model, None where it is the champion itself.
    """
    others = [champion] if anchor is None else [champion, anchor]
    attack_models(job, about, [challenger, *others])
    update = job.project.update

    def inputs() -> Rivals:
        found = [_answers(job, about, model) for model in (challenger, *others)]
        return _rivals(job, about, found)

    done = run_step(
        job,
        CONTROLS["comparison"],
        inputs,
        Params(
            champion=champion.digest,
            trusted=(anchor or champion).digest,
            confidence=update.confidence,
            groups=list(update.groups),
            favourable=update.favourable,
        ),
        step="compare",
        title="Compare challenger and champion",
        role=challenger.role,
        about=(*challenger.subjects(about), *(Subject(f"{one.role} model", one.digest) for one in others)),
        depends={
            "models": [dict(model.outputs) for model in (challenger, *others)],
            "data": about.digest,
            "attacks": [
                logged.digest
                for done in job.steps.done
                if done.name.startswith("attack/")
                for logged in done.logged
            ],
        },
        seed=job.seed("comparison"),
    )
    notes = tuple(str(note) for note in done.logged[0].statement.predicate["notes"])
    return read(job.workshop.artifacts.get(done.outputs[DOCUMENT])), notes


def _rivals(job: Job, about: About, found: list[Answers]) -> Rivals:
    test, update = job.split.test, job.project.update
    assert job.current is not None
    places = {column.name: index for index, column in enumerate(about.columns)}
    return Rivals(
        found[0],
        found[1],
        found[2] if len(found) > 2 else None,
        test.y,
        job.current,
        job.attacked(job.project.evaluation.rows),
        {group: test.x[:, places[group]].astype(np.int64) for group in update.groups},
        about.classes.index(update.favourable) if update.favourable else None,
    )


def _answers(job: Job, about: About, model: Trained) -> Answers:
    predicted = bring_back(job, about, model).scores(job.split.test.x).argmax(axis=1).astype(np.int64)
    robust = {}
    for declared in job.project.threats:
        if isinstance(declared.threat, Evasion):
            name = f"attack/{declared.label}/{model.role}"
            (logged,) = next(done.logged for done in reversed(job.steps.done) if done.name == name)
            outputs = {out["name"]: out["digest"]["sha256"] for out in logged.statement.predicate["outputs"]}
            told = canonical.decode(job.workshop.artifacts.get(outputs[_VERDICTS]), what=_VERDICTS)
            robust[declared.label] = np.array(told["robust"], np.bool_)
    return Answers(predicted, robust)
