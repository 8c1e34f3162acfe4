"""What the ledger holds of an attestation: a small canonical record that points to its envelope.

C2SP log entries end at 65,535 bytes and evidence does not, so the envelope's bytes stay in the artifact store
and the entry carries their digest. The record is a function of the envelope alone: whoever has the envelope can
compute the entry, and so check its inclusion proof, without asking the log.
"""

from __future__ import annotations

from typing import Any

from hauberk.core import canonical
from hauberk.custody import statements
from hauberk.custody.statements import Statement

_SHOWN_SUBJECTS = 16  # enough to read a log by; the envelope names them all


def entry_of(envelope: bytes, statement: Statement) -> bytes:
    """Return the ledger entry for an envelope that carries `statement`."""
    shown = statement.subjects[:_SHOWN_SUBJECTS]
    return canonical.encode(
        {
            "envelope": canonical.sha256(envelope),
            "kind": kind_of(statement),
            "predicateType": statement.predicate_type,
            "subjects": [{"name": subject.name[:200], "sha256": subject.sha256} for subject in shown],
            "time": time_of(statement),
        }
    )


def kind_of(statement: Statement) -> str:
    """Return a short name for tables: "evasion (hardened)", "data.sealed", "verdict" and so on."""
    predicate = statement.predicate
    if statement.predicate_type == statements.EVIDENCE:
        return f"{predicate.get('control')} ({predicate.get('role')})"[:200]
    if statement.predicate_type == statements.EVENT:
        return str(predicate.get("event"))[:200]
    short = {statements.PROVENANCE: "provenance", statements.VSA: "verdict", statements.RELEASE: "release"}
    return short.get(statement.predicate_type, statement.predicate_type[:200])


def time_of(statement: Statement) -> str:
    """Return the time (RFC 3339, UTC) that the statement says it was made, or "" when it says none."""
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
