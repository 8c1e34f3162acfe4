"""Issuing: the authority is made once, what is due is renewed, and a mistake makes nothing."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from hauberk.core.errors import InvalidInput
from hauberk.custody.issuing import issue

NOW = datetime(2026, 1, 1, tzinfo=UTC)


def test_the_first_call_makes_the_authority_and_later_ones_use_it(tmp_path):
    first = issue(tmp_path, [["localhost", "127.0.0.1"]], now=NOW, authority="Ours")
    assert (first.made, [one.names for one in first.written]) == (True, [("localhost", "127.0.0.1")])
    second = issue(tmp_path, [["reader"]], now=NOW, authority="Other", client=True)
    assert (second.made, second.written[0].client) == (False, True)
    assert (tmp_path / "ca.pem").stat().st_mode & 0o777 == 0o644
    assert (tmp_path / "ca.key").stat().st_mode & 0o777 == 0o600


def test_without_names_only_what_is_due_is_renewed(tmp_path):
    issue(tmp_path, [["early"]], now=NOW, authority="Ours", days=40)
    issue(tmp_path, [["late"]], now=NOW, authority="Ours", days=300)
    again = issue(tmp_path, [], now=NOW + timedelta(days=35), authority="Ours")
    assert [one.name for one in again.written] == ["early"]


def test_a_mistake_makes_nothing(tmp_path):
    with pytest.raises(InvalidInput):
        issue(tmp_path / "a", [["good"], ["not a name!"]], now=NOW, authority="Ours")
    with pytest.raises(InvalidInput, match="name a server"):
        issue(tmp_path / "a", [], now=NOW, authority="Ours")
    assert not (tmp_path / "a").exists()
    issue(tmp_path / "a", [["good"]], now=NOW, authority="Ours")
    with pytest.raises(InvalidInput, match="cannot be changed"):
        issue(tmp_path / "a", [["good"]], now=NOW, authority="Ours", only=["example.org"])
