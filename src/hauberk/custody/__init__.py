"""Custody: what happened to which bytes, and how anybody can check it.

artifacts   bytes by their SHA-256              keys/       who signs and who opens, behind a port
streams     encryption of long streams (Tink)   sealing     envelope encryption of files
dsse        signed envelopes                    statements  in-toto statements inside them
ledger/     the append-only Merkle log          entries     what the log holds of a statement
gate        rules over evidence                 seen        the newest checkpoint seen of each ledger

The names in `__all__` are the public surface of the room; each is imported when it is first used.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from hauberk.core.lifting import lifted

if TYPE_CHECKING:
    from hauberk.custody.artifacts import Artifacts as Artifacts
    from hauberk.custody.authority import Authority as Authority
    from hauberk.custody.dsse import Envelope as Envelope
    from hauberk.custody.gate import Rule as Rule
    from hauberk.custody.gate import Ruling as Ruling
    from hauberk.custody.gate import Verdict as Verdict
    from hauberk.custody.gate import evaluate as evaluate
    from hauberk.custody.issuing import issue as issue
    from hauberk.custody.keys.port import KeyService as KeyService
    from hauberk.custody.keys.port import PublicKey as PublicKey
    from hauberk.custody.keys.port import Signer as Signer
    from hauberk.custody.keys.schemes import open_keys as open_keys
    from hauberk.custody.ledger.auditing import Audit as Audit
    from hauberk.custody.ledger.auditing import audit as audit
    from hauberk.custody.ledger.log import Ledger as Ledger
    from hauberk.custody.rotation import rewrap_all as rewrap_all
    from hauberk.custody.rowtree import Commitment as Commitment
    from hauberk.custody.rowtree import RowTree as RowTree
    from hauberk.custody.sealing import seal_bytes as seal_bytes
    from hauberk.custody.sealing import seal_file as seal_file
    from hauberk.custody.sealing import unseal_bytes as unseal_bytes
    from hauberk.custody.sealing import unseal_file as unseal_file
    from hauberk.custody.seen import Seen as Seen
    from hauberk.custody.statements import Statement as Statement
    from hauberk.custody.statements import attest as attest
    from hauberk.custody.statements import open_attestation as open_attestation
    from hauberk.custody.streams import decrypt as decrypt
    from hauberk.custody.streams import encrypt as encrypt

_HOMES = {
    "Artifacts": "artifacts",
    "Audit": "ledger.auditing",
    "Authority": "authority",
    "Commitment": "rowtree",
    "Envelope": "dsse",
    "KeyService": "keys.port",
    "Ledger": "ledger.log",
    "PublicKey": "keys.port",
    "RowTree": "rowtree",
    "Rule": "gate",
    "Ruling": "gate",
    "Seen": "seen",
    "Signer": "keys.port",
    "Statement": "statements",
    "Verdict": "gate",
    "attest": "statements",
    "audit": "ledger.auditing",
    "decrypt": "streams",
    "encrypt": "streams",
    "evaluate": "gate",
    "issue": "issuing",
    "open_attestation": "statements",
    "open_keys": "keys.schemes",
    "rewrap_all": "rotation",
    "seal_bytes": "sealing",
    "seal_file": "sealing",
    "unseal_bytes": "sealing",
    "unseal_file": "sealing",
}
__all__ = sorted(_HOMES)  # noqa: PLE0605 - the table is the list


def __getattr__(name: str) -> Any:  # noqa: ANN401 - one of the names above
    return lifted(__name__, _HOMES, name)
