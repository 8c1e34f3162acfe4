from __future__ import annotations

import pytest

from hauberk.core import canonical
from hauberk.core.errors import InvalidInput, NotProven
from hauberk.custody import statements
from hauberk.custody.artifacts import Artifacts
from hauberk.custody.entries import entry_of
from hauberk.custody.ledger import Ledger
from hauberk.records.index import Question
from hauberk.records.reader import open_records, read_publics, writer_name

from .records_log import Log, MemorySigner, event, evidence


def test_a_folder_without_a_ledger_is_bad_input_and_stays_empty(tmp_path):
    with pytest.raises(InvalidInput, match="there is no ledger in"):
        open_records(tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_records_are_a_snapshot(log):
    log.log(event())
    before = log.open()
    log.log(event())
    assert [one.index for one in before.find(Question())] == [0]
    assert [one.index for one in log.open().find(Question())] == [0, 1]


def test_an_attestation_says_what_was_signed(log):
    log.log(evidence("drift", "data", metrics={"moved": 0.5}))
    (one,) = log.open().find(Question(control="drift"))
    assert one.predicate["metrics"] == {"moved": 0.5}
    assert one.time == "2026-01-02T03:00:00.000Z"
    assert log.open().attested(0) == one


def test_an_attestation_of_another_signer_is_not_proven(log):
    log.log(evidence(), signer=MemorySigner(9))
    with pytest.raises(NotProven, match="attestation 0"):
        log.open().find(Question(control="evasion"))


def test_an_entry_that_says_something_else_than_its_envelope_is_not_proven(log):
    """The log's key alone cannot make a good result of a bad one: the entry is computed from the signed envelope again."""
    said = evidence(control="evasion", role="plain")
    envelope = statements.attest(said, log.signer)
    Artifacts(log.home / "store").put(envelope)
    with Ledger.open(log.home / "ledger", log.logger) as ledger:
        ledger.append(entry_of(envelope, evidence(control="evasion", role="hardened")))
    with pytest.raises(NotProven, match="does not say what its envelope says"):
        log.open().find(Question(role="hardened"))


def test_an_envelope_that_was_exchanged_is_not_proven(log):
    log.log(evidence())
    (one,) = log.open().find(Question(control="evasion"))
    file = log.home / "store" / "sha256" / one.digest[:2] / one.digest[2:]
    file.chmod(0o644)
    file.write_bytes(statements.attest(evidence(metrics={"robust": 1.0}), log.signer))
    with pytest.raises(NotProven, match="damaged"):
        log.open().find(Question(control="evasion"))


def test_a_checkpoint_of_another_key_is_not_proven(log):
    log.log(event())
    (log.home / "ledger.pub").write_text(MemorySigner(9).public.pem())
    with pytest.raises(NotProven, match="not a checkpoint of this key"):
        log.open()


def test_a_ledger_behind_the_memory_is_refused_when_that_is_checked(log, tmp_path):
    log.log(event(), event())
    (tmp_path / "other").mkdir()
    longer = Log.create(tmp_path / "other")
    longer.log(*(event() for _ in range(5)))
    with Ledger.open(longer.home / "ledger", publics=(log.logger.public,)) as other:
        log.seen.record(writer_name("hauberk/test"), other.checkpoint())
    assert len(log.open().find(Question())) == 2
    with pytest.raises(NotProven, match="Entries were removed"):
        log.open(check_seen=True)


def test_a_signed_statement_outside_the_ledger_is_read_by_digest(log):
    data = statements.attest(event("manifest"), log.signer)
    Artifacts(log.home / "store").put(data)
    records = log.open()
    assert records.statement(canonical.sha256(data), what="the manifest").predicate["event"] == "manifest"
    forged = Artifacts(log.home / "store").put(statements.attest(event(), MemorySigner(9)))
    with pytest.raises(NotProven, match="the manifest"):
        records.statement(forged, what="the manifest")


@pytest.mark.parametrize("data", [None, b"\xff"])
def test_public_keys_that_cannot_be_read_are_bad_input(tmp_path, data):
    place = tmp_path / "signing.pub"
    if data is not None:
        place.write_bytes(data)
    with pytest.raises(InvalidInput, match="cannot read the public keys"):
        read_publics(place)
