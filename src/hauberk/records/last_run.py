"""The last run of a project, read back from its ledger: the last verdict and the attestations that it decided on."""

from __future__ import annotations

from pathlib import Path

from hauberk.core import canonical
from hauberk.core.errors import InvalidInput, NotProven
from hauberk.custody import statements
from hauberk.custody.artifacts import Artifacts
from hauberk.custody.entries import entry_of, time_of
from hauberk.custody.keys.port import PublicKey
from hauberk.custody.ledger import Ledger, open_checkpoint
from hauberk.records.model import Attested, Source
from hauberk.records.reader import read_publics


def read_source(name: str, home: Path) -> Source:
    """Return what the report is made from: the last verdict, the attestations it decided on, and the release."""
    if not (home / "ledger" / "checkpoint").exists():
        raise InvalidInput(f"{home} holds no ledger yet: run `hauberk protect` first.")
    log_keys = read_publics(home / "ledger.pub")
    signers = read_publics(home / "signing.pub")
    artifacts = Artifacts(home / "store")
    with Ledger.open(home / "ledger", publics=log_keys) as ledger:
        head = open_checkpoint(ledger.checkpoint(), log_keys, what=str(home / "ledger"))
        entries = [canonical.decode(data, what=f"ledger entry {i}") for i, data in enumerate(ledger.entries())]
        chosen = _last_run(entries, artifacts, signers)
        attested = tuple(
            _attested(ledger, artifacts, signers, index, entries[index]["envelope"]) for index in chosen
        )
    ids = tuple(key.key_id for key in signers)
    return Source(name, head.origin, head.size, head.root.hex(), ids, attested, artifacts.get)


def _last_run(entries: list[dict[str, str]], artifacts: Artifacts, signers: tuple[PublicKey, ...]) -> list[int]:
    """Return the indices of the last verdict, of what it names as its inputs, and of what followed it."""
    verdicts = [i for i, entry in enumerate(entries) if entry["predicateType"] == statements.VSA]
    if not verdicts:
        raise InvalidInput("the ledger holds no verdict yet: run `hauberk protect` first.")
    last = verdicts[-1]
    envelope = artifacts.get(entries[last]["envelope"])
    verdict = statements.open_attestation(envelope, signers, what=f"attestation {last}")
    inputs = {given["digest"]["sha256"] for given in verdict.predicate["inputAttestations"]}
    return [i for i, entry in enumerate(entries) if entry["envelope"] in inputs or i >= last]


def _attested(
    ledger: Ledger, artifacts: Artifacts, signers: tuple[PublicKey, ...], index: int, digest: str
) -> Attested:
    envelope = artifacts.get(digest)
    statement = statements.open_attestation(envelope, signers, what=f"attestation {index}")
    if ledger.entry(index) != entry_of(envelope, statement):
        raise NotProven(f"ledger entry {index} does not say what its envelope says: the store was tampered with.")
    return Attested(
        index, digest, time_of(statement), statement.predicate_type, statement.subjects, statement.predicate
    )
