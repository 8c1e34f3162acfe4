"""The ledger: an append-only Merkle log of events, which anyone can verify with the log's public key.

merkle     hashing and proof verification (RFC 6962), pure
notes      signed notes, checkpoints, cosignatures (C2SP), pure
tlogproof  one entry's proof in one file (C2SP), pure
tiles      names and bytes of the files (C2SP tlog-tiles), pure
frontier   the right edge of the tree: appending as a pure function
tree       a verified view of a signed head: proofs and entries from files
heads      the checkpoint file; roll-back and fork
writer     the lock, and the durable order of a commit
auditing   every byte, traced to the signed root
log        `Ledger`, which joins them
"""

from __future__ import annotations

from hauberk.custody.ledger.auditing import Audit
from hauberk.custody.ledger.heads import check_consistent, open_checkpoint
from hauberk.custody.ledger.log import Ledger
from hauberk.custody.ledger.notes import Checkpoint, VerifierKey, parse_checkpoint, parse_vkey, vkey

__all__ = [
    "Audit",
    "Checkpoint",
    "Ledger",
    "VerifierKey",
    "check_consistent",
    "open_checkpoint",
    "parse_checkpoint",
    "parse_vkey",
    "vkey",
]
