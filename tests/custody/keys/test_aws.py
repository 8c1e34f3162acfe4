"""The parts of botocore that `_aws` relies on, held by real handshakes: nothing below TLS 1.3, also through a proxy."""

from __future__ import annotations

import select
import socket
import ssl
import threading
from contextlib import contextmanager
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from hauberk.core import tls
from hauberk.core.errors import InvalidInput, Unavailable
from hauberk.custody.authority import Authority
from hauberk.custody.keys._aws import connect, translated

pytest.importorskip("boto3")


@contextmanager
def running(handler, context=None):
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        server.daemon_threads = True
        if context is not None:
            server.socket = context.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
        yield server.server_port
        server.shutdown()


class Kms(BaseHTTPRequestHandler):
    def do_POST(self):
        self.rfile.read(int(self.headers["Content-Length"]))
        body = b'{"Aliases": []}'
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


class Proxy(BaseHTTPRequestHandler):
    """Passes bytes on to the host that CONNECT names."""

    connected: list[str] = []  # noqa: RUF012 - emptied by the test

    def do_CONNECT(self):
        self.connected.append(self.path)
        host, _, port = self.path.partition(":")
        with socket.create_connection((host, int(port)), timeout=5) as other:
            self.send_response(200)
            self.end_headers()
            while True:
                for ready in select.select([self.connection, other], [], [], 5)[0]:
                    data = ready.recv(65536)
                    if not data:
                        return
                    (other if ready is self.connection else self.connection).sendall(data)

    def log_message(self, *_):
        pass


@pytest.fixture
def served(tmp_path, monkeypatch):
    """Serve a stand-in of KMS with this highest version of TLS; returns a client of it."""
    authority = Authority.make(tmp_path, name="test", now=datetime.now(UTC))
    issued = authority.issue(["localhost"], client=False, now=datetime.now(UTC))
    monkeypatch.setenv("AWS_CA_BUNDLE", str(authority.certificate))
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "x")

    @contextmanager
    def serve(maximum):
        context = tls.server_context(issued.certificate, issued.key, minimum=tls.TLS_1_2)
        context.maximum_version = maximum
        with running(Kms, context) as port:
            yield connect(region="eu-central-1", profile=None, endpoint=f"https://localhost:{port}", timeout=5)

    return serve


@pytest.mark.parametrize("proxied", [False, True])
def test_a_server_without_tls_1_3_is_refused(served, monkeypatch, proxied):
    Proxy.connected.clear()
    with running(Proxy) as port:
        if proxied:
            monkeypatch.setenv("HTTPS_PROXY", f"http://127.0.0.1:{port}")
        with served(tls.TLS_1_3) as client:
            assert client.list_aliases()["Aliases"] == []
        with (
            served(tls.TLS_1_2) as client,
            pytest.raises(Unavailable, match=r"TLS 1\.3"),
            translated("list", "keys"),
        ):
            client.list_aliases()
    assert bool(Proxy.connected) is proxied


def test_what_is_set_is_what_botocore_uses(served):
    with served(tls.TLS_1_3) as client:
        session = client._endpoint.http_session
        assert session._manager.connection_pool_kw["ssl_context"].minimum_version == ssl.TLSVersion.TLSv1_3
        assert session._get_ssl_context().minimum_version == ssl.TLSVersion.TLSv1_3


def test_a_botocore_that_keeps_it_elsewhere_is_refused(monkeypatch):
    from hauberk.custody.keys import _aws

    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "x")
    with pytest.raises(Unavailable, match="Install another release of boto3"):
        _aws._harden(object())


def test_an_endpoint_in_the_clear_is_for_this_machine_only():
    with pytest.raises(InvalidInput, match="expected https"):
        connect(region="eu-central-1", profile=None, endpoint="http://kms.example.org", timeout=5)
