"""The main job with keys that live elsewhere: the same release, and a service that fails leaves a sound project."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

import hauberk
from hauberk import project as projects
from hauberk.cli.main import run
from hauberk.core.errors import InvalidInput, Unavailable
from hauberk.core.progress import Progress
from hauberk.custody.keys import open_keys
from hauberk.custody.ledger import Ledger
from hauberk.custody.seen import Seen
from hauberk.records.reader import read_publics
from hauberk.records.workshop import Workshop

sys.path.insert(0, str(Path(__file__).parents[1] / "custody" / "keys"))
from key_services import kms, softhsm, token, vault, vault_uri  # noqa: F401 - fixtures

DECLARED = """
[[threats]]
kind = "evasion"
cost = 12.0
columns = [{{ column = "mean texture", by = 4.0, cost = 1.0 }}]
[evaluation]
rows = 20
[gate]
clean_accuracy = ">= 0.8"
[keys]
uri = "{uri}"
"""


@pytest.fixture(params=[pytest.param("awskms", marks=pytest.mark.slow), "pkcs11", "vault"])
def uri(request):
    if request.param == "vault":
        return request.getfixturevalue("vault_uri")
    if request.param == "pkcs11":
        return request.getfixturevalue("token")[0]
    request.getfixturevalue("kms")
    return "awskms://hauberk/cells?region=eu-central-1"


@pytest.fixture
def folder(tmp_path, uri, cells_project):
    return cells_project(tmp_path, DECLARED.format(uri=uri), seed=3)


def protect(folder):
    return hauberk.protect(folder, progress=Progress(visible=False), seen=Seen(folder / "seen.json"))


def test_the_main_job_signs_logs_and_seals_with_keys_that_never_come_here(folder, uri):
    result = protect(folder)
    assert result.allowed
    service = open_keys(uri)
    assert set(service.names()) == {"data", "ledger", "model", "signing"}
    assert result.key_id == service.publics("signing")[0].key_id
    assert not (folder / ".hauberk" / "keyring").exists()
    assert hauberk.verify(result.release, key=result.key_id, keys=service, seen=Seen(folder / "seen.json")).ok
    (key,) = read_publics(folder / ".hauberk" / "ledger.pub")
    with Ledger.open(folder / ".hauberk" / "ledger", publics=[key]) as ledger:
        assert ledger.audit(key).size == result.size
    again = protect(folder)
    assert all(step.cached for step in again.steps)


def test_the_data_is_erased_and_the_released_model_still_opens(  # noqa: PLR0917 - fixtures
    tmp_path,
    cells_project,
    vault,  # noqa: F811 - a fixture
    vault_uri,  # noqa: F811 - a fixture
    monkeypatch,
    capsys,
):
    cells_project(tmp_path, DECLARED.format(uri=vault_uri), seed=3)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    result = protect(tmp_path)
    vault.keys["data"].deletable = True
    assert run(["erase", "data", "--yes", "--keys", vault_uri, "--json"]) == 0
    receipt = json.loads(capsys.readouterr().out)
    assert [Path(row["name"]).parts[:2] for row in receipt["unreadable"]] == [(".hauberk", "store")] * 3
    keys = open_keys(vault_uri)
    assert hauberk.verify(result.release, key=result.key_id, keys=keys, seen=Seen(tmp_path / "seen.json")).ok


def test_only_aws_is_given_another_kind_of_signing_key_unasked(folder, uri):
    expected = "ecdsa-p256" if uri.startswith("awskms") else "ed25519"
    assert projects.load(folder).keys.signing == expected


def opens(folder, uri):
    return Workshop.open(folder / ".hauberk", name="cells", keys_uri=uri, seen=Seen(folder / "seen.json"))


def test_a_service_that_goes_away_while_signing_leaves_a_sound_ledger(tmp_path, vault, vault_uri):  # noqa: F811 - a fixture
    with opens(tmp_path, vault_uri) as workshop:
        subject = hauberk.core.evidence.Subject("dataset", "ab" * 32)
        workshop.attest(workshop.event("a", (subject,)))
        vault.sealed = True
        with pytest.raises(Unavailable, match="sealed"):
            workshop.attest(workshop.event("b", (subject,)))
        vault.sealed = False
        vault.denied = {"sign"}
        with pytest.raises(InvalidInput, match="denies"):
            workshop.attest(workshop.event("c", (subject,)))
    vault.denied = set()
    with opens(tmp_path, vault_uri) as workshop:
        assert workshop.ledger.size == 1
        workshop.attest(workshop.event("d", (subject,)))
        assert workshop.ledger.size == 2


def test_a_set_is_erased_in_vault_and_the_receipt_stays(tmp_path, vault, vault_uri, monkeypatch, capsys):  # noqa: F811 - fixtures
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    monkeypatch.setenv("HAUBERK_KEYS", vault_uri)
    (tmp_path / "set.csv").write_text("a,b\n")
    assert run(["seal", "set.csv", "--key", "set-1", "--make-key"]) == 0
    assert run(["erase", "set-1", "--yes"]) == 2
    assert "deletion_allowed=true" in capsys.readouterr().err
    assert run(["open", "set.csv.sealed", "--output", "x"]) == 0
    vault.keys["set-1"].deletable = True
    assert run(["erase", "set-1", "--yes"]) == 0
    assert run(["open", "set.csv.sealed", "--output", "y"]) == 2
    assert "was erased on" in capsys.readouterr().err
    assert not (tmp_path / "y").exists()
