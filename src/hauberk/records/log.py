"""The job of `hauberk ledger`: list the newest entries, take one entry's proof out, audit the whole log.

Works on the ledger's folder alone, without lock, passphrase and write access. The log's key is read from `ledger.pub` beside
the folder unless another one is given; whoever can replace the ledger can replace that file too, so results say whether
the key was given (`pinned`).
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hauberk.core import canonical
from hauberk.core.errors import InvalidInput
from hauberk.core.progress import Task
from hauberk.custody.keys.port import PublicKey
from hauberk.custody.ledger import Audit, Ledger, merkle, parse_vkey, tlogproof


@dataclass(frozen=True, slots=True)
class Row:
    """One entry for a table. digest: SHA-256 (hex) of the entry. Entries of another form have kind "bytes" and no time."""

    index: int
    time: str
    kind: str
    subject: str
    digest: str

    def to_json(self) -> dict[str, Any]:
        """Return the row for machines."""
        return {
            "index": self.index,
            "time": self.time,
            "kind": self.kind,
            "subject": self.subject,
            "digest": self.digest,
        }


@dataclass(frozen=True, slots=True)
class Shown:
    """The newest entries of a log. root: hex. checked: whether the checkpoint's signature was checked."""

    origin: str
    size: int
    root: str
    checked: bool
    rows: tuple[Row, ...]

    def to_json(self) -> dict[str, Any]:
        """Return the document of `hauberk ledger show --json`."""
        return {
            "origin": self.origin,
            "size": self.size,
            "root": self.root,
            "signature_checked": self.checked,
            "entries": [row.to_json() for row in self.rows],
        }


@dataclass(frozen=True, slots=True)
class EntryProof:
    """The proof that an entry is in the log. text: the file (c2sp.org/tlog-proof@v1). leaf, hashes, root: of 32 bytes."""

    origin: str
    index: int
    size: int
    root: bytes
    leaf: bytes
    hashes: tuple[bytes, ...]
    text: bytes

    def to_json(self) -> dict[str, Any]:
        """Return the document of `hauberk ledger prove --json`, without the name of its output."""
        return {
            "origin": self.origin,
            "index": self.index,
            "size": self.size,
            "root": self.root.hex(),
            "leaf_hash": self.leaf.hex(),
            "hashes": [value.hex() for value in self.hashes],
            "proof": self.text.decode(),
        }


@dataclass(frozen=True, slots=True)
class Audited:
    """A log whose every byte leads to the signed root. pinned: the key was given. since: the older checkpoint it extends."""

    audit: Audit
    key_id: str
    pinned: bool
    since: Path | None

    def to_json(self) -> dict[str, Any]:
        """Return the document of `hauberk ledger audit --json`."""
        return {
            "ok": True,
            "origin": self.audit.origin,
            "size": self.audit.size,
            "root": self.audit.root,
            "files_checked": self.audit.files,
            "files_ignored": self.audit.ignored,
            "key_id": self.key_id,
            "key_pinned": self.pinned,
            "extends": None if self.since is None else str(self.since),
        }


def show(folder: Path, *, limit: int = 20) -> Shown:
    """Return at most `limit` entries of the log in `folder`, the newest, in their order.

    Raises InvalidInput where there is no log, NotProven when its checkpoint or an entry does not hold.
    """
    log, public = _opened(folder)
    first = max(0, log.size - limit)
    rows = tuple(_row(first + at, entry) for at, entry in enumerate(log.entries(first)))
    return Shown(log.origin, log.size, log.root().hex(), public is not None, rows)


def prove(folder: Path, index: int) -> EntryProof:
    """Return the proof of entry `index` under the newest checkpoint. Raises as `show`, InvalidInput beyond the end."""
    log, _ = _opened(folder)
    leaf = merkle.leaf_hash(log.entry(index))
    text = log.tlog_proof(index)
    return EntryProof(log.origin, index, log.size, log.root(), leaf, tuple(tlogproof.parse(text).hashes), text)


def audit(folder: Path, *, key: str | None = None, since: Path | None = None, task: Task | None = None) -> Audited:
    """Trace every byte of the log to its signed root.

    key: the log's published key, as a verifier key (`name+id+base64`) or the path of a PEM file; None reads the neighbour's.
    since: a checkpoint kept from before, which the log has to extend.
    Raises NotProven when a byte was altered or the log does not extend `since`, InvalidInput without a key. Cost: about 1.5 s
    for 10^6 entries.
    """
    public, origin = _key(folder, key)
    log = Ledger.open(folder, publics=(public,))
    found = log.audit(public, origin=origin, task=task)
    if since is not None:
        log.check_extends(since.read_bytes(), public)
    return Audited(found, public.key_id, key is not None, since)


def key_file(folder: Path) -> Path:
    """Return the file of the log's public key, beside its folder."""
    return folder.parent / "ledger.pub"


def _opened(folder: Path) -> tuple[Ledger, PublicKey | None]:
    public = _neighbour(folder)
    return Ledger.open(folder, publics=() if public is None else (public,)), public


def _key(folder: Path, key: str | None) -> tuple[PublicKey, str | None]:
    if key is None:
        public = _neighbour(folder)
        if public is None:
            raise InvalidInput(f"there is no {key_file(folder)}: give the ledger's key with --key.")
        return public, None
    if Path(key).is_file():
        return PublicKey.from_pem(Path(key).read_bytes()), None
    if "+" not in key:
        raise InvalidInput(f"--key {key!r} is neither a PEM file nor a verifier key `name+id+base64`.")
    found = parse_vkey(key)
    return found.public, found.name


def _neighbour(folder: Path) -> PublicKey | None:
    file = key_file(folder)
    return PublicKey.from_pem(file.read_bytes()) if file.is_file() else None


def _row(index: int, entry: bytes) -> Row:
    digest = canonical.sha256(entry)
    try:
        record = canonical.decode(entry, what="entry")
    except InvalidInput:
        record = None
    if not isinstance(record, dict) or not {"time", "kind", "subjects"} <= record.keys():
        return Row(index, "", "bytes", f"{len(entry)} bytes, sha256 {digest}", digest)
    return Row(index, str(record["time"]), str(record["kind"]), _subject(record["subjects"]), digest)


def _subject(value: object) -> str:
    # A name, a record with a name, or several of either: a log may hold entries of other tools.
    if isinstance(value, list):
        return ", ".join(_subject(item) for item in value)
    if isinstance(value, dict) and isinstance(value.get("name"), str):
        return str(value["name"])
    return value if isinstance(value, str) else str(value)
