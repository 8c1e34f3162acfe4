"""Erasure from the command line: confirmed, logged, and told to whoever opens the file afterwards."""

from __future__ import annotations

import json

import pytest

from hauberk.cli.main import run
from hauberk.core.errors import Unavailable
from hauberk.custody.keys._vault import Cost
from hauberk.custody.keys.keyring import Keyring

PASSPHRASE = "five words that are random"


@pytest.fixture
def project(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HAUBERK_PASSPHRASE", PASSPHRASE)
    Keyring.make(tmp_path / ".hauberk" / "keyring", PASSPHRASE.encode(), cost=Cost(1, 64, 1))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "configuration"))
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    (tmp_path / "claims.csv").write_text("name,amount\n" * 100)
    (tmp_path / "other.csv").write_text("x\n")
    return tmp_path


@pytest.fixture
def call(capsys, project):
    def run_one(*arguments, code=0):
        capsys.readouterr()
        assert project.is_dir()
        assert run([*arguments, "--json"]) == code
        return json.loads(capsys.readouterr().out)

    return run_one


@pytest.fixture
def sealed(call):
    digest = call("seal", "claims.csv", "--key", "claims-2026", "--make-key")["sha256"]
    call("seal", "other.csv")
    return digest


def test_what_the_key_opened_is_gone_and_the_receipt_says_so(sealed, project, call):
    before = (project / ".hauberk" / "keyring").read_bytes()
    receipt = call("erase", "claims-2026", "--yes")
    assert receipt["key"] == "claims-2026"
    assert receipt["unreadable"] == [{"name": "claims.csv.sealed", "sha256": sealed}]
    assert receipt["waiting_days"] == 0
    assert "@" in receipt["by"]
    assert "Backups" in receipt["remains"]
    assert (project / ".hauberk" / "keyring").read_bytes() != before

    said = call("open", "claims.csv.sealed", "--output", "x", code=2)["error"]["message"]
    assert "was erased on" in said
    assert f"ledger entry {receipt['entry']}" in said
    assert "names this very file" in said
    assert not (project / "x").exists()
    call("open", "other.csv.sealed", "--output", "y")  # another data set is untouched

    kinds = [entry["kind"] for entry in call("ledger", "show")["entries"]]
    assert kinds == ["key.erasing", "key.erased"]
    call("ledger", "audit")
    call("ledger", "prove", str(receipt["entry"]))


def test_a_file_that_was_copied_away_before_is_told_by_its_key(sealed, project, call):
    assert sealed
    (project / "away").mkdir()
    (project / "claims.csv.sealed").rename(project / "away" / "c.sealed")
    call("erase", "claims-2026", "--in", "other.csv.sealed", "--yes")
    said = call("open", "away/c.sealed", code=2)["error"]["message"]
    assert "was erased" in said
    assert "does not name this file" in said


def test_a_new_key_of_that_name_does_not_hide_the_erasure(sealed, call):
    assert sealed
    call("erase", "claims-2026", "--yes")
    call("keys", "create", "claims-2026", "--algorithm", "aes-256")
    assert "was erased" in call("open", "claims.csv.sealed", "--output", "x", code=2)["error"]["message"]


def test_nothing_is_destroyed_unless_it_is_confirmed(sealed, call, monkeypatch, capsys):
    assert sealed
    assert "--yes" in call("erase", "claims-2026", code=2)["error"]["message"]
    monkeypatch.setattr("sys.stdin.isatty", lambda: True, raising=False)
    monkeypatch.setattr("click.prompt", lambda *_arguments, **_how: "claims")
    assert run(["erase", "claims-2026"]) == 2
    captured = capsys.readouterr()
    assert "claims.csv.sealed" in captured.out
    assert "Nothing was destroyed" in captured.err
    call("open", "claims.csv.sealed", "--output", "x")
    monkeypatch.setattr("click.prompt", lambda *_arguments, **_how: "claims-2026")
    assert run(["erase", "claims-2026"]) == 0


@pytest.mark.parametrize(
    ("name", "message"), [("absent", "no key is named 'absent'"), ("signing", "erasure is for keys")]
)
def test_only_a_key_that_data_is_sealed_under_can_be_erased(sealed, call, name, message):
    assert sealed
    call("erase", "data", "--yes")  # makes the project's ledger and its signing key
    assert message in call("erase", name, "--yes", code=2)["error"]["message"]


