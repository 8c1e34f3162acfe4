"""The one HTTP client: every request that Hauberk itself sends leaves through this file.

TLS comes from `core.tls`. No redirect is followed and no proxy is taken from the environment: each would carry a token
to a server that nobody named. Every exchange has a limit of time and of bytes. The standard library suffices, so that
verification and unsealing need no further package. (boto3, which keys in AWS need, and fsspec bring clients of their
own; `custody.keys._aws` sets the former to TLS 1.3.)

Answers: a token read on the way, or sent elsewhere by a redirect or a proxy variable; a server that never stops
sending; a request that a retry would make twice. Does not answer: what the server does with what it gets; a server that
sends headers one byte at a time, which is given up only when single reads time out.
"""

from __future__ import annotations

import email.utils
import http.client
import json
import math
import ssl
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

from hauberk.core.errors import InvalidInput, Unavailable

LARGEST = 8 << 20
FAILURES = frozenset({429, 500, 502, 503, 504})
"""Statuses after which the same request may succeed: rate limits and failures of the server or its backend."""

_CHUNK = 1 << 16
_SHORTEST = 0.05


@dataclass(frozen=True, slots=True)
class Site:
    """One server, and how to speak to it.

    name: what messages call it. context: TLS; None speaks plain HTTP, which the caller allows for this machine alone.
    headers: sent with each request, never shown. timeout: seconds for one exchange. largest: bytes of one answer.
    """

    name: str
    host: str
    port: int
    context: ssl.SSLContext | None
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    timeout: float = 10.0
    largest: int = LARGEST


@dataclass(frozen=True, slots=True)
class Answer:
    """status: of HTTP. headers: names in lower case. data: the body."""

    status: int
    headers: Mapping[str, str]
    data: bytes = field(repr=False)

    def json(self) -> dict[str, Any] | None:
        """Return the body as a JSON object; {} when it is empty, None when it is anything else."""
        try:
            value = json.loads(self.data) if self.data else {}
        except (ValueError, RecursionError):
            return None
        return value if isinstance(value, dict) else None


class Retry(Protocol):
    """When a failed request is sent again."""

    def __call__(self, turn: int, waited: float, asked: float | None) -> float | None:
        """Return the seconds to wait before repetition `turn` (from 1), or None to give up.

        waited: seconds spent waiting so far. asked: seconds that the server asks for (Retry-After), if it does.
        """


def few(*pauses: float) -> Retry:
    """Repeat once after each of these pauses, in seconds, whatever the server asks for."""

    def retry(turn: int, waited: float, asked: float | None) -> float | None:  # noqa: ARG001 - the protocol's shape
        return pauses[turn - 1] if turn <= len(pauses) else None

    return retry


def patient(seconds: float, *, longest: float = 30.0) -> Retry:
    """Wait as the server asks, else 0.2, 0.4, ... up to `longest` seconds; give up once `seconds` would be exceeded."""

    def retry(turn: int, waited: float, asked: float | None) -> float | None:
        pause = min(longest, 0.1 * 2.0**turn) if asked is None else asked
        return pause if waited + pause <= seconds else None

    return retry


