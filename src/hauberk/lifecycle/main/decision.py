"""The gate and, when it allows one, the release."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from hauberk.core import canonical
from hauberk.core.evidence import Subject
from hauberk.core.progress import Task
from hauberk.custody import gate, statements
from hauberk.lifecycle.main.job import DATA, About, Job
from hauberk.lifecycle.main.models import Trained
from hauberk.lifecycle.releasing import releases
from hauberk.records.steps import Product
from hauberk.records.workshop import LOGGING, SIGNING, Logged
from hauberk.release import bundle
from hauberk.release.card import card


def decide(job: Job, about: About, models: Sequence[Trained], logged: Sequence[Logged]) -> gate.Verdict:
    """Evaluate the project's rules over this run's attestations, and attest the verdict with everything that it read."""
    released = models[-1]
    subjects_of = _roles(about, models)
    exhibits = [
        gate.Exhibit(entry.digest, frozenset(s.sha256 for s in entry.statement.subjects), entry.statement.predicate)
        for entry in sorted(logged, key=lambda entry: entry.index)
        if entry.statement.predicate_type == statements.EVIDENCE
    ]
    verdict = gate.evaluate(job.project.gate, exhibits, about=subjects_of, released=released.role)

    def work(_task: Task) -> Product:
        rules = [str(rule) for rule in job.project.gate]
        predicate = statements.summary(
            verifier="https://hauberk.dev/gate",
            verified=job.workshop.now(),
            resource=f"urn:hauberk:{job.project.name}",
            policy=f"file:{job.project.file.name}#gate",
            policy_sha256=canonical.digest(rules),
            inputs=[entry.digest for entry in logged],
            passed=verdict.allowed,
            rulings=[ruling.to_json() for ruling in verdict.rulings],
        )
        subjects = (*(Subject(n, d) for n, d in released.outputs.items()), about.subject)
        return Product(statements=[statements.Statement(subjects, statements.VSA, predicate)])

    inputs = {
        "about": subjects_of,
        "rulings": [ruling.to_json() for ruling in verdict.rulings],
        "attestations": [entry.digest for entry in logged],
    }
    job.steps.do("gate", "Decide at the gate", inputs, work)
    return verdict


def make_release(
    job: Job,
    about: About,
    models: Sequence[Trained],
    logged: Sequence[Logged],
    **details: Any,  # noqa: ANN401 - JSON
) -> Path:
    """Write the release folder and log it; `logged` ends with the verdict. A changed folder is written again.

    A later release that an update or a rollback put there stays. details: for the event that logs the release.
    """
    place = job.project.folder / releases.FOLDER
    released = models[-1]
    known = releases.releases(job.workshop.records)

    def work(_task: Task) -> Product:
        made = job.workshop.now()
        text = card(job.project.name, made, about.classes, released.role, [entry.statement for entry in logged])
        contents = bundle.Contents(
            project=job.project.name,
            made=made,
            models={name: job.workshop.artifacts.get(digest) for name, digest in released.outputs.items()},
            attestations={entry.index: job.workshop.artifacts.get(entry.digest) for entry in logged},
            about=_roles(about, models),
            released=released.role,
            verdict=logged[-1].index,
            card=text,
            earlier=releases.sizes(known),
            sealer=releases.sealer(job.workshop) if job.project.release.seal else None,
        )
        job.workshop.artifacts.put(text.encode("utf-8"))  # for a later rollback
        manifest = bundle.write(
            place,
            contents,
            ledger=job.workshop.ledger,
            signer=job.workshop.signer,
            publics=job.workshop.keys.publics(SIGNING),
            log_key=job.workshop.keys.signer(LOGGING).public,
            announce=releases.announced(job.workshop, sealed=job.project.release.seal, **details),
            disk=job.disk,
        )
        return Product(outputs={"manifest.json": canonical.sha256(manifest)})

    def still(outputs: Mapping[str, str]) -> bool:
        past = {made.manifest for made in known}
        return outputs["manifest.json"] in past and releases.intact(place, known[-1].manifest)

    inputs = {
        "attestations": [entry.digest for entry in logged],
        "sealed": job.project.release.seal,
        "signer": job.workshop.signer.public.key_id,
    }
    job.steps.do("release", "Write the release", inputs, work, still=still)
    return place


def _roles(about: About, models: Sequence[Trained]) -> dict[str, str]:
    return {DATA: about.digest} | {model.role: model.digest for model in models}
