from __future__ import annotations

import stat

import pytest

from hauberk.core.errors import InvalidInput
from hauberk.custody.keys.standing import _place_of, standing_passphrase


@pytest.fixture
def home(tmp_path):
    return {"HOME": str(tmp_path)}


def nobody(_text):
    raise AssertionError("asked a person")


def source_of(environ, prompt=None, **options):
    # A prompt that is given is used; without one, make sure that the terminal of the test run is not asked.
    return standing_passphrase(environ, prompt or (lambda _text: "typed words"), **options)


def test_the_variable_comes_first(home):
    _place_of(home).parent.mkdir(parents=True)
    _place_of(home).write_bytes(b"from the file\n")
    assert source_of(home | {"HAUBERK_PASSPHRASE": "from the variable"}, nobody)() == b"from the variable"


def test_the_users_file_comes_before_the_prompt(home):
    _place_of(home).parent.mkdir(parents=True)
    _place_of(home).write_bytes(b"from the file\n")
    assert source_of(home, nobody)() == b"from the file"


def test_a_person_is_asked_before_a_file_is_made(home):
    assert source_of(home, make=nobody)() == b"typed words"
    assert not _place_of(home).exists()


def test_with_nobody_to_ask_a_random_one_is_made_once_and_told(home, monkeypatch):
    monkeypatch.setattr("hauberk.custody.keys.standing.terminal_prompt", lambda: None)
    told = []
    first = standing_passphrase(home, make=told.append)()
    again = standing_passphrase(home, make=told.append)()
    assert first == again
    assert len(first) > 40
    assert told == [_place_of(home)]
    assert stat.S_IMODE(_place_of(home).stat().st_mode) == 0o600


def test_with_nobody_to_ask_and_nothing_to_make_it_says_the_ways(home, monkeypatch):
    monkeypatch.setattr("hauberk.custody.keys.standing.terminal_prompt", lambda: None)
    with pytest.raises(InvalidInput, match="HAUBERK_PASSPHRASE"):
        standing_passphrase(home)()
    assert not _place_of(home).exists()


def test_the_configuration_folder_can_be_named(tmp_path):
    assert _place_of({"XDG_CONFIG_HOME": str(tmp_path)}) == tmp_path / "hauberk" / "passphrase"
