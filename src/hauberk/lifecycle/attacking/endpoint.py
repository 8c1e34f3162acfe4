"""Endpoint: a model behind the Open Inference Protocol v2 (REST), as attacks see it.

`https://host/v2/models/NAME` is asked for its metadata, then for predictions, a few rows at a time. TLS is that of
`core.tls`; no redirect is followed and no proxy is taken from the environment. A service that limits the rate (429, or
503 with Retry-After) is waited for as it asks; what does not come within `patience` is Unavailable, and the campaign
keeps what it had.
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
from typing import Any
from urllib.parse import urlsplit

import numpy as np
from numpy.typing import NDArray

from hauberk.core.errors import HauberkError, InvalidInput, Unavailable
from hauberk.models.port import Floats, log_of

_LARGEST = 256 << 20  # bytes of one answer
_LIMITED, _FAILED = (429, 503), (500, 502, 504)
_FLOATS = ("FP16", "FP32", "FP64", "BF16")


@dataclass(frozen=True, slots=True)
class Access:
    """How an endpoint is reached.

    context: of TLS; None speaks plain HTTP, which is allowed to this machine alone. headers: such as Authorization;
    they are never shown. batch: rows of one request. timeout: of one request, seconds. patience: how long one request
    may be put off by rate limits and failures in all, seconds. pause: sleeps.
    """

    context: ssl.SSLContext | None = None
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    batch: int = 64
    timeout: float = 60.0
    patience: float = 120.0
    pause: Callable[[float], None] = time.sleep


class Endpoint:
    """A served model: `models.port.Model`. asked: how many rows it was sent. labels_only: it says no scores."""

    def __init__(self, url: str, access: Access, *, shape: tuple[int, ...], classes: int) -> None:
        """Read the metadata. shape: of one row; classes: how many the data have.

        Raises InvalidInput for a URL of another form, a model that is not there or of another shape; Unavailable.
        """
        self.classes, self.asked, self._shape, self._access = classes, 0, shape, access
        place = urlsplit(url)
        if place.scheme not in ("http", "https") or "/v2/models/" not in place.path or not place.hostname:
            raise InvalidInput(f"{url} is no model's address: expected https://host/v2/models/NAME.")
        if place.scheme == "http" and place.hostname not in ("localhost", "127.0.0.1", "::1"):
            raise InvalidInput(f"{url} would be asked without encryption: use https, or a service on this machine.")
        if place.scheme == "https" and access.context is None:
            raise InvalidInput("an https endpoint needs a TLS context: `hauberk.core.tls.client_context()`.")
        self._host, self._port, self._path = place.hostname, place.port, place.path.rstrip("/")
        self._secure = place.scheme == "https"
        self._name = f"{place.hostname}{self._path}"
        self._connection: http.client.HTTPConnection | None = None
        self._input, self._output, self.labels_only = self._contract(self._call("GET", self._path))

    def scores(self, x: Floats) -> Floats:
        """Return (n, classes) scores; probabilities as logarithms, labels as one-hot rows.

        Raises Unavailable when the service does not answer in time, InvalidInput for an answer of another form.
        """
        size = self._access.batch
        parts = [self._infer(x[first : first + size]) for first in range(0, len(x), size)]
        return np.concatenate(parts) if parts else np.zeros((0, self.classes), np.float32)

    def _infer(self, x: Floats) -> Floats:
        given = {"name": self._input, "shape": list(x.shape), "datatype": "FP32", "data": x.ravel().tolist()}
        body = {"inputs": [given], "outputs": [{"name": self._output}]}
        answer = self._call("POST", f"{self._path}/infer", body)
        self.asked += len(x)
        found = _named(answer.get("outputs"), self._output)
        try:
            values = np.asarray(found["data"], dtype=np.float64)
            shape = tuple(int(side) for side in found["shape"])
            values = values.reshape(shape)
        except (KeyError, TypeError, ValueError) as error:
            raise InvalidInput(
                f"{self._name}: the output {self._output!r} holds no {x.shape[0]} rows of numbers."
            ) from error
        return self._read(values, len(x))

    def _read(self, values: NDArray[np.float64], rows: int) -> Floats:
        if self.labels_only:
            labels = values.reshape(-1)
            if labels.shape != (rows,):
                raise InvalidInput(f"{self._name} answered {labels.size} labels to {rows} rows.")
            return np.asarray(labels[:, None] == np.arange(self.classes), dtype=np.float32)
        if values.shape != (rows, self.classes):
            raise InvalidInput(
                f"{self._name} answered scores of shape {values.shape}, expected {(rows, self.classes)}: are the data "
                "of the same classes as the model?"
            )
        sums = values.sum(axis=1)
        if (values >= 0).all() and np.allclose(sums, 1.0, atol=1e-3):
            return log_of(values)
        return values.astype(np.float32)

    def _contract(self, told: Mapping[str, Any]) -> tuple[str, str, bool]:
        """Return the names of input and output, and whether the output is a label, from the model's metadata."""
        inputs, outputs = told.get("inputs"), told.get("outputs")
        if not isinstance(inputs, list) or len(inputs) != 1 or not isinstance(outputs, list) or not outputs:
            raise InvalidInput(
                f"{self._name}: expected metadata with one input and outputs, as the protocol has them."
            )
        entry = inputs[0]
        shape = tuple(entry.get("shape", ()))[1:]
        fits = len(shape) == len(self._shape) and all(
            not isinstance(have, int) or have < 0 or have == want
            for have, want in zip(shape, self._shape, strict=True)
        )
        if not fits or entry.get("datatype") != "FP32":
            raise InvalidInput(
                f"{self._name} takes {entry.get('datatype')} {list(entry.get('shape', ()))}, and the data's rows are FP32 "
                f"{['batch', *self._shape]}."
            )
        # Scores say more than labels: where a model gives both, they are taken.
        scores = [o for o in outputs if str(o.get("datatype")) in _FLOATS and len(o.get("shape", ())) == 2]
        if scores:
            return str(entry["name"]), str(scores[0]["name"]), False
        whole = [o for o in outputs if str(o.get("datatype", "")).startswith(("INT", "UINT"))]
        if whole:
            return str(entry["name"]), str(whole[0]["name"]), True
        raise InvalidInput(f"{self._name} has no output of scores (floats, batch by classes) or labels (integers).")

    def _call(self, method: str, path: str, body: Mapping[str, Any] | None = None) -> Mapping[str, Any]:
        """Send one request, waiting where the service asks for it, and return the JSON object that came."""
        waited, turn = 0.0, 0
        while True:
            try:
                status, headers, data = self._exchange(method, path, body)
                reason, again = f"it answered {status}", status in (*_LIMITED, *_FAILED)
            except Unavailable as error:
                status, headers, data, reason, again = 0, {}, b"", str(error), True
            if not again:
                return self._object(status, data)
            turn += 1
            pause = _asked_to_wait(headers) or min(30.0, 0.1 * 2.0**turn)
            if waited + pause > self._access.patience:
                raise Unavailable(
                    f"{self._name} did not answer within {self._access.patience:g} s of patience: {reason}. Run it again "
                    "later, or more slowly with a smaller batch."
                )
            self._access.pause(pause)
            waited += pause

    def _exchange(
        self, method: str, path: str, body: Mapping[str, Any] | None
    ) -> tuple[int, Mapping[str, str], bytes]:
        data = None if body is None else json.dumps(body, allow_nan=False).encode()
        headers = {"Content-Type": "application/json", "Accept": "application/json", **self._access.headers}
        connection = self._connection or self._connect()
        try:
            connection.request(method, path, body=data, headers=headers)
            response = connection.getresponse()
            text = response.read(_LARGEST + 1)
        except ssl.SSLCertVerificationError as error:
            raise InvalidInput(
                f"{self._name} shows a certificate that is not to be trusted: {error.verify_message}. Name its authority "
                "with --ca, or ask whether you reach the right server. Nothing was sent."
            ) from error
        except (OSError, http.client.HTTPException) as error:
            self._drop()
            reason = getattr(error, "strerror", None) or type(error).__name__
            raise Unavailable(f"it cannot be reached: {reason}") from error
        except BaseException:
            self._drop()  # an interrupt in the middle of an answer would leave its rest to the next request
            raise
        if len(text) > _LARGEST:
            self._drop()
            raise InvalidInput(f"{self._name} answers with more than {_LARGEST} bytes.")
        self._connection = None if response.will_close else connection
        return response.status, dict(response.getheaders()), text

    def _connect(self) -> http.client.HTTPConnection:
        host, port, timeout = self._host, self._port, self._access.timeout
        if self._secure:
            return http.client.HTTPSConnection(host, port, timeout=timeout, context=self._access.context)
        return http.client.HTTPConnection(host, port, timeout=timeout)

    def _drop(self) -> None:
        if self._connection is not None:
            self._connection.close()
        self._connection = None

    def _object(self, status: int, data: bytes) -> Mapping[str, Any]:
        try:
            value = json.loads(data) if data else {}
        except (ValueError, RecursionError):
            value = None
        if status in (401, 403):
            raise InvalidInput(f"{self._name} refuses: {status}. Name a token with --header-env.")
        if status == 404:
            raise InvalidInput(f"{self._name}: the service has no such model.")
        if status != 200 or not isinstance(value, dict):
            said = str(value.get("error", ""))[:200] if isinstance(value, dict) else ""
            raise _failure(
                f"{self._name} answered {status}{f': {said}' if said else ''}, expected 200 and JSON.", status
            )
        return value


def _failure(message: str, status: int) -> HauberkError:
    return InvalidInput(message) if 200 <= status < 500 else Unavailable(message)


def _named(outputs: object, name: str) -> Mapping[str, Any]:
    listed = outputs if isinstance(outputs, list) else []
    return next((o for o in listed if isinstance(o, dict) and o.get("name") == name), {})


def _asked_to_wait(headers: Mapping[str, str]) -> float | None:
    """Return the seconds that Retry-After asks for, as a number or a date (RFC 9110, section 10.2.3)."""
    value = next((text for name, text in headers.items() if name.lower() == "retry-after"), "").strip()
    try:
        seconds = float(value)
    except ValueError:
        try:
            seconds = email.utils.parsedate_to_datetime(value).timestamp() - time.time()
        except (TypeError, ValueError):
            return None
    return max(0.05, seconds) if math.isfinite(seconds) else None
