from __future__ import annotations

import pytest

from hauberk.core.errors import InvalidInput
from hauberk.custody.seen import Seen, default_place


def test_what_was_recorded_is_remembered_by_origin_across_objects(tmp_path):
    place = tmp_path / "state" / "seen.json"
    Seen(place).record("one", b"note 1\n")
    Seen(place).record("two", b"note 2\n")
    assert (Seen(place).get("one"), Seen(place).get("two"), Seen(place).get("three")) == (
        b"note 1\n",
        b"note 2\n",
        None,
    )
    assert place.stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("damage", [b"{", b"[]", b'{"one":1}', b"\xff"])
def test_a_damaged_memory_is_not_taken_for_an_empty_one(tmp_path, damage):
    place = tmp_path / "seen.json"
    place.write_bytes(damage)
    with pytest.raises(InvalidInput, match=r"seen\.json"):
        Seen(place).get("one")


def test_the_place_follows_the_environment(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    monkeypatch.delenv("HAUBERK_STATE", raising=False)
    assert default_place() == tmp_path / "hauberk" / "seen.json"
    monkeypatch.setenv("HAUBERK_STATE", str(tmp_path / "mine"))
    assert default_place() == tmp_path / "mine"
