"""An authority of one's own, proven by real handshakes over loopback: who gets in, and who does not."""

from __future__ import annotations

import json
import socket
import ssl
import stat
import sys
import threading
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from hauberk.cli.main import run
from hauberk.core import tls
from hauberk.core.errors import InvalidInput, Unavailable
from hauberk.custody.authority import Authority
from hauberk.custody.keys import AES_256, open_keys

sys.path.insert(0, str(Path(__file__).parent / "keys"))
import vault_server

NOW = datetime.now(UTC)


@pytest.fixture
def authority(tmp_path):
    return Authority.make(tmp_path / "tls", name="test", now=NOW)


@pytest.fixture
def server(authority):
    return authority.issue(["localhost", "127.0.0.1"], client=False, now=NOW)


@pytest.fixture
def client(authority):
    return authority.issue(["trainer"], client=True, now=NOW)


def handshake(server_context, client_context, host="localhost"):
    """Do one over loopback; return the version and what the server saw of the client. Raises what the client saw."""
    seen = {}
    listener = socket.create_server(("127.0.0.1", 0))
    listener.settimeout(5)

    def serve():
        try:
            connection, _ = listener.accept()
            with connection, server_context.wrap_socket(connection, server_side=True) as secured:
                seen["client"] = secured.getpeercert()
                secured.sendall(b"hello")
        except OSError as error:
            seen["error"] = error

    thread = threading.Thread(target=serve)
    thread.start()
    try:
        with (
            socket.create_connection(listener.getsockname(), timeout=5) as connection,
            client_context.wrap_socket(connection, server_hostname=host) as secured,
        ):
            if secured.recv(5) != b"hello":  # under TLS 1.3 a server refuses a client after the client is done
                raise ConnectionResetError("closed")
            return secured.version(), seen.get("client")
    finally:
        thread.join()
        listener.close()


def contexts(authority, server, client=None, **how):
    serving = tls.server_context(
        server.certificate, server.key, client_ca=authority.certificate if client else None
    )
    shown = {"certificate": client.certificate, "key": client.key} if client else {}
    return serving, tls.client_context(ca=authority.certificate, **shown, **how)


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1"])
def test_a_server_is_known_by_its_names_over_tls_1_3(authority, server, host):
    version, _ = handshake(*contexts(authority, server), host=host)
    assert version == "TLSv1.3"


def test_another_name_is_refused(authority, server):
    with pytest.raises(ssl.SSLCertVerificationError, match="mismatch"):
        handshake(*contexts(authority, server), host="elsewhere.example")


@pytest.mark.parametrize("old", ["client", "server"])
def test_tls_1_2_is_refused_from_either_side(authority, server, old):
    serving, calling = contexts(authority, server)
    ours = calling if old == "client" else serving
    ours.minimum_version = ssl.TLSVersion.TLSv1_2
    ours.maximum_version = ssl.TLSVersion.TLSv1_2
    with pytest.raises((ssl.SSLError, ConnectionResetError)):
        handshake(serving, calling)


def test_a_client_shows_itself_and_one_that_does_not_is_refused(authority, server, client):
    serving, calling = contexts(authority, server, client)
    version, seen = handshake(serving, calling)
    assert version == "TLSv1.3"
    assert seen["subjectAltName"] == (("DNS", "trainer"),)
    with pytest.raises((ssl.SSLError, ConnectionResetError)):
        handshake(serving, tls.client_context(ca=authority.certificate))


def test_the_certificate_of_another_authority_is_refused_on_both_sides(authority, server, client, tmp_path):
    other = Authority.make(tmp_path / "other", name="other", now=NOW)
    with pytest.raises(ssl.SSLCertVerificationError):
        handshake(contexts(authority, server)[0], tls.client_context(ca=other.certificate))
    theirs = other.issue(["trainer"], client=True, now=NOW)
    serving, _ = contexts(authority, server, client)
    calling = tls.client_context(ca=authority.certificate, certificate=theirs.certificate, key=theirs.key)
    with pytest.raises((ssl.SSLError, ConnectionResetError)):
        handshake(serving, calling)


