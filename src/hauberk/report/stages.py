"""The custody chain as stages and links, computed from the attestations alone.

A stage is one part of the way from data to release, with its ledger entries. A link is proven if the later stage
names, by SHA-256, an artifact that the earlier one attests, or the earlier one's envelope; otherwise the picture shows
only the order. So an artifact that was swapped between two stages shows as a broken line.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from hauberk.core.evidence import Subject
from hauberk.records.lineage import REPAIRED
from hauberk.records.model import Attested
from hauberk.records.view import Measured, about, finite, mapping, named_digests, text
from hauberk.report import formats
from hauberk.report.reading import ROLES, SEALING, Reading

SERVED = ".onnx"


@dataclass(frozen=True, slots=True)
class Stage:
    """One stage. name: unique. title, says: text for people. artifacts: its subjects. entries: its ledger entries."""

    name: str
    title: str
    says: str
    artifacts: tuple[Subject, ...]
    entries: tuple[Attested, ...]

    @property
    def known(self) -> bool:
        """Whether the ledger has an entry on this stage."""
        return bool(self.entries)


@dataclass(frozen=True, slots=True)
class Link:
    """A link from one stage to a later one. by: the artifact or attestation that both name; None if there is none."""

    start: str
    end: str
    by: Subject | None


_DATA = ("data", "repair", "checks", "seal")


def _order(released: str, *, repaired: bool) -> tuple[tuple[str, str], ...]:
    """Return the links of the chain: the released model's lane leads through export, the other straight to the gate."""
    other = "plain" if released == "hardened" else "hardened"
    return (
        *((("data", "repair"), ("repair", "checks")) if repaired else (("data", "checks"),)),
        ("checks", "seal"),
        ("seal", "training-plain"),
        ("seal", "training-hardened"),
        ("training-plain", "attack-plain"),
        ("training-hardened", "attack-hardened"),
        (f"attack-{released}", "export"),
        (f"attack-{other}", "gate"),
        ("export", "gate"),
        ("gate", "release"),
    )


def chain(reading: Reading) -> tuple[tuple[Stage, ...], tuple[Link, ...]]:
    """Return all stages in order, including the ones without evidence, and the links between them."""
    released = "hardened" if reading.on("hardened") or not reading.on("plain") else "plain"
    repair = _repair(reading)
    of_data = (_data(reading), *repair, _checks(reading), _seal(reading))
    # Every stage names the data, so that proves no link between stages of a model: the model must be the same.
    data = frozenset(artifact.sha256 for stage in of_data for artifact in stage.artifacts)
    training = {role: _training(reading, role) for role in ROLES}
    stages = (
        *of_data,
        *training.values(),
        *(_attack(reading, role) for role in ROLES),
        _export(reading, training, released, data),
        _gate(reading),
        _release(reading),
    )
    by_name = {stage.name: stage for stage in stages}
    links = (
        Link(start, end, _shared(by_name[start], by_name[end], besides=frozenset() if start in _DATA else data))
        for start, end in _order(released, repaired=bool(repair))
    )
    return stages, tuple(links)


def _shared(start: Stage, end: Stage, *, besides: frozenset[str]) -> Subject | None:
    if not (start.known and end.known):
        return None
    named = _named(end) - besides
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
    """Return the stage of the data, as the ledger first names them in this run."""
    told = reading.events_named("data.loaded")
    entries = list(told[-1:]) or _entries(reading.checked[:1])
    rows = [item.metrics["rows"] for item in reading.checked if "rows" in item.metrics]
    says = f"{formats.number(rows[0])} rows" if rows else "as the ledger names them"
    return _stage("data", "Data", says, entries)


def _repair(reading: Reading) -> tuple[Stage, ...]:
    """Return the stage in which poison was set aside, if it was; the checks then ran on its output."""
    told = reading.events_named(REPAIRED)[-1:]
    if not told:
        return ()
    removed = finite(mapping(told[0].predicate.get("details")).get("removed"))
    says = "rows were set aside" if removed is None else f"{_count(int(removed), 'row')} set aside"
    return (_stage("repair", "Repair", says, told),)


def _checks(reading: Reading) -> Stage:
    measured = reading.checked
    found = sum(len(item.findings) for item in measured)
    return _stage(
        "checks", "Checks", f"{_count(len(measured), 'check')}, {_count(found, 'finding')}", _entries(measured)
    )


def _seal(reading: Reading) -> Stage:
    """Return the last sealing: earlier ones are of the same data, or of another run's."""
    sealing = reading.find(SEALING, "data")
    entries = [sealing.entry] if sealing else list(reading.events_named("data.sealed")[-1:])
    return _stage("seal", "Seal", "encrypted at rest", entries)


def _training(reading: Reading, role: str) -> Stage:
    measured = [item for item in reading.on(role) if item.control == "training"]
    products = {subject.sha256 for item in measured for subject in about(item.entry)}
    made = [entry for entry in reading.provenance if products & {s.sha256 for s in entry.subjects}]
    spent = [item.metrics["seconds"] for item in measured if "seconds" in item.metrics]
    says = f"took {formats.seconds(spent[-1])}" if spent else "time not stated"
    return _stage(f"training-{role}", f"Training: {role}", says, [*_entries(measured), *made])


def _attack(reading: Reading, role: str) -> Stage:
    measured = [threat.by_role[role] for threat in reading.threats if role in threat.by_role]
    robust = [item.metrics["robust_accuracy"] for item in measured if "robust_accuracy" in item.metrics]
    says = f"{formats.percent(min(robust))} withstood" if robust else _count(len(measured), "threat")
    return _stage(f"attack-{role}", f"Attack: {role}", says, _entries(measured))


def _export(reading: Reading, training: dict[str, Stage], released: str, data: frozenset[str]) -> Stage:
    """Return the export: a step with its own attestation, or the served file among the outputs of training."""
    trained = {entry.index for stage in training.values() for entry in stage.entries}
    told = [
        *(item.entry for item in reading.on(released) if item.control == "export"),
        *(entry for entry in reading.provenance if entry.index not in trained),
        *reading.events_named("model.exported"),
    ]
    # Exports of earlier runs stay in the ledger; the picture shows only the ones that name this run's model.
    models = {artifact.sha256 for artifact in training[released].artifacts} - data
    entries = [entry for entry in told if not models or models & _mentioned(entry)]
    if not entries:
        entries = [e for e in training[released].entries if any(s.name.endswith(SERVED) for s in e.subjects)]
    made = dict.fromkeys(s for e in entries for s in e.subjects if s.name.endswith(SERVED))
    return _stage("export", "Export", f"{released} model, as it is served", entries, made)


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
    sealed = mapping(entry.predicate.get("details")).get("sealed") is True
    return _stage("release", "Release", f"a folder with its proofs{', models sealed' if sealed else ''}", [entry])
