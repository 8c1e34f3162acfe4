"""A ledger with evidence and events that costs no passphrase: records are written here as a workshop writes them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ed25519

from hauberk.core import canonical
from hauberk.core.disk import Disk
from hauberk.core.evidence import Subject
from hauberk.custody import statements
from hauberk.custody.artifacts import Artifacts
from hauberk.custody.entries import entry_of
from hauberk.custody.keys.port import PublicKey
from hauberk.custody.ledger import Ledger
from hauberk.custody.seen import Seen
from hauberk.records.reader import open_records


class MemorySigner:
    def __init__(self, number):
        self._key = ed25519.Ed25519PrivateKey.from_private_bytes(bytes([number]) * 32)
        spki = self._key.public_key().public_bytes(
            serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
        )
        self.public = PublicKey.from_spki(spki)

    def sign(self, message):
        return self._key.sign(message)


class Unsynced(Disk):
    """A disk that does not wait: what these tests ask about is not durability."""

    def sync(self, descriptor):
        pass

    def sync_folder(self, path):
        pass


@dataclass
class Log:
    """A project's `.hauberk` folder: `log` attests statements, `open` reads them back."""

    home: Path
    seen: Seen
    signer: MemorySigner
    logger: MemorySigner

    @classmethod
    def at(cls, place: Path) -> Log:
        return cls(place / ".hauberk", Seen(place / "state"), MemorySigner(1), MemorySigner(2))

    @classmethod
    def create(cls, place: Path) -> Log:
        found = cls.at(place)
        home = found.home
        home.mkdir()
        (home / "signing.pub").write_text(found.signer.public.pem())
        (home / "ledger.pub").write_text(found.logger.public.pem())
        Ledger.create(home / "ledger", "hauberk/test", found.logger).close()
        return found

    def log(self, *said: statements.Statement, signer: MemorySigner | None = None) -> list[int]:
        artifacts = Artifacts(self.home / "store", disk=Unsynced())
        envelopes = [statements.attest(one, signer or self.signer) for one in said]
        for envelope in envelopes:
            artifacts.put(envelope)
        with Ledger.open(self.home / "ledger", self.logger, disk=Unsynced()) as ledger:
            return ledger.append_many([entry_of(*pair) for pair in zip(envelopes, said, strict=True)])

    def open(self, **options):
        return open_records(self.home, **{"seen": self.seen, "disk": Unsynced()} | options)

    @property
    def copy(self) -> Path:
        """The file that the index is kept in."""
        (file,) = (self.home / "index").iterdir()
        return file


def digest(name: str) -> str:
    return canonical.sha256(name.encode())


def evidence(
    control="evasion", role="plain", *, practice="2a", by="ana", at=0, about="model", metrics=None, **more
) -> statements.Statement:
    predicate = {
        "control": control,
        "practice": practice,
        "role": role,
        "by": {"id": by, "kind": "person", "known": "said"},
        "finished": f"2026-01-02T03:{at // 60:02d}:{at % 60:02d}.000Z",
        "metrics": metrics or {},
    }
    return statements.Statement((Subject("model", digest(about)),), statements.EVIDENCE, predicate | more)


def event(name="data.used", *, at=0, subjects=("dataset",), **more) -> statements.Statement:
    predicate = {"event": name, "time": f"2026-01-02T03:{at // 60:02d}:{at % 60:02d}.000Z", "details": {}}
    return statements.Statement(
        tuple(Subject(one, digest(one)) for one in subjects), statements.EVENT, predicate | more
    )
