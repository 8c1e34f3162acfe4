"""The HTTP client over real sockets: what it repeats, what it refuses, and what it gives up."""

from __future__ import annotations

import ast
import json
import threading
import time
from contextlib import contextmanager
from email.utils import formatdate
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

import hauberk
from hauberk.core import https
from hauberk.core.errors import InvalidInput, Unavailable


@contextmanager
def serving(answer):
    """Serve `answer(path, requests so far) -> (status, headers, body)`; yields the port and the list of requests."""
    seen = []

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def reply(self):
            length = int(self.headers.get("Content-Length", 0))
            seen.append((self.command, self.path, self.rfile.read(length), dict(self.headers), self.client_address))
            status, headers, body = answer(self.path, len(seen))
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name, value)
            if isinstance(body, bytes):
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)
                return
            self.send_header("Connection", "close")
            self.end_headers()
            try:
                for part in body:
                    self.wfile.write(part)
                    self.wfile.flush()
            except OSError:
                self.close_connection = True

        do_GET = do_POST = reply  # noqa: N815 - the names in the standard library

        def log_message(self, *_):
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        server.daemon_threads, server.block_on_close = True, False
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
        yield server.server_port, seen
        server.shutdown()


def client(port, *, retry=None, pauses=None, **site):
    kept = [] if pauses is None else pauses
    return https.Https(
        https.Site("the service", "127.0.0.1", port, None, **site), retry=retry or https.few(), pause=kept.append
    )


def test_a_request_is_json_and_so_is_the_answer():
    with serving(lambda _path, _n: (200, {}, b'{"a": 1}')) as (port, seen):
        answer = client(port, headers={"Authorization": "Bearer x"}).call("POST", "/p?q=1", {"b": 2})
    assert (answer.status, answer.json()) == (200, {"a": 1})
    method, path, body, headers, _ = seen[0]
    assert (method, path, json.loads(body), headers["Authorization"]) == ("POST", "/p?q=1", {"b": 2}, "Bearer x")


@pytest.mark.parametrize(
    ("body", "value"), [(b"", {}), (b"[1]", None), (b"{", None), (b"[" * 100_000, None), (b"\xff", None)]
)
def test_a_body_that_is_no_object_is_none(body, value):
    assert https.Answer(200, {}, body).json() == value


def test_a_redirect_is_returned_and_not_followed():
    with serving(lambda _path, _n: (307, {"Location": "/elsewhere"}, b"")) as (port, seen):
        assert client(port).call("GET", "/here").status == 307
    assert [path for _, path, *_ in seen] == ["/here"]


