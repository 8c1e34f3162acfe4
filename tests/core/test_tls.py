"""TLS contexts: what they demand of files. The handshakes are in `custody/test_authority.py`."""

from __future__ import annotations

import os
import ssl

import pytest

from hauberk.core import tls
from hauberk.core.errors import InvalidInput


def test_by_default_a_client_verifies_names_and_chains_and_offers_nothing_below_1_3():
    context = tls.client_context()
    assert context.minimum_version == ssl.TLSVersion.TLSv1_3
    assert context.verify_mode == ssl.CERT_REQUIRED
    assert context.check_hostname is True


def test_a_lower_version_has_to_be_asked_for():
    assert tls.client_context(minimum=tls.TLS_1_2).minimum_version == ssl.TLSVersion.TLSv1_2


def test_files_that_cannot_be_used_are_said_so(tmp_path):
    nothing = tmp_path / "nothing.pem"
    nothing.write_text("no certificate")
    key = tmp_path / "key"
    key.write_text("-----BEGIN PRIVATE KEY-----\nc2VjcmV0\n-----END PRIVATE KEY-----\n")
    key.chmod(0o600)
    for call in (
        lambda: tls.client_context(ca=tmp_path / "absent"),
        lambda: tls.client_context(ca=nothing),
        lambda: tls.client_context(key=key),
        lambda: tls.client_context(certificate=nothing, key=key),
        lambda: tls.server_context(nothing, key),
        lambda: tls.server_context(nothing, tmp_path / "absent"),
    ):
        with pytest.raises(InvalidInput) as caught:
            call()
        assert "c2VjcmV0" not in str(caught.value)


@pytest.mark.parametrize("mode", [0o644, 0o640, 0o602])
def test_a_secret_that_others_can_reach_is_refused(tmp_path, mode):
    key = tmp_path / "key"
    key.write_text("x")
    key.chmod(mode)
    with pytest.raises(InvalidInput, match="chmod 600"):
        tls.check_private(key)
    os.mkfifo(tmp_path / "pipe", 0o600)
    with pytest.raises(InvalidInput, match="not a regular file"):
        tls.check_private(tmp_path / "pipe")
