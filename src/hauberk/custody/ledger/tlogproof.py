"""A proof in one text file: c2sp.org/tlog-proof@v1, index, inclusion proof and checkpoint together.

With the entry, such a file and the log's verifier key, anyone can check offline that the entry was logged. The
`extra` line is carried and not authenticated, as the format defines.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from hauberk.core.errors import NotProven
from hauberk.custody.ledger import merkle, notes

HEADER = b"c2sp.org/tlog-proof@v1"
MOST_HASHES = 64
_INDEX = re.compile(rb"index (0|[1-9][0-9]{0,19})")


@dataclass(frozen=True, slots=True)
class Proof:
    """The parsed file, not verified: `checkpoint` is the signed note, `extra` is not authenticated."""

    index: int
    hashes: tuple[bytes, ...]
    checkpoint: bytes
    extra: bytes | None = None


def encode(index: int, hashes: Sequence[bytes], checkpoint: bytes, extra: bytes | None = None) -> bytes:
    """Return the file's bytes: entry index, inclusion hashes (32 bytes each, leaf to root) and the signed checkpoint."""
    lines = [HEADER]
    if extra is not None:
        lines.append(b"extra " + base64.b64encode(extra))
    lines.append(b"index %d" % index)
    lines += [base64.b64encode(value) for value in hashes]
    return b"\n".join(lines) + b"\n\n" + checkpoint


def parse(data: bytes) -> Proof:
    """Parse the file. Raises NotProven when it is malformed. Verifies nothing: `open` does."""
    head, separator, checkpoint = data.partition(b"\n\n")
    lines = head.split(b"\n")
    if lines.pop(0) != HEADER or not separator:
        raise NotProven(f"not a proof file: its first line is not {HEADER.decode()}, or it has no checkpoint.")
    extra = _decode(lines.pop(0)[6:]) if lines and lines[0].startswith(b"extra ") else None
    index = _INDEX.fullmatch(lines.pop(0)) if lines else None
    if index is None:
        raise NotProven("the proof file has no line `index N`.")
    if len(lines) > MOST_HASHES:
        raise NotProven(f"the proof file has {len(lines)} hashes; a log never needs more than {MOST_HASHES}.")
    hashes = tuple(_decode(line) for line in lines)
    notes.unverified_text(checkpoint)
    return Proof(int(index[1]), hashes, checkpoint, extra)


def open(data: bytes, entry: bytes, keys: Iterable[notes.VerifierKey]) -> tuple[Proof, notes.Checkpoint]:  # noqa: A001 - read as tlogproof.open
    """Verify that `entry` is in the log that one of `keys` signed; return the proof and the checkpoint.

    1. a known key signed the checkpoint (a forged or altered log);
    2. if that key is a log's own, not a witness's, the checkpoint names that log (another log of the same key);
    3. the entry, at the given index, leads to the signed root (a proof of another entry).

    Raises NotProven, which names the step that failed.
    """
    proof = parse(data)
    note = notes.open_note(proof.checkpoint, keys)
    checkpoint = notes.parse_checkpoint(note.text)
    signed_by = {held.key.name for held in note.signatures if held.key.kind == notes.SIGNATURE}
    if signed_by and checkpoint.origin not in signed_by:
        raise NotProven(f"the checkpoint belongs to {checkpoint.origin!r}, and the key to {min(signed_by)!r}.")
    leaf = merkle.leaf_hash(entry)
    merkle.verify_inclusion(leaf, proof.index, checkpoint.size, proof.hashes, checkpoint.root)
    return proof, checkpoint


def _decode(line: bytes) -> bytes:
    try:
        value = base64.b64decode(line, validate=True)
    except binascii.Error as error:
        raise NotProven("the proof file has a line that is not base64.") from error
    if base64.b64encode(value) != line:
        raise NotProven("the proof file has a line that is not canonical base64.")
    return value