def test_a_client_cannot_pose_as_a_server_nor_a_server_as_a_client(authority, server, client):
    posing = authority.issue(["localhost"], client=True, now=NOW)
    with pytest.raises(ssl.SSLCertVerificationError):
        handshake(*contexts(authority, posing))
    serving, _ = contexts(authority, authority.issue(["localhost", "127.0.0.1"], client=False, now=NOW), client)
    again = authority.issue(["other.example"], client=False, now=NOW)
    calling = tls.client_context(ca=authority.certificate, certificate=again.certificate, key=again.key)
    with pytest.raises((ssl.SSLError, ConnectionResetError)):
        handshake(serving, calling)
    assert server


@pytest.mark.parametrize("when", [timedelta(days=-91), timedelta(days=1)])
def test_what_is_over_or_has_not_begun_is_refused(authority, when):
    expired = authority.issue(["localhost"], client=False, now=NOW + when)
    with pytest.raises(ssl.SSLCertVerificationError, match=r"expired|not yet valid"):
        handshake(*contexts(authority, expired))


def test_an_authority_with_limits_is_believed_within_them_alone(tmp_path):
    authority = Authority.make(tmp_path / "tls", name="test", now=NOW, only=["localhost"])
    handshake(*contexts(authority, authority.issue(["localhost"], client=False, now=NOW)))
    for name in ("bank.example", "127.0.0.1"):
        outside = authority.issue([name], client=False, now=NOW)
        with pytest.raises(ssl.SSLCertVerificationError):
            handshake(*contexts(authority, outside), host=name)


def test_keys_are_the_owners_alone_and_one_that_is_not_is_refused(authority, server, client):
    for path in (authority.folder / "ca.key", server.key, client.key):
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
    server.key.chmod(0o644)
    with pytest.raises(InvalidInput, match="chmod 600"):
        tls.server_context(server.certificate, server.key)
    (authority.folder / "ca.key").chmod(0o640)
    with pytest.raises(InvalidInput, match="chmod 600"):
        Authority.open(authority.folder, now=NOW)


def test_renewal_keeps_the_key_and_moves_the_end(authority, server):
    before = server.key.read_bytes()
    later = NOW + timedelta(days=61)
    assert not server.due(NOW)
    assert server.due(later)
    again = authority.issue(server.names, client=server.client, now=later)
    assert (again.names, again.key.read_bytes()) == (server.names, before)
    assert again.ends - server.ends == timedelta(days=61)


def test_an_authority_that_is_over_or_in_pieces_issues_nothing(authority, tmp_path):
    with pytest.raises(InvalidInput, match="expired on"):
        Authority.open(authority.folder, now=NOW + timedelta(days=3651))
    other = Authority.make(tmp_path / "other", name="other", now=NOW)
    (authority.folder / "ca.pem").write_bytes(other.certificate.read_bytes())
    with pytest.raises(InvalidInput, match="do not belong together"):
        Authority.open(authority.folder, now=NOW)
    with pytest.raises(InvalidInput, match="already"):
        Authority.make(other.folder, name="x", now=NOW)


@pytest.mark.parametrize("name", ["", "ca", "Has Space", "../x", "-a", "ä.example", "a/b", "x" * 300])
@pytest.mark.parametrize("client", [False, True])
def test_names_that_do_not_fit_are_refused_and_write_nothing(authority, name, client):
    before = sorted(authority.folder.iterdir())
    for names in ([name], ["fits", name] if name != "ca" else []):
        with pytest.raises(InvalidInput):
            authority.issue(names, client=client, now=NOW)
    assert sorted(authority.folder.iterdir()) == before


