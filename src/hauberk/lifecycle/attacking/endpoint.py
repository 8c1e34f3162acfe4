"""Endpoint: a model behind the Open Inference Protocol v2 (REST), as attacks see it.

`https://host/v2/models/NAME` returns its metadata, then predictions, a few rows per request. Requests go through
`core.https`: no redirects, no proxy from the environment. When the service limits the rate (429, or 503 with
Retry-After), the client waits as long as the service asks; an answer that does not come within `patience` raises
Unavailable, and the campaign keeps its results so far.
"""

from __future__ import annotations

import ssl
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

import numpy as np
from numpy.typing import NDArray

from hauberk.core import https
from hauberk.core.errors import HauberkError, InvalidInput, Unavailable
from hauberk.models.port import Floats, log_of

_LARGEST = 256 << 20  # bytes of one answer
_FLOATS = ("FP16", "FP32", "FP64", "BF16")


@dataclass(frozen=True, slots=True)
class Access:
    """How an endpoint is reached.

    context: TLS; None means plain HTTP, which is allowed only for this machine. headers: such as Authorization; never
    shown. batch: rows per request. timeout: of one request, seconds. patience: the total time that rate limits and
    failures may delay one request, seconds. pause: the function that sleeps.
    """

    context: ssl.SSLContext | None = None
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    batch: int = 64
    timeout: float = 60.0
    patience: float = 120.0
    pause: Callable[[float], None] = time.sleep


class Endpoint:
    """A served model: `models.port.Model`. asked: number of rows sent so far. labels_only: it returns no scores."""

    def __init__(self, url: str, access: Access, *, shape: tuple[int, ...], classes: int) -> None:
        """Read the metadata. shape: of one row; classes: number of classes in the data.

        Raises InvalidInput for another form of URL, an unknown model, or one of another shape; Unavailable.
        """
        self.classes, self.asked, self._shape, self._access = classes, 0, shape, access
        place = urlsplit(url)
        if place.scheme not in ("http", "https") or "/v2/models/" not in place.path or not place.hostname:
            raise InvalidInput(f"{url} is not the address of a model: expected https://host/v2/models/NAME.")
        if place.scheme == "http" and place.hostname not in ("localhost", "127.0.0.1", "::1"):
            raise InvalidInput(
                f"{url} would be queried without encryption: use https, or a service on this machine."
            )
        if place.scheme == "https" and access.context is None:
            raise InvalidInput("an https endpoint needs a TLS context: `hauberk.core.tls.client_context()`.")
        self._path = place.path.rstrip("/")
        self._name = f"{place.hostname}{self._path}"
        secure = place.scheme == "https"
        site = https.Site(
            self._name,
            place.hostname,
            place.port or (443 if secure else 80),
            access.context if secure else None,
            access.headers,
            timeout=access.timeout,
            largest=_LARGEST,
        )
        self._https = https.Https(site, retry=https.patient(access.patience), pause=access.pause)
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
        """Send one request, waiting where the service asks for it, and return the JSON object of the answer."""
        try:
            answer = self._https.call(method, path, body)
        except Unavailable as error:
            raise self._impatient(str(error)) from error
        if answer.status in https.FAILURES:
            raise self._impatient(f"it answered {answer.status}.")
        return self._object(answer)

    def _impatient(self, reason: str) -> Unavailable:
        return Unavailable(
            f"{self._name} did not answer within {self._access.patience:g} s of patience: {reason} Run it again later, or "
            "more slowly with a smaller batch."
        )

    def _object(self, answer: https.Answer) -> Mapping[str, Any]:
        value = answer.json()
        if answer.status in (401, 403):
            raise InvalidInput(f"{self._name} refuses: {answer.status}. Name a token with --header-env.")
        if answer.status == 404:
            raise InvalidInput(f"{self._name}: the service has no such model.")
        if answer.status != 200 or value is None:
            said = str((value or {}).get("error", ""))[:200]
            raise _failure(
                f"{self._name} answered {answer.status}{f': {said}' if said else ''}, expected 200 and JSON.",
                answer.status,
            )
        return value


def _failure(message: str, status: int) -> HauberkError:
    return InvalidInput(message) if 200 <= status < 500 else Unavailable(message)


def _named(outputs: object, name: str) -> Mapping[str, Any]:
    listed = outputs if isinstance(outputs, list) else []
    return next((o for o in listed if isinstance(o, dict) and o.get("name") == name), {})
