"""Releases: every release that the ledger knows of, numbered from 1, and which of them is at its place.

`release/` is served. Earlier releases need no folders: their models, attestations, cards and manifests are in the artifact
store, and `rollback` builds a release from them again, under a new checkpoint.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hauberk.core import canonical
from hauberk.core.errors import HauberkError, InvalidInput, NotProven
from hauberk.core.evidence import Subject
from hauberk.custody import dsse, sealing, statements
from hauberk.records import lineage
from hauberk.records.index import Question
from hauberk.records.model import Attested
from hauberk.records.reader import Records
from hauberk.records.workshop import MODELS, Workshop
from hauberk.release import bundle
from hauberk.release.bundle import Manifest

FOLDER = "release"


@dataclass(frozen=True, slots=True)
class Made:
    """A release on record. number: from 1. entry: of the ledger. manifest: SHA-256 of its bytes. details: of its event."""

    number: int
    entry: int
    time: str
    manifest: str
    models: tuple[Subject, ...]
    details: Mapping[str, Any]

    @property
    def restores(self) -> int | None:
        """The number of the release whose model this one brought back."""
        found = self.details.get("restores")
        return found if isinstance(found, int) else None

    @property
    def made_by(self) -> str:
        """The job that made it: "protect", "update" or "rollback"."""
        return str(self.details.get("made_by", "protect"))

    @property
    def model(self) -> str:
        """SHA-256 of the served model."""
        return next(subject.sha256 for subject in self.models if subject.name == bundle.SERVED)

    def to_json(self) -> dict[str, Any]:
        """Return the release for machines."""
        return {
            "number": self.number,
            "entry": self.entry,
            "time": self.time,
            "manifest": self.manifest,
            "model": self.model,
            "restores": self.restores,
            "by": self.made_by,
        }


def releases(records: Records) -> list[Made]:
    """Return every release in the order of the ledger, each one's attestation verified. Raises NotProven."""
    return [
        _made(number, one) for number, one in enumerate(records.find(Question(kinds=(lineage.RELEASED,))), start=1)
    ]


def _made(number: int, one: Attested) -> Made:
    subjects = {subject.name: subject.sha256 for subject in one.subjects}
    models = tuple(subject for subject in one.subjects if subject.name != bundle.MANIFEST)
    return Made(number, one.index, one.time, subjects[bundle.MANIFEST], models, one.predicate["details"])


def manifest_of(records: Records, made: Made) -> tuple[Manifest, dict[str, str]]:
    """Return the manifest of a release and its files by digest, from the store. Raises NotProven, InvalidInput."""
    statement = records.statement(made.manifest, what=f"the manifest of release {made.number}")
    return Manifest.read(statement.predicate), {subject.name: subject.sha256 for subject in statement.subjects}


def served(records: Records, place: Path, known: Sequence[Made]) -> Made:
    """Return the release that is at its place.

    Raises InvalidInput without one, NotProven for a release that the ledger does not know.
    """
    digest = digest_at(place)
    if not digest or not known:
        raise InvalidInput(f"there is no release in {place.parent} yet. Run `hauberk protect` first.")
    found = next((made for made in known if made.manifest == digest), None)
    if found is None:
        raise NotProven(
            f"{place} is not a release that the ledger {records.ledger.origin} knows of. Do not serve it; "
            "`hauberk rollback` puts one that it knows in its place."
        )
    return found


def digest_at(place: Path) -> str:
    """Return the SHA-256 of the manifest in a release folder, "" when there is none."""
    manifest = place / bundle.MANIFEST
    return canonical.sha256(manifest.read_bytes()) if manifest.is_file() else ""


def sizes(known: Sequence[Made]) -> list[int]:
    """Return the tree sizes of the checkpoints in these releases, which verifiers may remember."""
    return [int(made.details["size"]) for made in known]


def announced(workshop: Workshop, **details: Any) -> Callable[[Path, bytes], None]:  # noqa: ANN401 - JSON
    """Return the function that logs a release once it is built, before it is at its place. details: JSON values."""

    def log(_built: Path, manifest: bytes) -> None:
        digest = workshop.artifacts.put(manifest)
        predicate = Manifest.read(statements.parse(dsse.decode(manifest, what=bundle.MANIFEST).payload).predicate)
        models = tuple(Subject(model.name, model.sha256) for model in predicate.models)
        subjects = (Subject(bundle.MANIFEST, digest), *models)
        workshop.attest(workshop.event(lineage.RELEASED, subjects, size=predicate.ledger.size, **details))

    return log


def intact(place: Path, manifest: str) -> bool:
    """Whether the folder still has the files that were written; `hauberk verify` checks far more."""
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


def sealer(workshop: Workshop) -> bundle.Sealer:
    """Return the function that seals a model file under the project's key for models."""
    return lambda plain, context: sealing.seal_bytes(plain, workshop.keys, MODELS, associated=context)
