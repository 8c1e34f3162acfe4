"""Reading a project's records: no lock, no passphrase, no write access, while another process writes.

    home/ledger.pub, home/signing.pub    the keys that checkpoints and attestations verify with
    home/ledger/, home/store/            the log and the envelopes that it names

`open_records` takes a snapshot of the ledger's newest checkpoint. Every attestation that is returned was verified:

1. the checkpoint is signed by the log's key        (an invented log)
2. the entry is in the tree under that checkpoint   (an added or altered entry)
3. the envelope has the digest that the entry names (an exchanged envelope)
4. the envelope is signed by the project's key      (an attestation by somebody else)
5. the entry is what this envelope gives            (an entry that says something else)

Answers: whoever alters ledger, store or index. Does not answer: whoever replaces the two public keys with the rest of the
folder; compare key ids with the ones that were published, as `hauberk verify --key` does.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from pathlib import Path

from hauberk.core.disk import Disk
from hauberk.core.errors import InvalidInput, NotProven
from hauberk.custody import statements
from hauberk.custody.artifacts import Artifacts
from hauberk.custody.entries import Entry, entry_of, read_entry
from hauberk.custody.keys.port import PublicKey
from hauberk.custody.ledger import Ledger
from hauberk.custody.seen import Seen
from hauberk.custody.statements import Statement
from hauberk.records._index_file import IndexFile
from hauberk.records.index import Index, Question
from hauberk.records.model import Attested

KEY = "index.key"


class Records:
    """What a ledger and its store hold, verified. Made by `open_records`; an open workshop has one too."""

    def __init__(
        self, ledger: Ledger, artifacts: Artifacts, signers: tuple[PublicKey, ...], index: Index | None = None
    ) -> None:
        self.ledger = ledger
        self.artifacts = artifacts
        self.signers = signers
        self.index = index or Index(artifacts)

    def find(self, question: Question, *, newest: int | None = None) -> list[Attested]:
        """Return the attestations that answer a question in the order of the ledger, each one verified.

        newest: at most so many, the newest. Raises NotProven when ledger, store or a signature does not hold, InvalidInput
        when an envelope is not in the store. Cost: 0.3 to 0.7 ms of processor time a hit beside the search.
        """
        return list(islice(self._hits(question), newest))[::-1]

    def attested(self, index: int) -> Attested:
        """Return the attestation at a ledger index, verified. Raises as `find`, InvalidInput beyond the end."""
        return self._opened(index)[1]

    def statement(self, digest: str, *, what: str) -> Statement:
        """Return a signed statement of the store that is not in the ledger, such as a manifest. Raises as `find`."""
        return statements.open_attestation(self.artifacts.get(digest), self.signers, what=what)

    def _hits(self, question: Question) -> Iterator[Attested]:
        for index in self.index.candidates(self.ledger, question):
            entry, found, statement = self._opened(index)
            if question.holds(index, entry, statement):
                yield found

    def _opened(self, index: int) -> tuple[Entry, Attested, Statement]:
        data = self.ledger.entry(index)  # 1, 2
        entry = read_entry(data, what=f"ledger entry {index}")
        envelope = self.artifacts.get(entry.envelope)  # 3
        statement = statements.open_attestation(envelope, self.signers, what=f"attestation {index}")  # 4
        if data != entry_of(envelope, statement):  # 5
            raise NotProven(
                f"ledger entry {index} does not say what its envelope says: one of the two was exchanged. Trust nothing that "
                "rests on it; `hauberk ledger audit` says whether the ledger holds."
            )
        found = Attested(
            index, entry.envelope, entry.time, entry.predicate_type, statement.subjects, statement.predicate
        )
        return entry, found, statement


def open_records(
    home: Path, *, seen: Seen | None = None, check_seen: bool = False, disk: Disk | None = None
) -> Records:
    """Open the records of a project for reading: the newest checkpoint now, and everything that it covers.

    home: the project's `.hauberk` folder. seen: this user's memory of checkpoints; its folder holds the key of the index too.
    check_seen: also refuse a ledger that was rolled back behind that memory.
    Writes at most the copy of the index, where it may. Raises InvalidInput where there is no ledger, NotProven when its
    checkpoint does not hold.
    """
    if not (home / "ledger" / "checkpoint").is_file() or not (home / "signing.pub").is_file():
        raise InvalidInput(
            f"there is no ledger in {home}: nothing was recorded. Start with `hauberk protect`, or with "
            "`hauberk data import FILES --name NAME`."
        )
    disk = disk or Disk()
    memory = seen or Seen(disk=disk)
    publics = read_publics(home / "ledger.pub")
    ledger = Ledger.open(home / "ledger", publics=publics)
    if check_seen:
        _check_seen(ledger, memory, publics)
    artifacts = Artifacts(home / "store", disk=disk)
    return Records(ledger, artifacts, read_publics(home / "signing.pub"), open_index(home, artifacts, memory, disk))


def open_index(home: Path, artifacts: Artifacts, seen: Seen, disk: Disk | None = None) -> Index:
    """Return the index of a project, its copy in `.hauberk/index/` and the key of the copy in the folder of `seen`."""
    return Index(artifacts, IndexFile(home, seen.place / KEY, disk or Disk()))


def read_publics(path: Path) -> tuple[PublicKey, ...]:
    """Return the public keys of a PEM file, in its order. Raises InvalidInput."""
    try:
        blocks = path.read_text(encoding="ascii").split("-----BEGIN ")[1:]
    except (OSError, UnicodeDecodeError) as error:
        raise InvalidInput(f"cannot read the public keys in {path}: {error}.") from error
    return tuple(PublicKey.from_pem(f"-----BEGIN {block}".encode("ascii")) for block in blocks)


def writer_name(origin: str) -> str:
    """Return the name under which the writer of a ledger remembers its checkpoint.

    It differs from the name that `hauberk verify` uses: the log runs ahead of the checkpoint in its newest release.
    """
    return f"{origin} (writer)"


def _check_seen(ledger: Ledger, seen: Seen, publics: tuple[PublicKey, ...]) -> None:
    note = seen.get(writer_name(ledger.origin))
    if note is not None:
        ledger.check_extends(note, *publics)
