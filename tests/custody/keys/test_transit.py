"""Connecting to a Vault mount: what the URI and the environment make of it. No request is sent."""

from __future__ import annotations

import ssl

import pytest

from hauberk.core.errors import InvalidInput
from hauberk.custody.keys._transit import connect

TOKEN = {"VAULT_TOKEN": "hvs.x"}


def test_the_site_follows_from_the_uri():
    transit, prefix = connect("//vault.example/team/transit?prefix=p-&namespace=n&timeout=3", TOKEN)
    site = transit.https.site
    assert (site.host, site.port, site.timeout, transit.mount, prefix) == (
        "vault.example",
        8200,
        3,
        "team/transit",
        "p-",
    )
    assert site.headers["X-Vault-Token"] == "hvs.x"
    assert site.headers["X-Vault-Namespace"] == "n"
    assert site.context.minimum_version == ssl.TLSVersion.TLSv1_3
    assert "hvs.x" not in repr(transit)


def test_a_lower_tls_and_none_have_to_be_asked_for():
    assert connect("//h:1/t?minimum_tls=1.2", TOKEN)[0].https.site.context.minimum_version == ssl.TLSVersion.TLSv1_2
    assert connect("//127.0.0.1:1/t?tls=off", TOKEN)[0].https.site.context is None
    with pytest.raises(InvalidInput, match="this machine only"):
        connect("//h:1/t?tls=off", TOKEN)


def test_without_a_token_nothing_is_opened(tmp_path):
    with pytest.raises(InvalidInput, match="Vault needs a token"):
        connect("//h/t", {"HOME": str(tmp_path)})