def test_a_holder_that_goes_away_leaves_an_intent_and_the_same_command_goes_on(sealed, call, monkeypatch):
    assert sealed
    destroy = Keyring.destroy

    def gone(self, name):
        raise Unavailable(f"{self} {name}: went away")

    monkeypatch.setattr(Keyring, "destroy", gone)
    call("erase", "claims-2026", "--yes", code=4)
    call("open", "claims.csv.sealed", "--output", "x")

    def cut(self, name):
        destroy(self, name)
        raise KeyboardInterrupt  # after the key is gone, before the receipt

    monkeypatch.setattr(Keyring, "destroy", cut)
    call("erase", "claims-2026", "--yes", code=130)
    monkeypatch.setattr(Keyring, "destroy", destroy)
    receipt = call("erase", "claims-2026", "--yes")
    assert receipt["unreadable"] == [{"name": "claims.csv.sealed", "sha256": sealed}]
    assert "later run" in receipt["remains"]
    assert "no key is named" in call("erase", "claims-2026", "--yes", code=2)["error"]["message"]


def test_sealed_columns_are_found_and_told_too(project, call):
    pq, table = pytest.importorskip("pyarrow.parquet"), pytest.importorskip("pyarrow").table
    pq.write_table(table({"ssn": ["1", "2"], "id": [1, 2]}), project / "t.parquet")
    call("keys", "create", "pii", "--algorithm", "aes-256")
    said = call("seal", "t.parquet", "--columns", "ssn=pii", "--footer", "plaintext")
    assert said["columns"] == ["ssn"]
    assert pq.read_table(project / "t.sealed.parquet", columns=["id"]).num_rows == 2
    assert call("open", "t.sealed.parquet", "--output", "back.parquet")["key"] == "data, pii"
    receipt = call("erase", "pii", "--yes")
    assert [row["name"] for row in receipt["unreadable"]] == ["t.sealed.parquet"]
    assert "was erased" in call("open", "t.sealed.parquet", "--output", "x", code=2)["error"]["message"]
    assert not (project / "x").exists()


def test_without_a_name_the_only_other_key_is_not_taken_for_the_usual_one(sealed, call):
    assert sealed
    assert call("seal", "other.csv", "--output", "again")["key"] == "data"


def test_a_key_from_elsewhere_is_erased_into_the_ledger_of_the_project(project, call):
    elsewhere = f"keyring:{project / 'vault' / 'keys'}"
    Keyring.make(project / "vault" / "keys", PASSPHRASE.encode(), cost=Cost(1, 64, 1))
    call("data", "import", "claims.csv", "--name", "claims")  # the ledger is there, under the project's own keys
    call("seal", "claims.csv", "--keys", elsewhere, "--key", "claims-2026", "--make-key")
    receipt = call("erase", "claims-2026", "--keys", elsewhere, "--yes")
    assert receipt["entry"] == 2
    assert call("ledger", "audit")
    assert (
        "was erased on"
        in call("open", "claims.csv.sealed", "--keys", elsewhere, "--output", "x", code=2)["error"]["message"]
    )


def test_the_receipt_of_a_services_only_key_is_written_by_a_later_run(project, call, monkeypatch):
    elsewhere = f"keyring:{project / 'vault' / 'keys'}"
    Keyring.make(project / "vault" / "keys", PASSPHRASE.encode(), cost=Cost(1, 64, 1))
    call("seal", "claims.csv", "--keys", elsewhere, "--key", "claims-2026", "--make-key")
    destroy = Keyring.destroy

    def killed(self, name):
        destroy(self, name)
        raise KeyboardInterrupt

    monkeypatch.setattr(Keyring, "destroy", killed)
    call("erase", "claims-2026", "--keys", elsewhere, "--yes", code=130)
    monkeypatch.setattr(Keyring, "destroy", destroy)
    receipt = call("erase", "claims-2026", "--keys", elsewhere, "--yes")
    assert (receipt["key"], receipt["entry"]) == ("claims-2026", 1)
