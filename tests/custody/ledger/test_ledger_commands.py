"""`hauberk ledger show | prove | audit`, called as the command line calls them."""

from __future__ import annotations

import json

import pytest
from click.testing import CliRunner

from hauberk.cli.ledger import ledger
from hauberk.core import canonical
from hauberk.core.errors import InvalidInput, NotProven
from hauberk.custody.ledger import Ledger, notes, parse_vkey, tlogproof, vkey


@pytest.fixture
def folder(tmp_path, origin, signer):
    record = {"time": "2026-01-02T03:04:05Z", "kind": "data.verified", "subjects": [{"name": "rows.parquet"}]}
    with Ledger.create(tmp_path / "ledger", origin, signer) as log:
        log.append(canonical.encode(record))
        log.append(b"\x00not a record")
        log.append(canonical.encode({**record, "subjects": ["a\x1b[31m", {"name": "b"}]}))
    (tmp_path / "ledger.pub").write_text(signer.public.pem())
    return tmp_path / "ledger"


def _run(*arguments):
    result = CliRunner().invoke(ledger, [str(argument) for argument in arguments])
    if result.exception and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result.output


def test_show_lists_records_and_gives_digests_for_other_bytes(folder):
    text = _run("show", "--ledger", folder)
    assert "data.verified" in text
    assert "rows.parquet" in text
    assert "\x1b[31m" not in text  # an entry cannot steer the terminal
    document = json.loads(_run("show", "--ledger", folder, "--limit", 2, "--json"))
    assert document["size"] == 3
    assert document["signature_checked"] is True
    assert [row["index"] for row in document["entries"]] == [1, 2]
    assert document["entries"][0]["digest"] == canonical.sha256(b"\x00not a record")


def test_prove_writes_a_file_that_verifies_offline(folder, tmp_path, signer, origin):
    target = tmp_path / "one.tlog-proof"
    assert "proven" in _run("prove", 1, "--ledger", folder, "--output", target).replace("\n", " ")
    key = notes.VerifierKey(origin, signer.public)
    tlogproof.open(target.read_bytes(), b"\x00not a record", [key])
    assert _run("prove", 1, "--ledger", folder).encode() == target.read_bytes()
    document = json.loads(_run("prove", 1, "--ledger", folder, "--json"))
    assert (document["index"], document["size"]) == (1, 3)
    assert document["proof"].encode() == target.read_bytes()
    with pytest.raises(InvalidInput, match="no entry 3"):
        _run("prove", 3, "--ledger", folder)


def test_audit_says_that_an_unpinned_key_is_unpinned(folder, signer, origin):
    assert "not pinned" in _run("audit", "--ledger", folder)
    document = json.loads(_run("audit", "--ledger", folder, "--json"))
    assert (document["ok"], document["size"], document["key_pinned"]) == (True, 3, False)
    published = vkey(origin, signer.public)
    assert "not pinned" not in _run("audit", "--ledger", folder, "--key", published)
    assert json.loads(_run("audit", "--ledger", folder, "--json", "--key", published))["key_pinned"] is True
    assert parse_vkey(published).public.key_id in _run("audit", "--ledger", folder, "--json")


def test_audit_with_a_published_key_of_another_log_or_person_is_refused(folder, signer, another_signer, tmp_path):
    with pytest.raises(NotProven, match="expected"):
        _run("audit", "--ledger", folder, "--key", vkey("ledger.example/other", signer.public))
    (tmp_path / "other.pem").write_text(another_signer.public.pem())
    with pytest.raises(NotProven, match="not a checkpoint of this key"):
        _run("audit", "--ledger", folder, "--key", tmp_path / "other.pem")
    with pytest.raises(InvalidInput, match="neither a PEM file"):
        _run("audit", "--ledger", folder, "--key", "nowhere.pem")


def test_audit_without_any_key_asks_for_one(folder):
    (folder.parent / "ledger.pub").unlink()
    with pytest.raises(InvalidInput, match="--key"):
        _run("audit", "--ledger", folder)
    assert "not checked" in _run("show", "--ledger", folder)


def test_audit_since_a_kept_checkpoint_detects_a_roll_back(folder, tmp_path, signer):
    before = (folder / "checkpoint").read_bytes()
    with Ledger.open(folder, signer) as log:
        log.append(b"later")
    kept = tmp_path / "kept"
    kept.write_bytes(before)
    assert "no roll-back, no fork" in _run("audit", "--ledger", folder, "--since", kept).replace("\n", " ")
    kept.write_bytes((folder / "checkpoint").read_bytes())
    (folder / "checkpoint").write_bytes(before)
    (folder / "tile/0/000.p/3").write_bytes((folder / "tile/0/000.p/4").read_bytes()[:96])
    with pytest.raises(NotProven):
        _run("audit", "--ledger", folder, "--since", kept)
