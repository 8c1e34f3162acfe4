"""Opening a workshop: whose keys, under which name, and when a passphrase is made."""

from __future__ import annotations

import warnings

import pytest

from hauberk.core.errors import HauberkWarning
from hauberk.project import load
from hauberk.project.opening import open_workshop

from .texts import IMAGES


@pytest.fixture(autouse=True)
def _home(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.setenv("HAUBERK_STATE", str(tmp_path / "state.json"))
    monkeypatch.delenv("HAUBERK_PASSPHRASE", raising=False)


def test_a_project_is_opened_with_its_name_and_keys(folder, cheap_keys):
    cheap_keys(folder / ".hauberk" / "keyring")
    (folder / "hauberk.toml").write_text(IMAGES)
    for place in (folder, load(folder)):
        with open_workshop(place, passphrase=lambda: b"correct horse") as workshop:
            assert "digits" in workshop.ledger.origin
    assert (folder / ".hauberk" / "ledger" / "checkpoint").is_file()


def test_a_folder_without_a_project_file_takes_its_own_name(tmp_path, cheap_keys):
    place = tmp_path / "My Loans"
    place.mkdir()
    cheap_keys(place / ".hauberk" / "keyring")
    with open_workshop(place, passphrase=lambda: b"correct horse") as workshop:
        assert "my-loans" in workshop.ledger.origin


def test_a_random_passphrase_is_made_with_a_new_keyring_and_reported(folder, tmp_path, monkeypatch):
    monkeypatch.setattr("sys.stdin", open("/dev/null"))  # noqa: PTH123, SIM115 - no terminal
    with pytest.warns(HauberkWarning, match="keep a copy of it"), open_workshop(folder):
        pass
    (made,) = (tmp_path / "config" / "hauberk").iterdir()
    assert made.stat().st_mode & 0o777 == 0o600
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with open_workshop(folder):
            pass
