"""The contest: challenger and champion on the same rows, under the same attacks with the same draws.

Compared are accuracy, accuracy under each declared threat, and the gaps between declared groups; on the rows held out of the
trusted history and, apart from them, on the current ones. So that small losses cannot add up over many updates,
each within its interval, the challenger is held against the trusted release too. Intervals share the error: that an equally
good challenger is turned away has a probability of at most 1 - confidence, over all comparisons.

The result is evidence about the challenger with the metric `regressions`, and an update's gate asks that it be 0.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from hauberk.core import canonical
from hauberk.core.evidence import Measurement, Subject
from hauberk.core.findings import Finding, Severity
from hauberk.core.progress import Task
from hauberk.core.threats import Evasion
from hauberk.custody.gate import Rule
from hauberk.data.reading.dataset import Dataset, Labels, Mask
from hauberk.lifecycle.main.attack import attack_models
from hauberk.lifecycle.main.job import About, Job
from hauberk.lifecycle.main.models import Trained, bring_back
from hauberk.lifecycle.updating.comparing import Compared, paired
from hauberk.lifecycle.updating.fairness import FEWEST, gap_change
from hauberk.records.steps import Product

CONTROL, DOCUMENT = "comparison", "comparison.json"
RULE = Rule("regressions", "==", 0.0)
HELD, CURRENT, SINCE = "held out", "current", "held out, against the trusted release"
_VERDICTS = "verdicts.json"


@dataclass(frozen=True, slots=True, eq=False)
class _Answers:
    """What one model does on the test rows. predicted: (n,). robust: threat's label to (m,) on the attacked rows."""

    predicted: Labels
    robust: Mapping[str, Mask]


@dataclass(frozen=True, slots=True, eq=False)
class _Pair:
    """One comparison to be made, once it is known among how many the error is shared."""

    metric: str
    rows: str
    champion: Mask
    challenger: Mask
    groups: Labels | None = None


def compete(
    job: Job, about: About, challenger: Trained, champion: Trained, anchor: Trained | None
) -> tuple[tuple[Compared, ...], tuple[str, ...]]:
    """Attack all, compare, attest, and return every comparison, and a note on each that could not be made.

    anchor: the trusted release's model, None where it is the champion itself.
    """
    others = [champion] if anchor is None else [champion, anchor]
    attack_models(job, about, [challenger, *others])
    update = job.project.update
    parameters = {
        "champion": champion.digest,
        "trusted": (anchor or champion).digest,
        "confidence": update.confidence,
        "groups": list(update.groups),
        "favourable": update.favourable,
        "method": "exact McNemar test, Tango interval; gaps: paired bootstrap; shared by Bonferroni",
    }
    seed = job.seed("comparison")

    def work(task: Task) -> Product:
        started = job.workshop.now()
        found = []
        for number, model in enumerate([challenger, *others]):
            found.append(_answers(job, about, model))
            task.update(0.5 * (number + 1) / (1 + len(others)), text=model.role)
        compared, left_out = _compared(job, about, found, seed)
        kept = canonical.encode({"version": 1, "comparisons": [one.to_json() for one in compared]})
        statement = job.workshop.evidence(
            _measured(compared, left_out, kept),
            control=CONTROL,
            practice="2b",
            role=challenger.role,
            subjects=(*challenger.subjects(about), *(Subject(f"{one.role} model", one.digest) for one in others)),
            parameters=parameters,
            seed=seed,
            started=started,
        )
        return Product(outputs={DOCUMENT: canonical.sha256(kept)}, statements=[statement])

    inputs = {
        "models": [dict(model.outputs) for model in (challenger, *others)],
        "data": about.digest,
        "parameters": parameters,
        "attacks": [
            logged.digest for done in job.steps.done if done.name.startswith("attack/") for logged in done.logged
        ],
    }
    done = job.steps.do("compare", "Compare challenger and champion", inputs, work)
    notes = tuple(str(note) for note in done.logged[0].statement.predicate["notes"])
    return read(job.workshop.artifacts.get(done.outputs[DOCUMENT])), notes


def read(document: bytes) -> tuple[Compared, ...]:
    """Return the comparisons of a document that `compete` attested."""
    told = canonical.decode(document, what=DOCUMENT)
    names = set(Compared.__dataclass_fields__)
    return tuple(Compared(**{k: v for k, v in one.items() if k in names}) for one in told["comparisons"])


