"""The error for a file whose key was erased cites the receipt; any other error stays as it is."""

from __future__ import annotations

from hauberk.core.errors import NotProven
from hauberk.records import erased
from hauberk.records.erased import explained

ERROR = NotProven("it does not open")


class Subject:
    def __init__(self, sha256):
        self.sha256 = sha256


class Receipt:
    def __init__(self, index, *digests, waiting_days=0):
        self.index, self.subjects, self.waiting_days = index, [Subject(one) for one in digests], waiting_days
        self.time, self.by = "2026-01-01T00:00:00Z", "someone"


def told(monkeypatch, tmp_path, receipts, sha256="ab"):
    monkeypatch.setattr(erased, "receipts_of", lambda _home, _key: receipts)
    return explained(ERROR, tmp_path, "data", sha256)


def test_without_a_ledger_the_error_stays_as_it_is(tmp_path):
    assert explained(ERROR, tmp_path, "data", "ab") is ERROR


def test_the_receipt_that_names_the_file_is_cited(monkeypatch, tmp_path):
    text = str(told(monkeypatch, tmp_path, [Receipt(3, "cd"), Receipt(7, "ab")]))
    assert "ledger entry 7" in text
    assert "names this very file" in text
    assert "it does not open" in text


def test_a_receipt_for_the_key_alone_is_said_to_be_no_more(monkeypatch, tmp_path):
    text = str(told(monkeypatch, tmp_path, [Receipt(3, "cd", waiting_days=30)]))
    assert "does not name this file" in text
    assert "30 days after" in text