def test_vault_is_asked_over_mutual_tls_and_not_with_the_wrong_files(
    authority, server, client, monkeypatch, tmp_path
):
    monkeypatch.setenv("VAULT_TOKEN", vault_server.TOKEN)
    serving, _ = contexts(authority, server, client)
    with vault_server.VaultServer(context=serving) as vault:
        where, shown = f"vault://localhost:{vault.port}/transit", f"cert={client.certificate}&key={client.key}"
        service = open_keys(f"{where}?cacert={authority.certificate}&{shown}")
        service.create("data", AES_256)
        assert service.unwrap("data", service.wrap("data", bytes(32), b""), b"") == bytes(32)
        other = Authority.make(tmp_path / "other", name="other", now=NOW)
        told = len(vault.requests)
        with pytest.raises(InvalidInput, match="not to be trusted"):
            open_keys(f"{where}?cacert={other.certificate}&{shown}").names()
        with pytest.raises(Unavailable):
            open_keys(f"{where}?cacert={authority.certificate}&timeout=2").names()
        assert len(vault.requests) == told
        monkeypatch.setenv("VAULT_CACERT", str(authority.certificate))
        assert dict(open_keys(f"{where}?{shown}").names()) == {"data": AES_256}


def test_the_command_makes_renews_and_lists(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert run(["keys", "tls", "localhost,127.0.0.1", "api.example", "--json"]) == 0
    made = json.loads(capsys.readouterr().out)
    assert made["ca_made"] is True
    assert [(row["name"], row["kind"]) for row in made["certificates"]] == [
        ("api.example", "server"),
        ("localhost", "server"),
    ]
    assert run(["keys", "tls", "trainer", "--client", "--days", "20", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["ca_made"] is False
    assert run(["keys", "tls", "--json"]) == 0
    rows = {row["name"]: row["written"] for row in json.loads(capsys.readouterr().out)["certificates"]}
    assert rows == {"api.example": False, "localhost": False, "trainer": True}
    assert run(["keys", "tls"]) == 0
    assert "trainer" in capsys.readouterr().out
    context = tls.server_context(tmp_path / ".hauberk/tls/localhost.pem", tmp_path / ".hauberk/tls/localhost.key")
    assert handshake(context, tls.client_context(ca=tmp_path / ".hauberk/tls/ca.pem"))[0] == "TLSv1.3"


@pytest.mark.parametrize("arguments", [[], ["--only", "x y", "localhost"], ["a b"]])
def test_the_command_refuses_what_does_not_fit(tmp_path, monkeypatch, capsys, arguments):
    monkeypatch.chdir(tmp_path)
    assert run(["keys", "tls", *arguments]) == 2
    assert "error" in capsys.readouterr().err
    assert not (tmp_path / ".hauberk").exists()


@pytest.mark.parametrize("best", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_aws_is_spoken_to_over_tls_1_3_or_not_at_all(authority, server, monkeypatch, best):
    pytest.importorskip("boto3")
    for name, value in {
        "ACCESS_KEY_ID": "x",
        "SECRET_ACCESS_KEY": "x",
        "CA_BUNDLE": str(authority.certificate),
    }.items():
        monkeypatch.setenv(f"AWS_{name}", value)
    monkeypatch.setattr("time.sleep", lambda _seconds: None)  # between the library's own tries
    serving, _ = contexts(authority, server)
    serving.minimum_version = ssl.TLSVersion.TLSv1_2
    serving.maximum_version = best
    with vault_server.VaultServer(context=serving) as endpoint:
        endpoint.serve = lambda *_request: (200, {"Aliases": []})
        service = open_keys(f"awskms://x?region=eu-central-1&endpoint=https://localhost:{endpoint.port}&timeout=3")
        if best == ssl.TLSVersion.TLSv1_3:
            assert dict(service.names()) == {}
        else:
            with pytest.raises(Unavailable, match=r"TLS 1\.3"):
                service.names()
