"""Before a challenger is trained: read the batch, join it with the known rows, vet it, and commit to the rows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import cache, partial
from pathlib import Path

import numpy as np

from hauberk.core.disk import Disk
from hauberk.core.errors import InvalidInput, Refused
from hauberk.core.progress import Task
from hauberk.custody.statements import Statement
from hauberk.data.reading.tables import with_ranges
from hauberk.lifecycle.controls import CONTROLS
from hauberk.lifecycle.controls.sealing import Params, ToSeal
from hauberk.lifecycle.main.data import verify_data
from hauberk.lifecycle.main.job import DATA, About, Job
from hauberk.lifecycle.main.lineage import commit_rows
from hauberk.lifecycle.main.poison import set_aside
from hauberk.lifecycle.main.running import run_step
from hauberk.lifecycle.updating import batches as batching
from hauberk.lifecycle.updating import contest, vetting
from hauberk.lifecycle.updating.batches import Batch, where
from hauberk.lifecycle.updating.history import History, dataset, split_digest
from hauberk.project import Project
from hauberk.records import lineage
from hauberk.records.running import Ran
from hauberk.records.steps import Product, Steps
from hauberk.records.workshop import SEALING, Workshop


def take_in(project: Project, workshop: Workshop, history: History, data: Sequence[str], source: str) -> Batch:
    """Return the batch of these files; record it unless it is on record already."""
    files = [name if ":" in name else str(Path(name).absolute()) for name in data]
    schema = project.update.schema
    if schema is not None:
        _check_schema(schema, files)
    new = batching.read_new(project.data, files, history.base.train)
    share = batching.known_share(new.side, history.base, history.learned)
    if share == 1:
        raise InvalidInput(
            f"all {len(new.side)} rows are on record already: release {history.champion.number} learned from them or was tested "
            "on them. Name files with new rows."
        )
    seed = project.seed
    held = batching.hold_out(new.side, history.base, history.learned, share=project.data.test_share, seed=seed)
    digest = batching.digest_of(new, held)
    again = next((batch for batch in history.offered if batch.digest == digest), None)
    if again is not None:
        return again
    return batching.offer(workshop, new, held, number=len(history.offered) + 1, share=share, source=source)


def _check_schema(schema: Path, files: Sequence[str]) -> None:
    from hauberk.data.verification.opening import opened
    from hauberk.data.verification.schema import load_schema
    from hauberk.data.verification.verifying import verify

    rules = load_schema(schema)
    for name in files:
        with opened(name) as table:
            broken = verify(table, rules).findings()
        if broken:
            raise Refused(
                f"{name} breaks {len(broken)} rules of {schema.name}: {'; '.join(one.what for one in broken[:3])}. Nothing was "
                f"learned from it. `hauberk data verify {name} --schema {schema.name} --clean GOOD` puts good rows aside."
            )


def job_of(  # noqa: PLR0913, PLR0917 - what a job is made of
    project: Project, workshop: Workshop, steps: Steps, disk: Disk, history: History, new: Sequence[Batch]
) -> Job:
    """Return the job whose training rows are all that the challenger may learn from, and whose test rows are all held out."""
    job = Job(replace(project, gate=(*project.gate, contest.RULE)), workshop, steps, disk)
    split = history.split(new)
    if split.train.columns:
        columns = with_ranges(split.train.columns, split.train.x)
        split = replace(
            split, train=replace(split.train, columns=columns), test=replace(split.test, columns=columns)
        )
    job.given = split
    trusted = len(history.base.test) + sum(len(b.test) for b in history.learned[: history.trusted])
    job.current = np.arange(len(split.test)) >= trusted
    return job


def _about(job: Job) -> About:
    train, test = job.split.train, job.split.test
    return About(
        split_digest(job.split),
        job.project.data.kind,
        tuple(train.x.shape[1:]),
        train.classes,
        train.columns,
        len(train),
        len(test),
    )


def vet(
    job: Job, history: History, new: Sequence[Batch], batch: Batch | None, data: Sequence[str]
) -> tuple[About, tuple[vetting.Vetted, ...]]:
    """Check, screen and compare, apply the policy for poison, and return the remaining data. Raises Refused."""
    about = _about(job)

    def work(_task: Task) -> Product:
        subjects = (dataset(about.digest), *(one.subject for one in new))
        event = job.workshop.event(
            "data.loaded", subjects, train=about.train, test=about.test, classes=list(about.classes)
        )
        return Product(statements=[event])

    inputs = {"data": about.digest, "batches": [one.digest for one in new], "files": len(data)}
    job.steps.do("load", "Put known and new rows together", inputs, work)
    verify_data(job, about)
    if batch is not None:
        vetting.measure_drift(job, about, history, batch)
    on_probation = [*history.probation, *new]
    found = [vetting.read_screening(job, on_probation, batch)]
    watched = history.watched(new)
    if watched:
        found.append(vetting.watch_drip(job, about, history, watched))
    suspects = vetting.answer(job, found)
    present = set(job.split.train.rows.tolist())
    gone = [{**entry, "where": where(int(entry["row"]))} for entry in suspects if int(entry["row"]) in present]
    return (set_aside(job, about, gone) if gone else about), tuple(found)


def extend(job: Job, about: About, history: History, new: Sequence[Batch]) -> None:
    """Commit to the rows, show that the sealed batches open, and log which batches the new data set consists of."""
    commit_rows(job, about)
    learned = [*history.learned, *new]

    known = history.base.train

    def opens(digest: str) -> bool:
        return digest in {batch.digest for batch in again()}

    @cache
    def again() -> list[Batch]:
        return batching.offered(job.workshop, batching.transactions_of(job.workshop), known)

    def then(_ran: Ran) -> list[Statement]:
        event = lineage.transaction(
            job.workshop,
            lineage.EXTENDED,
            inputs=(dataset(history.manifest.about["data"]), *(batch.subject for batch in new)),
            outputs=(about.subject,),
            base=history.base_digest,
            batches=[batch.digest for batch in learned],
            aside=[*history.aside, *job.aside],
            train=about.train,
            test=about.test,
        )
        return [event]

    run_step(
        job,
        CONTROLS["sealing"],
        lambda: ToSeal(
            (), job.workshop.keys, SEALING, job.workshop.folder, [partial(opens, b.digest) for b in learned]
        ),
        Params(),
        step="extend",
        title="Log what the rows are made of",
        role=DATA,
        about=(about.subject,),
        depends={
            "data": about.digest,
            "base": history.base_digest,
            "batches": [batch.digest for batch in learned],
        },
        then=then,
    )