def _answers(job: Job, about: About, model: Trained) -> _Answers:
    predicted = bring_back(job, about, model).scores(job.split.test.x).argmax(axis=1).astype(np.int64)
    robust = {}
    for declared in job.project.threats:
        if isinstance(declared.threat, Evasion):
            name = f"attack/{declared.label}/{model.role}"
            (logged,) = next(done.logged for done in reversed(job.steps.done) if done.name == name)
            outputs = {out["name"]: out["digest"]["sha256"] for out in logged.statement.predicate["outputs"]}
            told = canonical.decode(job.workshop.artifacts.get(outputs[_VERDICTS]), what=_VERDICTS)
            robust[declared.label] = np.array(told["robust"], np.bool_)
    return _Answers(predicted, robust)


def _compared(
    job: Job, about: About, found: Sequence[_Answers], seed: int
) -> tuple[tuple[Compared, ...], tuple[str, ...]]:
    """Return the comparisons, and the names of those that too few rows allowed."""
    test, current = job.split.test, job.current
    assert current is not None
    challenger, champion = found[0], found[1]
    pairs = [*_pairs(job, about, test, champion, challenger, ~current, HELD)]
    if current.any():
        pairs += _pairs(job, about, test, champion, challenger, current, CURRENT)
    if len(found) > 2:
        pairs += _pairs(job, about, test, found[2], challenger, ~current, SINCE)
    confidence = 1 - (1 - job.project.update.confidence) / max(1, len(pairs))
    made: list[Compared] = []
    left_out: list[str] = []
    for number, one in enumerate(pairs):
        if one.groups is None:
            made.append(paired(one.metric, one.rows, one.champion, one.challenger, confidence=confidence))
        else:
            rng = np.random.default_rng([seed, number])
            gap = gap_change(
                one.metric, one.rows, one.groups, one.champion, one.challenger, confidence=confidence, rng=rng
            )
            if gap is None:
                left_out.append(f"{one.metric} on {one.rows}")
            else:
                made.append(gap)
    return tuple(made), tuple(left_out)


def _pairs(  # noqa: PLR0913, PLR0917 - two models, some rows
    job: Job, about: About, test: Dataset, champion: _Answers, challenger: _Answers, rows: Mask, name: str
) -> Iterator[_Pair]:
    old, new = champion.predicted == test.y, challenger.predicted == test.y
    yield _Pair("accuracy", name, old[rows], new[rows])
    attacked = job.attacked(job.project.evaluation.rows)
    own = rows[attacked]
    for label, held in challenger.robust.items():
        if own.any():
            yield _Pair(f"robust accuracy: {label}", name, champion.robust[label][own], held[own])
    places = {column.name: index for index, column in enumerate(about.columns)}
    for group in job.project.update.groups:
        member = test.x[rows, places[group]].astype(np.int64)
        yield _Pair(f"accuracy gap: {group}", name, old[rows], new[rows], member)
        if job.project.update.favourable:
            wanted = about.classes.index(job.project.update.favourable)
            yield _Pair(
                f"selection gap: {group}",
                name,
                champion.predicted[rows] == wanted,
                challenger.predicted[rows] == wanted,
                member,
            )


def _measured(compared: Sequence[Compared], left_out: Sequence[str], kept: bytes) -> Measurement:
    worse = [one for one in compared if one.regressed]
    metrics: dict[str, Any] = {
        "regressions": float(len(worse)),
        "improvements": float(sum(one.improved for one in compared)),
        "comparisons": float(len(compared)),
        "comparisons_left_out": float(len(left_out)),
        "largest_unexcluded_loss": max((one.unexcluded for one in compared), default=0.0),
    }
    findings = tuple(
        Finding(
            f"the challenger is worse: {one}",
            one.rows,
            Severity.HIGH,
            "The champion stays. Look at what the new rows changed, or train anew with --cold.",
            value=one.difference,
            limit=0.0,
        )
        for one in worse
    )
    notes = tuple(f"{name} was not compared: fewer than two groups have {FEWEST} rows." for name in left_out)
    return Measurement(metrics, findings, outputs={DOCUMENT: kept}, notes=notes)
