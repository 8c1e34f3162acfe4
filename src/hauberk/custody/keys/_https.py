"""A JSON request over HTTPS for key services: TLS from `core.tls`, one deadline, few retries, no redirects.

The standard library is enough, so that verification and unsealing need no further package. Redirects are refused
and no proxy is taken from the environment: each would carry a token to somewhere that nobody named.
"""

from __future__ import annotations

import http.client
import json
import ssl
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, cast

from hauberk.core.errors import InvalidInput, Unavailable

_LARGEST = 8 * 1024 * 1024
_AGAIN = frozenset({429, 500, 502, 503, 504})
_PAUSES = (0.1, 0.4)


@dataclass(frozen=True, slots=True)
class Answer:
    """status: of HTTP. body: the JSON object, empty when there was none."""

    status: int
    body: Mapping[str, Any]


class Https:
    """One server. `context` None speaks plain HTTP, which the caller allows for this machine alone."""

    __slots__ = ("_context", "_headers", "_idle", "_pause", "_timeout", "host", "port", "service")

    def __init__(  # noqa: PLR0913 - where, how, and as whom
        self,
        host: str,
        port: int,
        *,
        context: ssl.SSLContext | None,
        headers: Mapping[str, str],
        timeout: float,
        service: str,
        pause: Callable[[float], None] = time.sleep,
    ) -> None:
        self.host, self.port, self.service = host, port, service
        self._context, self._headers, self._timeout, self._pause = context, dict(headers), timeout, pause
        self._idle: list[http.client.HTTPConnection] = []  # one for each thread that asked at the same time

    def __repr__(self) -> str:
        return f"<{self.service} at {self.host}:{self.port}>"  # never the headers: they hold the token

    def call(self, method: str, path: str, body: Mapping[str, Any] | None = None, *, again: bool = True) -> Answer:
        """Send one request and return the answer, whatever its status.

        again: the request may be sent twice without harm, so it is repeated after a cut connection, 429 and 5xx.
        Raises Unavailable when nothing usable comes within the deadline, InvalidInput when the server's
        certificate is not one to trust.
        """
        for pause in (*(_PAUSES if again else ()), None):
            try:
                answer = self._once(method, path, body, again=again)
            except Unavailable:
                if pause is None:
                    raise
            else:
                if answer.status not in _AGAIN or pause is None:
                    return answer
            self._pause(pause)
        raise AssertionError("the last turn returns or raises")

    def _once(self, method: str, path: str, body: Mapping[str, Any] | None, *, again: bool) -> Answer:
        # A connection that is kept saves the handshake, which takes longer than the request. What must not be sent
        # twice goes over a new one: a kept one may be closed at its other end, after the request was read or before.
        if again and self._idle:
            connection = self._idle.pop()
            try:
                return self._exchange(connection, method, path, body)
            except (ConnectionError, http.client.RemoteDisconnected):
                pass
            except TimeoutError as error:
                raise self._late() from error
        where = f"{self.service} at {self.host}:{self.port}"
        try:
            return self._exchange(self._connection(), method, path, body)
        except ssl.SSLCertVerificationError as error:
            raise InvalidInput(
                f"{where} shows a certificate that is not to be trusted: {error.verify_message}. Name its authority, "
                "or ask whether you reach the right server. Nothing was sent."
            ) from error
        except ssl.SSLError as error:
            raise Unavailable(
                f"{where} does not agree on a connection: {(error.reason or 'TLS').replace('_', ' ').lower()}. TLS 1.3 "
                "is needed unless the URI says otherwise."
            ) from error
        except TimeoutError as error:
            raise self._late() from error
        except (OSError, http.client.HTTPException) as error:
            reason = getattr(error, "strerror", None) or type(error).__name__
            raise Unavailable(f"{where} cannot be reached: {reason}. Check the URI and the network.") from error

    def _exchange(
        self, connection: http.client.HTTPConnection, method: str, path: str, body: Mapping[str, Any] | None
    ) -> Answer:
        deadline, text = time.monotonic() + self._timeout, b""
        try:
            data = None if body is None else json.dumps(body).encode("utf-8")
            headers = {"Content-Type": "application/json"} | self._headers
            connection.request(method, path, body=data, headers=headers)
            response = connection.getresponse()
            # A server that sends a byte now and then would never meet the time limit of one read.
            while chunk := response.read1(65536):
                text += chunk
                if len(text) > _LARGEST or time.monotonic() > deadline:
                    raise Unavailable(
                        f"{self.service} at {self.host}:{self.port} answers without end: it was given up after "
                        f"{self._timeout:g} s."
                    )
            response.close()  # only then the connection takes another request
        except BaseException:
            connection.close()
            raise
        if response.will_close:
            connection.close()
        else:
            self._idle.append(connection)
        return Answer(response.status, _object(text))

    def _late(self) -> Unavailable:
        return Unavailable(
            f"{self.service} at {self.host}:{self.port} did not answer within {self._timeout:g} s. Run the same "
            "command again."
        )

    def _connection(self) -> http.client.HTTPConnection:
        if self._context is None:
            return http.client.HTTPConnection(self.host, self.port, timeout=self._timeout)
        return http.client.HTTPSConnection(self.host, self.port, timeout=self._timeout, context=self._context)


def _object(text: bytes) -> Mapping[str, Any]:
    try:
        value = json.loads(text) if text else {}
    except (ValueError, RecursionError):
        value = {}
    return cast("Mapping[str, Any]", value) if isinstance(value, dict) else {}
