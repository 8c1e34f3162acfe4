"""The project's policy for poison: set the suspect rows aside, stop the run, or report them.

Rows that are set aside are removed from the training side before anything learns from it, listed in an artifact with the
reasons, and logged as a repair: the ledger alone shows what was removed, why, and what was kept. The checks then run again
on the remaining rows. Test rows are never removed: a model meets poisoned inputs in use, too.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from hauberk.core import canonical
from hauberk.core.errors import InvalidInput, Refused
from hauberk.core.evidence import Subject
from hauberk.core.progress import Task
from hauberk.data.checks.poisoning import SUSPECTS
from hauberk.data.reading.dataset import Split
from hauberk.lifecycle.main.data import verify_data
from hauberk.lifecycle.main.job import About, Job
from hauberk.records import lineage
from hauberk.records.steps import Product
from hauberk.records.workshop import SEALING

QUARANTINE = "quarantine.json"
_STEP = "verify/poisoning"


def answer_poison(job: Job, about: About) -> About:
    """Apply the project's policy, and return the description of the remaining data.

    Raises Refused when the policy is to stop and poison was found; InvalidInput when a class would lose all its rows.
    """
    told = poison_report(job)
    if not told.get("found") or job.project.poison == "report":
        return about
    suspects = [entry for entry in told["suspects"] if isinstance(entry, Mapping)]
    if job.project.poison == "stop":
        place = job.project.folder / SUSPECTS
        job.disk.write(place, canonical.encode(dict(told)))
        raise Refused(
            f"{len(suspects)} of {about.train} training rows look like poison, more than false alarms explain, and the "
            f'project says poison = "stop". {_worst(suspects)} {place} lists all of them: correct or remove them, or write '
            'poison = "quarantine".'
        )
    return set_aside(job, about, suspects)


def poison_report(job: Job) -> Mapping[str, Any]:
    """Return the document that the poisoning check wrote in this run, {} when it wrote none."""
    done = next((done for done in reversed(job.steps.done) if done.name == _STEP), None)
    if done is None or not done.logged:
        return {}
    outputs = done.logged[0].statement.predicate.get("outputs", [])
    digest = next((output["digest"]["sha256"] for output in outputs if output["name"] == SUSPECTS), None)
    if digest is None:
        return {}
    document: Mapping[str, Any] = canonical.decode(job.workshop.artifacts.get(digest), what=SUSPECTS)
    return document


def set_aside(job: Job, about: About, suspects: Sequence[Mapping[str, Any]]) -> About:
    """Remove the training rows that `suspects` name by `row`, list them with the reasons, log it, and verify the rest."""
    rows = sorted(int(entry["row"]) for entry in suspects)

    def work(_task: Task) -> Product:
        split = without(job.split, rows)
        digest = canonical.digest([split.train.digest(), split.test.digest()])
        kept = job.workshop.artifacts.put(
            canonical.encode({"version": 1, "rows": [dict(entry) for entry in suspects]}),
            key=SEALING if job.project.release.seal else None,
        )
        event = lineage.transaction(
            job.workshop,
            lineage.REPAIRED,
            inputs=(*((job.source,) if job.source is not None else ()), about.subject),
            outputs=(Subject("dataset", digest), Subject(QUARANTINE, kept)),
            removed=len(rows),
            kept=len(split.train),
        )
        values = {"digest": digest, "train": len(split.train)}
        return Product(outputs={QUARANTINE: kept}, statements=[event], values=values)

    inputs = {"data": about.digest, "rows": canonical.digest(rows)}
    values = job.steps.do("quarantine", f"Set {len(rows)} suspect rows aside", inputs, work).values
    job.set_aside(rows)
    left = replace(about, digest=values["digest"], train=values["train"])
    verify_data(job, left, again=True)
    return left


def without(split: Split, rows: Sequence[int]) -> Split:
    """Return the split without these training rows, given by their numbers in the files.

    Raises InvalidInput when a class would lose its last training row.
    """
    left = Split(split.train.take(~np.isin(split.train.rows, rows)), split.test, split.files)
    lost = np.setdiff1d(np.unique(split.train.y), np.unique(left.train.y))
    if len(lost):
        names = ", ".join(repr(split.train.classes[label]) for label in lost)
        raise InvalidInput(
            f"without the suspect rows no training row of {names} is left. Look at these rows; if they are right, "
            'write poison = "report".'
        )
    return left


def _worst(suspects: list[Mapping[str, Any]]) -> str:
    if not suspects:
        return ""
    return f"The worst is row {suspects[0]['row']}: {suspects[0]['reason']}."
