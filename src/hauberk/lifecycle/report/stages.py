"""The custody chain as stages and links, found in the attestations alone.

A stage is what the ledger holds about one part of the way from data to release. A link is proven when the later
stage names, by SHA-256, something that the earlier one vouches for, or the earlier one's own envelope; else the
picture only tells the order. So an artifact that was swapped between two stages shows as a broken line.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from hauberk.core.evidence import Subject
from hauberk.lifecycle.report import formats
from hauberk.lifecycle.report.model import Attested
from hauberk.lifecycle.report.reading import Measured, Reading, about, mapping, named_digests, text


@dataclass(frozen=True, slots=True)
class Stage:
    """name: unique. title, says: for people. artifacts: what it is about. entries: the ledger's part in it."""

    name: str
    title: str
    says: str
    artifacts: tuple[Subject, ...]
    entries: tuple[Attested, ...]

    @property
    def known(self) -> bool:
        """Whether the ledger holds anything on this stage."""
        return bool(self.entries)


@dataclass(frozen=True, slots=True)
class Link:
    """From one stage to a later one. by: the artifact or attestation that both name; None when only in order."""

    start: str
    end: str
    by: Subject | None


ORDER: tuple[tuple[str, str], ...] = (
    ("data", "checks"),
    ("checks", "seal"),
    ("seal", "training-plain"),
    ("seal", "training-hardened"),
    ("training-plain", "attack-plain"),
    ("training-hardened", "attack-hardened"),
    ("attack-hardened", "export"),
    ("attack-plain", "gate"),
    ("export", "gate"),
    ("gate", "release"),
)


def chain(reading: Reading) -> tuple[tuple[Stage, ...], tuple[Link, ...]]:
    """Return the stages in order, those without evidence too, and the links between them."""
    stages = (
        _data(reading),
        _checks(reading),
        _seal(reading),
        *(_training(reading, role) for role in ("plain", "hardened")),
        *(_attack(reading, role) for role in ("plain", "hardened")),
        _export(reading),
        _gate(reading),
        _release(reading),
    )
    by_name = {stage.name: stage for stage in stages}
    return stages, tuple(Link(start, end, _shared(by_name[start], by_name[end])) for start, end in ORDER)


def _shared(start: Stage, end: Stage) -> Subject | None:
    if not (start.known and end.known):
        return None
    named = _named(end)
    for artifact in start.artifacts:
        if artifact.sha256 in named:
            return artifact
    for entry in start.entries:
        if entry.digest in named:
            return Subject(f"attestation #{entry.index}", entry.digest)
    return None


def _named(stage: Stage) -> frozenset[str]:
    found = {artifact.sha256 for artifact in stage.artifacts}
    for entry in stage.entries:
        found |= named_digests(entry.predicate) | {subject.sha256 for subject in entry.subjects}
    return frozenset(found)


def _stage(name: str, title: str, says: str, entries: Iterable[Attested], extra: Iterable[Subject] = ()) -> Stage:
    known = tuple(entry for _, entry in sorted({entry.index: entry for entry in entries}.items()))
    artifacts = (*extra, *(subject for entry in known for subject in about(entry)))
    return Stage(name, title, says if known else formats.NO_EVIDENCE, tuple(dict.fromkeys(artifacts)), known)


def _entries(measured: Iterable[Measured]) -> list[Attested]:
    return [item.entry for item in measured]


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def _data(reading: Reading) -> Stage:
    """The data as the first attestation that is about it saw it."""
    told = reading.events_named("data.loaded", "data.added", "data.imported")
    entries = list(told) or _entries(reading.on("data")[:1]) or list(reading.events_named("data.")[:1])
    rows = [item.metrics["rows"] for item in reading.on("data") if "rows" in item.metrics]
    says = f"{formats.number(rows[0])} rows" if rows else "as the ledger first names it"
    return _stage("data", "Data", says, entries[:1])


def _checks(reading: Reading) -> Stage:
    measured = reading.on("data")
    found = sum(len(item.findings) for item in measured)
    return _stage(
        "checks", "Checks", f"{_count(len(measured), 'check')}, {_count(found, 'finding')}", _entries(measured)
    )


def _seal(reading: Reading) -> Stage:
    events = reading.events_named("data.sealed")
    # What was sealed before is the same data or none of this verdict's: the last sealing is the one that counts.
    return _stage("seal", "Seal", "encrypted at rest", events[-1:])


def _training(reading: Reading, role: str) -> Stage:
    measured = [item for item in reading.on(role) if item.control == "training"]
    products = {subject.sha256 for item in measured for subject in about(item.entry)}
    made = [entry for entry in reading.provenance if products & {s.sha256 for s in entry.subjects}]
    spent = [item.metrics["seconds"] for item in measured if "seconds" in item.metrics]
    says = f"{role} model" + (f", {formats.seconds(spent[-1])}" if spent else "")
    return _stage(f"training-{role}", "Training", says, [*_entries(measured), *made])


def _attack(reading: Reading, role: str) -> Stage:
    measured = [threat.by_role[role] for threat in reading.threats if role in threat.by_role]
    robust = [item.metrics["robust_accuracy"] for item in measured if "robust_accuracy" in item.metrics]
    says = f"{formats.percent(min(robust))} withstood" if robust else _count(len(measured), "threat")
    return _stage(f"attack-{role}", "Attack", says, _entries(measured))


def _export(reading: Reading) -> Stage:
    trained = {e.index for role in ("plain", "hardened") for e in _training(reading, role).entries}
    others = [entry for entry in reading.provenance if entry.index not in trained]
    events = reading.events_named("model.", "export")
    # Events of earlier models stay in the ledger: only those about a model of this verdict belong to the picture.
    models = {s.sha256 for role in ("plain", "hardened") for m in reading.on(role) for s in about(m.entry)}
    entries = [entry for entry in (*others, *events) if not models or models & _mentioned(entry)]
    made = {subject for entry in entries for subject in entry.subjects}
    return _stage("export", "Export", _count(len(made), "artifact"), entries)


def _mentioned(entry: Attested) -> frozenset[str]:
    return named_digests(entry.predicate) | {subject.sha256 for subject in entry.subjects}


def _gate(reading: Reading) -> Stage:
    if reading.verdict is None:
        return _stage("gate", "Gate", "", ())
    held = sum(rule.get("holds") is True for rule in reading.rules)
    result = text(reading.verdict.predicate, "verificationResult")
    says = f"{result}: {held} of {_count(len(reading.rules), 'rule')} held"
    return _stage("gate", "Gate", says, [reading.verdict])


def _release(reading: Reading) -> Stage:
    entry = reading.release
    if entry is None:
        return _stage("release", "Release", "", ())
    released = text(entry.predicate, "released") or text(mapping(entry.predicate.get("details")), "released")
    return _stage("release", "Release", f"{released} model" if released else "made", [entry])
