"""Requests to Vault's transit engine: the address, the token, and the meaning of its error responses."""

from __future__ import annotations

import re
import ssl
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from hauberk.core import https, tls
from hauberk.core.errors import HauberkError, InvalidInput, NotProven, Unavailable
from hauberk.core.text import one_line
from hauberk.custody.keys._uri import Place, read_place

FORM = "vault://HOST:PORT/MOUNT"
SEGMENT = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9._-]*")  # no "..", which would leave the mount
_OPTIONS = ("prefix", "namespace", "cacert", "cert", "key", "minimum_tls", "timeout", "tls")
_PAUSES = (0.1, 0.4)  # seconds
_LOOPBACK = ("127.0.0.1", "localhost", "[::1]")


@dataclass(frozen=True, slots=True)
class Transit:
    """One mount of the engine."""

    https: https.Https
    mount: str

    def ask(  # noqa: PLR0913 - a request, and how its failures are to be read
        self,
        method: str,
        path: str,
        body: Mapping[str, Any] | None = None,
        *,
        absent: Mapping[str, Any] | None = None,
        opening: bool = False,
        again: bool = True,
    ) -> Mapping[str, Any]:
        answer = self.https.call(method, f"/v1/{self.mount}/{path}", body, again=again)
        said_json = answer.json() or {}
        errors = said_json.get("errors", [])
        lines = errors if isinstance(errors, list) else [errors]
        said = one_line(" ".join("; ".join(map(str, lines)).split())[:300])
        if answer.status in (200, 204):
            data = said_json.get("data") or {}
            return data if isinstance(data, dict) else {}
        if answer.status == 404 and absent is not None and not lines:
            return absent
        raise self._failure(answer.status, said, path, opening=opening)

    def _failure(self, status: int, said: str, path: str, *, opening: bool) -> HauberkError:
        here, why = f"Vault at {self.https.site.host}:{self.https.site.port}", said or "no reason given"
        if status == 503:
            return Unavailable(f"{here} is sealed or in standby: {why}. Have it unsealed, then try again.")
        if status == 429 or status >= 500:
            return Unavailable(f"{here} cannot do it now (status {status}): {why}. Try again later.")
        if opening and status == 400 and "too old" not in said:
            return NotProven(f"{here} could not decrypt it: {why}.")
        advice = {
            403: "Get a token whose policy allows it, and set VAULT_TOKEN.",
            404: "Is the mount right?",
        }.get(status, "")
        if opening and "too old" in said:
            advice = "The key's min_decryption_version forbids this version: an operator can lower it."
        verb = "denies" if status == 403 else "refuses"
        return InvalidInput(f"{here} {verb} {self.mount}/{path} (status {status}): {why}. {advice}".rstrip())


def connect(rest: str, environ: Mapping[str, str]) -> tuple[Transit, str]:
    """Return the mount that a URI names, and the prefix of its keys' names. No request is sent.

    Raises InvalidInput for the URI, the token, and files that cannot be used.
    """
    place = read_place("vault", rest, known=_OPTIONS, form=FORM)
    mount, prefix = place.path, place.options.get("prefix", "")
    if not place.host or not all(SEGMENT.fullmatch(part) for part in mount.split("/")):
        raise InvalidInput(f"a vault URI names a server and a transit mount: write {FORM}.")
    if prefix and not SEGMENT.fullmatch(prefix):
        raise InvalidInput(f"prefix={prefix[:40]!r} in the keys' URI: use letters, digits, dots, hyphens.")
    host, port = _address(place.host)
    headers = {"X-Vault-Token": _token(environ), "X-Vault-Request": "true"}
    if "namespace" in place.options:
        headers["X-Vault-Namespace"] = place.options["namespace"]
    site = https.Site(
        "Vault",
        host,
        port,
        _context(place, host, environ),
        headers,
        timeout=place.number("timeout", 10, low=0.1, high=300),
    )
    return Transit(https.Https(site, retry=https.few(*_PAUSES)), mount), prefix


def _address(host: str) -> tuple[str, int]:
    name, colon, port = host.rpartition(":")
    if not colon or host.endswith("]"):
        return host, 8200
    if not port.isdecimal() or not 0 < int(port) < 65536:
        raise InvalidInput(f"{port[:20]!r} is not a port: write {FORM}.")
    return name, int(port)


def _context(place: Place, host: str, environ: Mapping[str, str]) -> ssl.SSLContext | None:
    options = place.options
    if options.get("tls") == "off":
        if host not in _LOOPBACK:
            raise InvalidInput(f"tls=off would send the token to {host} in the clear: it is for this machine only.")
        return None
    minimum = {"1.2": tls.TLS_1_2, "1.3": tls.TLS_1_3}.get(options.get("minimum_tls", "1.3"))
    if minimum is None or "tls" in options:
        raise InvalidInput("the keys' URI: expected minimum_tls=1.2 or 1.3, and tls=off or nothing.")
    ca = options.get("cacert") or environ.get("VAULT_CACERT")
    path = partial(_path, options)
    return tls.client_context(
        ca=Path(ca).expanduser() if ca else None, certificate=path("cert"), key=path("key"), minimum=minimum
    )


def _path(options: Mapping[str, str], name: str) -> Path | None:
    return Path(options[name]).expanduser() if name in options else None


def _token(environ: Mapping[str, str]) -> str:
    if environ.get("VAULT_TOKEN"):
        return _one_line(environ["VAULT_TOKEN"], "VAULT_TOKEN")
    named = environ.get("VAULT_TOKEN_FILE")
    path = Path(named) if named else Path(environ.get("HOME") or Path.home()) / ".vault-token"
    if not path.exists():
        raise InvalidInput(
            "Vault needs a token: set VAULT_TOKEN, name a file that holds it in VAULT_TOKEN_FILE, or run `vault login`."
        )
    tls.check_private(path)
    return _one_line(path.read_text(encoding="utf-8", errors="replace"), str(path))


def _one_line(text: str, where: str) -> str:
    token = text.strip()
    if not token or not token.isascii() or not token.isprintable() or " " in token:
        raise InvalidInput(f"{where} holds no Vault token: expected one line of printable characters.")
    return token
