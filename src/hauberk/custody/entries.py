"""The ledger entry of an attestation: a small canonical JSON record that points to the signed envelope.

C2SP log entries end at 65,535 bytes and evidence can be larger, so the envelope is kept in the artifact store and the
entry carries its SHA-256. An entry is a function of the envelope alone: whoever has the envelope can compute the entry
and check its inclusion proof without asking the log.

    version, envelope, predicateType, kind, time, subjects      in every entry; at most 16 subjects
    control, practice, role                                     in entries of evidence
    by                                                          where the statement names a principal

The format is version 2 (docs/decisions/0011). Version 1 had no control, practice, role and principal.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from hauberk.core import canonical
from hauberk.core.errors import InvalidInput
from hauberk.core.evidence import Subject
from hauberk.custody import statements
from hauberk.custody.statements import Statement

VERSION = 2
SHOWN_SUBJECTS = 16  # enough to read a log by; the envelope names them all
_LONGEST = 200  # characters of a name in an entry
_LABELS = ("control", "practice", "role")


@dataclass(frozen=True, slots=True)
class Entry:
    """A decoded ledger entry.

    envelope: SHA-256 (hex) of the envelope. kind: see `kind_of`. time: RFC 3339 UTC or "". subjects: the first 16 of
    the statement. control, practice, role: of evidence, else "". by: the id of the principal, "" when none is named.
    """

    envelope: str
    predicate_type: str
    kind: str
    time: str
    subjects: tuple[Subject, ...]
    control: str
    practice: str
    role: str
    by: str

    @property
    def complete(self) -> bool:
        """Whether `subjects` are all subjects of the statement for certain."""
        return len(self.subjects) < SHOWN_SUBJECTS


def entry_of(envelope: bytes, statement: Statement) -> bytes:
    """Return the ledger entry of an envelope that carries `statement`; at most 16 KB."""
    record: dict[str, Any] = {
        "version": VERSION,
        "envelope": canonical.sha256(envelope),
        "kind": kind_of(statement),
        "predicateType": statement.predicate_type,
        "subjects": [
            {"name": subject.name[:_LONGEST], "sha256": subject.sha256}
            for subject in statement.subjects[:SHOWN_SUBJECTS]
        ],
        "time": time_of(statement)[:_LONGEST],
    }
    if statement.predicate_type == statements.EVIDENCE:
        record |= {name: _text(statement.predicate, name)[:_LONGEST] for name in _LABELS}
    by = by_of(statement)
    return _encode(record | {"by": by} if by else record)


def _encode(record: Mapping[str, Any]) -> bytes:
    # RFC 8785 for this shape: keys in ASCII, values that are texts and one small integer. Seven times as fast as
    # `canonical.encode`, and every attestation that is written or read back comes through here.
    try:
        text = json.dumps(record, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
        return text.encode("utf-8")
    except UnicodeEncodeError as error:
        raise InvalidInput(f"the statement's names have no canonical JSON form: {error}.") from error


def read_entry(data: bytes, *, what: str) -> Entry:
    """Decode a ledger entry. `what` names the source in errors. Proves nothing: the caller has verified the bytes.

    Raises InvalidInput for bytes of another form, and for a version that this release does not know.
    """
    record = canonical.decode(data, what=what)
    if not isinstance(record, dict) or "envelope" not in record:
        raise InvalidInput(f"{what} is not the entry of an attestation: it has no `envelope`.")
    if record.get("version") != VERSION:
        raise InvalidInput(
            f"{what} has version {str(record.get('version', 1))[:20]}; this release of Hauberk reads version {VERSION}. "
            "Use the release that wrote the ledger, or begin a new ledger."
        )
    try:
        subjects = tuple(Subject(str(item["name"]), str(item["sha256"])) for item in record["subjects"])
        envelope, kind, predicate_type, time = (
            str(record[name]) for name in ("envelope", "kind", "predicateType", "time")
        )
    except (KeyError, TypeError) as error:
        raise InvalidInput(f"{what} does not have the fields of an entry: {error}.") from error
    control, practice, role = (_text(record, name) for name in _LABELS)
    by = _text(record, "by")
    return Entry(envelope, predicate_type, kind, time, subjects, control, practice, role, by)


def kind_of(statement: Statement) -> str:
    """Return a short name for tables: "evasion (hardened)", "data.sealed", "verdict" and so on."""
    predicate = statement.predicate
    if statement.predicate_type == statements.EVIDENCE:
        return f"{predicate.get('control')} ({predicate.get('role')})"[:_LONGEST]
    if statement.predicate_type == statements.EVENT:
        return str(predicate.get("event"))[:_LONGEST]
    short = {statements.PROVENANCE: "provenance", statements.VSA: "verdict", statements.RELEASE: "release"}
    return short.get(statement.predicate_type, statement.predicate_type[:_LONGEST])


def by_of(statement: Statement) -> str:
    """Return the id of the principal that a statement names in `by`, or ""."""
    by = statement.predicate.get("by")
    return (_text(by, "id") if isinstance(by, Mapping) else by if isinstance(by, str) else "")[:_LONGEST]


def time_of(statement: Statement) -> str:
    """Return the time (RFC 3339, UTC) at which the statement says it was made, or "" when it names none."""
    predicate: Any = statement.predicate
    place = {
        statements.EVIDENCE: ("finished",),
        statements.EVENT: ("time",),
        statements.RELEASE: ("made",),
        statements.VSA: ("timeVerified",),
        statements.PROVENANCE: ("runDetails", "metadata", "finishedOn"),
    }.get(statement.predicate_type, ())
    for key in place:
        predicate = predicate.get(key, {}) if isinstance(predicate, dict) else {}
    return predicate if isinstance(predicate, str) else ""


def _text(value: Mapping[str, Any], key: str) -> str:
    found = value.get(key)
    return found if isinstance(found, str) else ""
