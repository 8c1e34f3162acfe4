"""Lineage: the events of data, from its sources to the models that were trained on it, from the ledger alone.

A transaction is a signed event: principal, time, source, inputs and outputs. Inputs and outputs are digests: the root of a
manifest for files, the root of a row tree for the rows of a side, the SHA-256 of a model's file. Two transactions are
linked when an output of one is an input of the other; names link nothing.

Who acted is the workshop's principal (`core.principal`), which nobody proves: the holder of the project's signing key
signed the name, it was logged at that time, and it was not changed since.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hauberk.core.evidence import Subject
from hauberk.core.principal import Principal
from hauberk.custody import statements
from hauberk.custody.statements import Statement
from hauberk.records.index import Question
from hauberk.records.model import Attested
from hauberk.records.reader import Records, open_records
from hauberk.records.workshop import Workshop

IMPORTED, REPAIRED, SPLIT = "data.imported", "data.repaired", "data.split"
SEALED, USED, RELEASED = "data.sealed", "data.used", "release.made"
OFFERED, EXTENDED, TRUSTED = "data.offered", "data.extended", "data.trusted"
AUDITED = "data.audited"
AUDIT = "data-audit"  # the control whose evidence an audit is
_KINDS = {IMPORTED, REPAIRED, SPLIT, OFFERED, EXTENDED, TRUSTED, SEALED, USED, RELEASED}


@dataclass(frozen=True, slots=True)
class Transaction:
    """One event about data, verified. index: of its ledger entry. envelope: SHA-256 of the signed bytes."""

    index: int
    time: str
    event: str
    by: str
    source: str
    inputs: tuple[Subject, ...]
    outputs: tuple[Subject, ...]
    details: Mapping[str, Any]
    envelope: str

    def to_json(self) -> dict[str, Any]:
        """Return the transaction for machines."""
        return {
            "entry": self.index,
            "time": self.time,
            "event": self.event,
            "by": self.by,
            "source": self.source,
            "inputs": [_json(subject) for subject in self.inputs],
            "outputs": [_json(subject) for subject in self.outputs],
            "details": dict(self.details),
            "envelope": self.envelope,
        }


def transaction(
    workshop: Workshop,
    event: str,
    *,
    inputs: Sequence[Subject],
    outputs: Sequence[Subject],
    source: str = "",
    **details: Any,  # noqa: ANN401 - JSON
) -> Statement:
    """Return the statement of a transaction that happens now; `workshop.attest` or a step signs and logs it.

    event: one of this module's names. inputs, outputs: artifacts by digest; outputs may be empty when nothing new
    came of it. source: the origin, in words. The workshop adds the principal.
    """
    told = {
        "source": source,
        "inputs": [_json(subject) for subject in inputs],
        "outputs": [_json(subject) for subject in outputs],
    }
    return workshop.event(event, _subjects(outputs, inputs), **told, **details)


def read(home: Path) -> tuple[Transaction, ...]:
    """Return every transaction of a project's `.hauberk` folder in the order of the ledger, each one verified.

    Needs neither lock nor passphrase. Raises InvalidInput where there is no ledger, NotProven when ledger, store or a
    signature does not hold.
    """
    return transactions(open_records(home))


def transactions(records: Records, *kinds: str) -> tuple[Transaction, ...]:
    """Return the transactions of these kinds (default: all, audits too) in the order of the ledger, each one verified."""
    found = records.find(Question(kinds=kinds or _KINDS))
    if not kinds or AUDITED in kinds:
        found += records.find(Question(control=AUDIT))
    return tuple(_read(one) for one in sorted(found, key=lambda one: one.index))


def _read(one: Attested) -> Transaction:
    said, by = one.predicate, str(Principal.read(one.predicate.get("by")))
    if one.predicate_type == statements.EVIDENCE:
        details = {name: said[name] for name in ("metrics", "findings", "parameters", "details")}
        return Transaction(one.index, one.time, AUDITED, by, "", one.subjects, (), details, one.digest)
    event = str(said["event"])
    details = dict(said["details"])
    if event == RELEASED:
        made = tuple(subject for subject in one.subjects if subject.name == "manifest.json")
        models = tuple(subject for subject in one.subjects if subject.name != "manifest.json")
        return Transaction(one.index, one.time, event, by, "", models, made, details, one.digest)
    source = str(details.pop("source", ""))
    inputs, outputs = _read_subjects(details.pop("inputs", [])), _read_subjects(details.pop("outputs", []))
    return Transaction(one.index, one.time, event, by, source, inputs, outputs, details, one.digest)


def _read_subjects(value: Sequence[Mapping[str, Any]]) -> tuple[Subject, ...]:
    return tuple(Subject(str(item["name"]), str(item["sha256"])) for item in value)


def _json(subject: Subject) -> dict[str, str]:
    return {"name": subject.name, "sha256": subject.sha256}


def _subjects(*groups: Sequence[Subject]) -> tuple[Subject, ...]:
    """Return each artifact once; a name that occurs twice is made unique by the first digits of the digest."""
    found: dict[str, Subject] = {}
    for subject in (subject for group in groups for subject in group):
        if subject in found.values():
            continue
        name = subject.name if subject.name not in found else f"{subject.name} ({subject.sha256[:12]})"
        found[name] = Subject(name, subject.sha256)
    return tuple(found.values())