def test_no_proxy_of_the_environment_is_used(monkeypatch):
    for name in ("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    with serving(lambda _path, _n: (200, {}, b"")) as (port, _):
        assert client(port).call("GET", "/").status == 200


@pytest.mark.parametrize("status", sorted(https.FAILURES))
def test_a_failure_is_repeated_after_the_pauses_and_then_returned(status):
    pauses = []
    with serving(lambda _path, n: (status if n < 3 else 200, {"Retry-After": "9"}, b"")) as (port, seen):
        assert client(port, retry=https.few(0.1, 0.4), pauses=pauses).call("GET", "/").status == 200
        assert (pauses, len(seen)) == ([0.1, 0.4], 3)
    with serving(lambda _path, _n: (status, {}, b"")) as (port, seen):
        assert client(port, retry=https.few(0.1)).call("GET", "/").status == status
        assert len(seen) == 2


def test_what_must_not_be_sent_twice_is_sent_once():
    with serving(lambda _path, _n: (503, {}, b"")) as (port, seen):
        one = client(port, retry=https.few(0.1, 0.1))
        assert one.call("POST", "/", {}, again=False).status == 503
    assert len(seen) == 1


@pytest.mark.parametrize("status", [200, 204, 400, 403, 404])
def test_other_statuses_are_final(status):
    with serving(lambda _path, _n: (status, {}, b"")) as (port, seen):
        assert client(port, retry=https.few(0.1, 0.1)).call("GET", "/").status == status
    assert len(seen) == 1


def test_patience_waits_as_asked_and_ends():
    pauses = []
    with serving(lambda _path, _n: (429, {"Retry-After": "7"}, b"")) as (port, _):
        assert client(port, retry=https.patient(20), pauses=pauses).call("GET", "/").status == 429
    assert pauses == [7.0, 7.0]  # a third would make 21 s


def test_patience_grows_where_the_server_asks_for_nothing():
    retry = https.patient(1000, longest=3)
    assert [retry(turn, 0, None) for turn in (1, 2, 3, 9)] == [0.2, 0.4, 0.8, 3]


def test_retry_after_may_be_a_date():
    asked = []

    def retry(_turn, _waited, seconds):
        asked.append(seconds)

    for value in (formatdate(time.time() + 60, usegmt=True), "soon", "-5", "nan"):
        with serving(lambda _path, _n, value=value: (503, {"Retry-After": value}, b"")) as (port, _):
            client(port, retry=retry).call("GET", "/")
    assert 50 < asked[0] <= 60
    assert asked[1:] == [None, 0.05, None]


def test_an_answer_that_is_too_large_is_cut_off():
    endless = serving(lambda _path, _n: (200, {}, (b"x" * 1000 for _ in range(100_000))))
    with endless as (port, _), pytest.raises(InvalidInput, match="more than 50000 bytes"):
        client(port, largest=50_000).call("GET", "/")


def test_a_server_that_drips_is_given_up():
    def drip():
        while True:
            time.sleep(0.05)
            yield b" "

    with serving(lambda _path, _n: (200, {}, drip())) as (port, _):
        start = time.monotonic()
        with pytest.raises(Unavailable, match="answers without end"):
            client(port, timeout=0.3).call("GET", "/")
        assert time.monotonic() - start < 3


def test_a_server_that_stays_silent_is_given_up():
    slow = serving(lambda _path, _n: time.sleep(2) or (200, {}, b""))
    with slow as (port, _), pytest.raises(Unavailable, match=r"did not answer within 0\.2 s"):
        client(port, timeout=0.2).call("GET", "/")


def test_nobody_there_is_unavailable():
    with serving(lambda _path, _n: (200, {}, b"")) as (port, _):
        pass
    pauses = []
    with pytest.raises(Unavailable, match="cannot be reached"):
        client(port, retry=https.few(1.0, 2.0), pauses=pauses).call("GET", "/")
    assert pauses == [1.0, 2.0]


def test_connections_are_kept_and_shared_by_threads():
    with serving(lambda _path, _n: (200, {}, b"{}")) as (port, seen):
        one = client(port)
        for _ in range(5):
            one.call("GET", "/")
        assert len({peer for *_, peer in seen}) == 1
        threads = [threading.Thread(target=lambda: [one.call("GET", "/") for _ in range(20)]) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert len(seen) == 85
    assert len({peer for *_, peer in seen}) <= 5


def test_no_secret_is_shown():
    site = https.Site("the service", "127.0.0.1", 9, None, {"Authorization": "Bearer hush"})
    one = https.Https(site, retry=https.few())
    assert "hush" not in repr(site) + repr(one)
    with pytest.raises(Unavailable) as caught:
        one.call("GET", "/")
    assert "hush" not in str(caught.value)
    assert "hush" not in repr(https.Answer(200, {}, b"hush"))


def test_a_body_that_is_no_json_is_refused_before_anything_is_sent():
    with serving(lambda _path, _n: (200, {}, b"")) as (port, seen), pytest.raises(InvalidInput, match="JSON"):
        client(port).call("POST", "/", {"x": float("nan")})
    assert seen == []


# --- the one door

CLIENTS = {
    "http",
    "urllib.request",
    "socket",
    "socketserver",
    "requests",
    "httpx",
    "urllib3",
    "aiohttp",
    "ftplib",
    "smtplib",
}
ARGUED = {
    ("core/https.py", "http.client"),  # the door itself
    ("cli/_principal.py", "socket"),  # gethostname only: nothing is connected
}


def _imports(source):
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            yield from (name.name for name in node.names)
        elif isinstance(node, ast.ImportFrom) and not node.level:
            yield from (f"{node.module}.{name.name}" for name in node.names)
            yield str(node.module)
        elif (
            isinstance(node, ast.Call)
            and isinstance(node.func, ast.Name)
            and node.func.id in ("need", "import_module")
        ):
            yield from (str(part.value) for part in node.args if isinstance(part, ast.Constant))


def test_no_other_module_opens_connections():
    root = Path(hauberk.__file__).parent
    found = {
        (path.relative_to(root).as_posix(), name)
        for path in root.rglob("*.py")
        for name in _imports(path.read_text("utf-8"))
        if any(name == one or name.startswith(f"{one}.") for one in CLIENTS)
    }
    assert found == ARGUED


@pytest.mark.parametrize(
    "source",
    [
        "import http.client",
        "from http import client",
        "from urllib import request",
        "import socket as s",
        "need('httpx')",
    ],
)
def test_the_scan_sees_each_form_of_import(source):
    assert any(name.startswith(tuple(CLIENTS)) for name in _imports(source))
