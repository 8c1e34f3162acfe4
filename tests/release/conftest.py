"""A small release made by hand: everything that verification looks at, and no machine learning."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import pytest

from hauberk.core import canonical
from hauberk.core.evidence import Subject
from hauberk.custody import gate, sealing, statements
from hauberk.custody.entries import entry_of
from hauberk.custody.keys._vault import Cost
from hauberk.custody.keys.keyring import Keyring
from hauberk.custody.ledger import Ledger
from hauberk.custody.seen import Seen
from hauberk.release import bundle

TIME = "2026-01-02T03:04:05.000Z"
DATA = canonical.sha256(b"data")


@dataclass
class Maker:
    """A team with keys and a ledger. `release` makes the next release and returns its folder."""

    folder: Path
    keys: Keyring
    ledger: Ledger
    attested: dict[int, bytes] = field(default_factory=dict)
    sizes: list[int] = field(default_factory=list)

    def log(self, statement: statements.Statement) -> str:
        envelope = statements.attest(statement, self.keys.signer("signing"))
        self.attested[self.ledger.append(entry_of(envelope, statement))] = envelope
        return canonical.sha256(envelope)

    def evidence(self, model: bytes, accuracy: float) -> statements.Statement:
        predicate = {
            "control": "evasion",
            "role": "hardened",
            "metrics": {"robust_accuracy": accuracy},
            "parameters": {"threat": "linf 0.1"},
            "finished": TIME,
        }
        subjects = (Subject("model.onnx", canonical.sha256(model)), Subject("dataset", DATA))
        return statements.Statement(subjects, statements.EVIDENCE, predicate)

    def release(self, name: str = "release", *, model: bytes = b"a model", sealed: bool = False, **changes) -> Path:
        self.attested.clear()
        evidence = self.evidence(changes.get("measured", model), changes.get("accuracy", 0.8))
        digest = self.log(evidence)
        subjects = frozenset(subject.sha256 for subject in evidence.subjects)
        rules = [gate.Rule.parse("robust_accuracy", changes.get("rule", ">= 0.6"))]
        about = {"data": DATA, "hardened": canonical.sha256(model)}
        verdict = gate.evaluate(
            rules, [gate.Exhibit(digest, subjects, evidence.predicate)], about=about, released="hardened"
        )
        rulings = [ruling.to_json() for ruling in verdict.rulings]
        summary = statements.summary(
            verifier="https://hauberk.dev/gate",
            verified=TIME,
            resource="urn:hauberk:test",
            policy="file:hauberk.toml",
            policy_sha256=canonical.digest(rulings),
            inputs=[digest],
            passed=changes.get("passed", verdict.allowed),
            rulings=changes.get("rulings", rulings),
        )
        self.log(statements.Statement((Subject("model.onnx", canonical.sha256(model)),), statements.VSA, summary))
        contents = bundle.Contents(
            project="test",
            made=TIME,
            models={"model.onnx": model},
            attestations=dict(self.attested),
            about=about,
            released="hardened",
            verdict=self.ledger.size - 1,
            card="# card\n",
            earlier=self.sizes,
            sealer=self._seal if sealed else None,
        )
        place = self.folder / name
        bundle.write(
            place,
            contents,
            ledger=self.ledger,
            signer=self.keys.signer("signing"),
            publics=self.keys.publics("signing"),
            log_key=self.keys.signer("ledger").public,
        )
        self.sizes.append(self.ledger.size)
        return place

    def _seal(self, plain: bytes, context: bytes) -> bytes:
        return sealing.seal_bytes(plain, self.keys, "data", associated=context)


def new_maker(folder: Path, algorithm: str = "ed25519") -> Maker:
    folder.mkdir(parents=True, exist_ok=True)
    keys = Keyring.make(folder / "keyring", b"correct horse", cost=Cost(time=1, memory=8, lanes=1))
    for name, kind in (("signing", algorithm), ("ledger", "ed25519"), ("data", "aes-256")):
        keys.create(name, kind)
    return Maker(folder, keys, Ledger.create(folder / "ledger", "example.org/test", keys.signer("ledger")))


@pytest.fixture
def make_maker():
    made: list[Maker] = []

    def make(folder: Path, algorithm: str = "ed25519") -> Maker:
        made.append(new_maker(folder, algorithm))
        return made[-1]

    yield make
    for maker in made:
        maker.ledger.close()


@pytest.fixture
def maker(tmp_path, make_maker):
    return make_maker(tmp_path / "maker")


@pytest.fixture
def seen(tmp_path):
    return Seen(tmp_path / "state" / "seen.json")