class Https:
    """A client of one site. Connections are kept between requests; safe to share between threads."""

    __slots__ = ("_idle", "_pause", "_retry", "site")

    def __init__(self, site: Site, *, retry: Retry, pause: Callable[[float], None] = time.sleep) -> None:
        self.site, self._retry, self._pause = site, retry, pause
        self._idle: list[http.client.HTTPConnection] = []  # as many as requests were under way at the same time

    def __repr__(self) -> str:
        return f"<{self.site.name} at {self.site.host}:{self.site.port}>"

    def call(self, method: str, path: str, body: Mapping[str, Any] | None = None, *, again: bool = True) -> Answer:
        """Send one request, with `body` as JSON, and return the answer, whatever its status.

        again: a second sending does no harm, so the request is repeated after a cut connection and after `FAILURES`, as
        the retry policy says. Raises Unavailable when no complete answer comes in time; InvalidInput when the server's
        certificate is not trusted, the answer is too large, or `body` holds NaN or infinity.
        """
        data = None if body is None else _encoded(body)
        waited, turn = 0.0, 0
        while True:
            turn += 1
            try:
                answer, failure = self._once(method, path, data, again=again), None
            except Unavailable as error:
                answer, failure = None, error
            if answer is not None and answer.status not in FAILURES:
                return answer
            asked = None if answer is None else _retry_after(answer.headers)
            pause = self._retry(turn, waited, asked) if again else None
            if pause is not None:
                self._pause(pause)
                waited += pause
            elif answer is not None:
                return answer
            elif failure is not None:
                raise failure

    def _once(self, method: str, path: str, data: bytes | None, *, again: bool) -> Answer:
        # A kept connection saves the handshake, which takes longer than the request. What must not be sent twice goes
        # over a new one: the other end may have closed a kept one, after the request was read or before.
        kept = self._kept() if again else None
        if kept is not None:
            try:
                return self._exchange(kept, method, path, data)
            except TimeoutError as error:
                raise self._late() from error
            except (OSError, http.client.HTTPException):
                pass  # closed at the other end while it was idle: a new connection decides
        where = f"{self.site.name} at {self.site.host}:{self.site.port}"
        try:
            return self._exchange(self._connection(), method, path, data)
        except ssl.SSLCertVerificationError as error:
            raise InvalidInput(
                f"{where} shows a certificate that is not to be trusted: {error.verify_message}. Name its authority, "
                "or check that you reach the right server. Nothing was sent."
            ) from error
        except ssl.SSLError as error:
            raise Unavailable(
                f"{where} does not agree on a connection: {(error.reason or 'TLS').replace('_', ' ').lower()}. TLS 1.3 "
                "is needed, unless an older version is allowed by a setting."
            ) from error
        except TimeoutError as error:
            raise self._late() from error
        except (OSError, http.client.HTTPException) as error:
            reason = getattr(error, "strerror", None) or type(error).__name__
            raise Unavailable(f"{where} cannot be reached: {reason}. Check the address and the network.") from error

    def _exchange(
        self, connection: http.client.HTTPConnection, method: str, path: str, data: bytes | None
    ) -> Answer:
        site, deadline = self.site, time.monotonic() + self.site.timeout
        try:
            headers = {"Content-Type": "application/json", "Accept": "application/json", **site.headers}
            connection.request(method, path, body=data, headers=headers)
            response = connection.getresponse()
            received = bytearray()
            # A server that sends a byte now and then never meets the time limit of a single read.
            while chunk := response.read1(_CHUNK):
                received += chunk
                if len(received) > site.largest:
                    raise InvalidInput(f"{site.name} answers with more than {site.largest} bytes. It was cut off.")
                if time.monotonic() > deadline:
                    raise Unavailable(f"{site.name} answers without end: it was given up after {site.timeout:g} s.")
            response.close()  # only then the connection takes another request
        except BaseException:
            connection.close()  # also on an interrupt: the rest of this answer would be read as the next one
            raise
        if response.will_close:
            connection.close()
        else:
            self._idle.append(connection)
        named = {name.lower(): value for name, value in response.getheaders()}
        return Answer(response.status, named, bytes(received))

    def _kept(self) -> http.client.HTTPConnection | None:
        try:
            return self._idle.pop()
        except IndexError:
            return None

    def _late(self) -> Unavailable:
        return Unavailable(
            f"{self.site.name} at {self.site.host}:{self.site.port} did not answer within {self.site.timeout:g} s. Run "
            "the same command again."
        )

    def _connection(self) -> http.client.HTTPConnection:
        site = self.site
        if site.context is None:
            return http.client.HTTPConnection(site.host, site.port, timeout=site.timeout)
        return http.client.HTTPSConnection(site.host, site.port, timeout=site.timeout, context=site.context)


def _encoded(body: Mapping[str, Any]) -> bytes:
    try:
        return json.dumps(body, allow_nan=False).encode("utf-8")
    except ValueError as error:
        raise InvalidInput(f"the request cannot be written as JSON: {error}.") from error


def _retry_after(headers: Mapping[str, str]) -> float | None:
    """Return the seconds that Retry-After asks for, at least 0.05: a number or a date (RFC 9110, section 10.2.3)."""
    value = headers.get("retry-after", "").strip()
    try:
        seconds = float(value)
    except ValueError:
        try:
            seconds = email.utils.parsedate_to_datetime(value).timestamp() - time.time()
        except (TypeError, ValueError):
            return None
    return max(_SHORTEST, seconds) if math.isfinite(seconds) else None
