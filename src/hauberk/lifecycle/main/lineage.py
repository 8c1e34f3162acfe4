"""The transactions of the main job: the files that it read, the rows of each side, and the rows each model learned from.

A row tree (`custody.rowtree`) commits to the rows of a side, so that `hauberk data prove` can show later that a row was, or
was not, among them. The trees hold a secret without which the rows cannot be guessed. They are sealed under the data key
and kept in the artifact store: once that key is erased, nothing can be proven any more.
"""

from __future__ import annotations

import os
from typing import Any

from hauberk.core.evidence import Subject
from hauberk.core.progress import Task
from hauberk.custody import sealing
from hauberk.custody.rowtree import RowTree
from hauberk.custody.statements import Statement
from hauberk.data.manifest import build
from hauberk.data.reading.dataset import Dataset
from hauberk.data.reading.formats import shipped
from hauberk.data.reading.rowdigests import row_digests, schema_of
from hauberk.lifecycle.main.job import About, Job
from hauberk.records import lineage
from hauberk.records.index import Question
from hauberk.records.steps import Product
from hauberk.records.workshop import SEALING

SIDES = ("train", "test")


def register_data(job: Job) -> None:
    """Record the files as a set of the project, unless this state of them is on record already."""

    def work(task: Task) -> Product:
        spec = job.project.data
        places = [*spec.files, *spec.test_files]
        if any(place.startswith(shipped.PREFIX) for place in places):
            (subject,) = job.files
            return Product(statements=[_imported(job, subject)], values=_value(subject))
        manifest = build(places, task=task).manifest
        known = _known(job, manifest.root)
        if known is not None:
            return Product(values=_value(known))
        subject = Subject(job.project.name, manifest.root)
        kept = job.workshop.artifacts.put(manifest.to_bytes())
        told = _imported(
            job,
            subject,
            set=subject.name,
            manifest=kept,
            files=len(manifest.files),
            bytes=manifest.size,
            target=spec.target,
            kind=spec.kind,
        )
        return Product(outputs={"manifest": kept}, statements=[told], values=_value(subject))

    inputs = {"files": [[subject.name, subject.sha256] for subject in job.files], "name": job.project.name}
    told = job.steps.do("import", "Record where the data come from", inputs, work).values
    job.source = Subject(told["name"], told["sha256"])


def commit_rows(job: Job, about: About) -> None:
    """Commit to the rows of both sides, as they are now, before anything learns from them."""

    def work(task: Task) -> Product:
        rows: dict[str, Any] = {}
        outputs: dict[str, str] = {}
        for number, (side, dataset) in enumerate(zip(SIDES, (job.split.train, job.split.test), strict=True)):
            rows[side], outputs[f"rows.{side}"] = _committed(job, dataset)
            rows[side]["tree"] = outputs[f"rows.{side}"]
            task.update((number + 1) / len(SIDES))
        told = lineage.transaction(
            job.workshop,
            lineage.SPLIT,
            inputs=(*((job.source,) if job.source is not None else ()), about.subject),
            outputs=tuple(Subject(f"{side} rows", rows[side]["root"]) for side in SIDES),
            rows=rows,
            seed=job.project.seed,
        )
        return Product(outputs=outputs, statements=[told], values=rows)

    inputs = {"data": about.digest, "source": None if job.source is None else job.source.sha256}
    job.rows = job.steps.do("rows", "Commit to the rows of each side", inputs, work).values


def used(job: Job, about: About, *, role: str, outputs: tuple[Subject, ...]) -> list[Statement]:
    """Return the statement that a model was trained on the committed rows; [] when none were committed."""
    if not job.rows:
        return []
    inputs = (Subject("train rows", job.rows["train"]["root"]), about.subject)
    rows = {side: dict(job.rows[side]) for side in SIDES}
    return [lineage.transaction(job.workshop, lineage.USED, inputs=inputs, outputs=outputs, role=role, rows=rows)]


def tree_context(root: str) -> bytes:
    """Return the associated data of a sealed row tree; it binds the sealed bytes to this tree."""
    return b"hauberk row tree\0" + root.encode("ascii")


def _committed(job: Job, dataset: Dataset) -> tuple[dict[str, Any], str]:
    schema = schema_of(dataset, target=job.project.data.target)
    tree = RowTree.grow(row_digests(dataset, schema), schema, os.urandom(32))
    context = tree_context(tree.commitment.root)
    sealed = sealing.seal_bytes(tree.to_bytes(), job.workshop.keys, SEALING, associated=context)
    return tree.commitment.to_json(), job.workshop.artifacts.put(sealed)


def _imported(job: Job, subject: Subject, **details: Any) -> Statement:  # noqa: ANN401 - JSON
    source = f"{job.project.file.name} of {job.project.name}"
    return lineage.transaction(
        job.workshop, lineage.IMPORTED, inputs=job.files, outputs=(subject,), source=source, **details
    )


def _known(job: Job, root: str) -> Subject | None:
    """Return the recorded set with this root, or None."""
    question = Question(kinds=(lineage.IMPORTED, lineage.REPAIRED), subject=root)
    for one in job.workshop.records.find(question):
        for output in one.predicate["details"].get("outputs", []):
            if output["sha256"] == root:
                return Subject(output["name"], root)
    return None


def _value(subject: Subject) -> dict[str, str]:
    return {"name": subject.name, "sha256": subject.sha256}
