"""The gate and, when it allows one, the release."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from hauberk.core import canonical
from hauberk.core.errors import HauberkError
from hauberk.core.evidence import Subject
from hauberk.core.progress import Task
from hauberk.custody import dsse, gate, sealing, statements
from hauberk.lifecycle.stages.job import DATA, About, Job
from hauberk.lifecycle.stages.models import Trained
from hauberk.lifecycle.steps import Product
from hauberk.lifecycle.workshop import LOGGING, MODELS, SIGNING, Logged
from hauberk.release import bundle
from hauberk.release.card import card


def decide(job: Job, about: About, models: Sequence[Trained], logged: Sequence[Logged]) -> gate.Verdict:
    """Hold the project's rules against this run's attestations, and attest the verdict with all that it read."""
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


def make_release(job: Job, about: About, models: Sequence[Trained], logged: Sequence[Logged]) -> Path:
    """Write the release folder and log it; `logged` ends with the verdict. A changed folder is written again."""
    place = job.project.folder / "release"
    released = models[-1]

    def work(_task: Task) -> Product:
        made = job.workshop.now()
        contents = bundle.Contents(
            project=job.project.name,
            made=made,
            models={name: job.workshop.artifacts.get(digest) for name, digest in released.outputs.items()},
            attestations={entry.index: job.workshop.artifacts.get(entry.digest) for entry in logged},
            about=_roles(about, models),
            released=released.role,
            verdict=logged[-1].index,
            card=card(job.project.name, made, about.classes, released.role, [entry.statement for entry in logged]),
            earlier=_earlier(job),
            sealer=_sealer(job) if job.project.release.seal else None,
        )
        manifest = bundle.write(
            place,
            contents,
            ledger=job.workshop.ledger,
            signer=job.workshop.signer,
            publics=job.workshop.keys.publics(SIGNING),
            log_key=job.workshop.keys.signer(LOGGING).public,
            disk=job.disk,
        )
        digest = job.workshop.artifacts.put(manifest)
        subjects = (Subject("manifest.json", digest), *(Subject(n, d) for n, d in released.outputs.items()))
        size = job.workshop.ledger.size
        event = job.workshop.event("release.made", subjects, size=size, sealed=job.project.release.seal)
        return Product(outputs={"manifest.json": digest}, statements=[event], values={"size": size})

    inputs = {
        "attestations": [entry.digest for entry in logged],
        "sealed": job.project.release.seal,
        "signer": job.workshop.signer.public.key_id,
    }
    job.steps.do(
        "release", "Write the release", inputs, work, still=lambda outputs: _intact(place, outputs["manifest.json"])
    )
    return place


def _intact(place: Path, manifest: str) -> bool:
    """Whether the folder is still the release that was written; `hauberk verify` asks far more than this."""
    try:
        data = (place / bundle.MANIFEST).read_bytes()
        listed = {
            s.name: s.sha256 for s in statements.parse(dsse.decode(data, what=bundle.MANIFEST).payload).subjects
        }
        present = {path.relative_to(place).as_posix() for path in place.rglob("*") if path.is_file()}
        if canonical.sha256(data) != manifest or present != {*listed, bundle.MANIFEST}:
            return False
        return all(canonical.sha256((place / name).read_bytes()) == digest for name, digest in listed.items())
    except (OSError, HauberkError):
        return False


def _roles(about: About, models: Sequence[Trained]) -> dict[str, str]:
    return {DATA: about.digest} | {model.role: model.digest for model in models}


def _earlier(job: Job) -> list[int]:
    """Return the tree sizes of the checkpoints in earlier releases: what a verifier may have seen."""
    sizes: list[int] = []
    for index, data in enumerate(job.workshop.ledger.entries()):
        entry = canonical.decode(data, what=f"ledger entry {index}")
        if entry["kind"] == "release.made":
            made = job.workshop.recall(index, entry["envelope"]).statement.predicate
            sizes.append(int(made["details"]["size"]))
    return sizes


def _sealer(job: Job) -> bundle.Sealer:
    return lambda plain, context: sealing.seal_bytes(plain, job.workshop.keys, MODELS, associated=context)
