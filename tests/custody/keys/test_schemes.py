"""Key holders by URI scheme."""

import pytest

from hauberk.core.errors import InvalidInput
from hauberk.custody.keys import ALGORITHMS, KEY_SERVICES, open_keys


@pytest.mark.parametrize("uri", ["", "keyring", "keyring:", ".hauberk/keyring", "gopher:x", "KEYRING:x", ":x"])
def test_a_uri_that_names_no_holder_lists_the_known_schemes(uri):
    with pytest.raises(InvalidInput, match="keyring"):
        open_keys(uri, passphrase=lambda: b"passphrase")


def test_another_holder_is_one_registration():
    seen = []

    def open_memory(rest, *, passphrase, create, disk):  # noqa: ARG001 - the shape of an opener
        seen.append((rest, create))
        return "the service"

    KEY_SERVICES.register("memory-test", practice="1b", threats=(), summary="for this test")(open_memory)
    try:
        assert open_keys("memory-test:some:place", create=True) == "the service"
        assert seen == [("some:place", True)]
    finally:
        del KEY_SERVICES._entries["memory-test"]


def test_every_scheme_is_described():
    assert all(entry.summary and entry.practice == "1b" for entry in KEY_SERVICES)


def test_the_command_line_offers_every_algorithm():
    from hauberk.cli.keys import create

    (option,) = (parameter for parameter in create.params if parameter.name == "algorithm")
    assert tuple(option.type.choices) == ALGORITHMS


def test_every_scheme_is_documented():
    from pathlib import Path

    text = (Path(__file__).parents[3] / "docs" / "keys.md").read_text()
    assert [entry.name for entry in KEY_SERVICES if f"`{entry.name}:" not in text] == []
