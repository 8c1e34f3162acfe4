"""A PKCS#11 token: the URI that names it (RFC 7512), the session with it, and the translation of its errors."""

from __future__ import annotations

import stat
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import unquote

from hauberk.core.errors import HauberkError, InvalidInput, NotProven, Unavailable
from hauberk.core.extras import need
from hauberk.custody.keys.passphrase import PIN_VARIABLE, passphrase_from, terminal_prompt

MODULE_VARIABLE = "HAUBERK_PKCS11_MODULE"
FORM = "'pkcs11:token=LABEL?module-path=/usr/lib/....so'"
_PLACE = ("token", "serial", "object")
_OPTIONS = ("module-path", "pin-source")
_MEANINGS: tuple[tuple[frozenset[str], type[HauberkError], str], ...] = (
    (
        frozenset({"PinIncorrect"}),
        InvalidInput,
        "the token refuses this PIN. It counts wrong tries and locks itself: find the right one before the next.",
    ),
    (
        frozenset({"PinLocked", "PinExpired"}),
        InvalidInput,
        "the token accepts no PIN any more ({kind}): its security officer has to set a new one.",
    ),
    (
        frozenset(
            {
                "TokenNotPresent",
                "DeviceRemoved",
                "DeviceError",
                "DeviceMemory",
                "SessionClosed",
                "SessionHandleInvalid",
                "SlotIDInvalid",
                "ObjectHandleInvalid",
                "KeyHandleInvalid",
                "TokenNotRecognised",
                "HostMemory",
                "SessionCount",
                "UserNotLoggedIn",
            }
        ),
        Unavailable,
        "the token went away or stopped answering when asked to {verb} ({kind}). Plug it in, and run it again.",
    ),
    (
        frozenset({"EncryptedDataInvalid", "EncryptedDataLenRange", "DataInvalid", "DataLenRange"}),
        NotProven,
        "the token could not decrypt it: another key, other bytes or another context.",
    ),
    (
        frozenset({"MechanismInvalid", "FunctionNotSupported", "KeyTypeInconsistent", "DomainParamsInvalid"}),
        InvalidInput,
        "the token cannot {verb} with this kind of key ({kind}): use another algorithm.",
    ),
    (
        frozenset({"TokenWriteProtected", "SessionReadOnly", "AttributeReadOnly"}),
        InvalidInput,
        "the token is write-protected ({kind}): only its administrator can {verb}.",
    ),
)


@dataclass(frozen=True, slots=True)
class _TokenUri:
    """Parts of the URI. token: the label, "" when `serial` (hex digits) selects it. object: the only key to use."""

    token: str
    serial: str
    object: str
    module: Path
    pin_source: str


def read_uri(rest: str, environ: Mapping[str, str]) -> _TokenUri:
    """Parse the part after `pkcs11:`. Raises InvalidInput, also for a PIN in the URI, since URIs are logged."""
    path, _, query = rest.removeprefix("//").partition("?")
    place = _attributes(path, ";", _PLACE)
    options = _attributes(query, "&", _OPTIONS)
    module = options.get("module-path") or environ.get(MODULE_VARIABLE, "")
    if not module:
        raise InvalidInput(f"the token's driver is not named: write {FORM}, or set {MODULE_VARIABLE}.")
    if not (place.get("token") or place.get("serial")):
        raise InvalidInput(f"the URI names no token: write {FORM}.")
    return _TokenUri(
        place.get("token", ""),
        place.get("serial", ""),
        place.get("object", ""),
        Path(module).expanduser(),
        options.get("pin-source", ""),
    )


def _attributes(text: str, separator: str, known: tuple[str, ...]) -> dict[str, str]:
    found: dict[str, str] = {}
    for part in filter(None, text.split(separator)):
        name, equals, value = part.partition("=")
        if name == "pin-value":
            raise InvalidInput(
                f"a PIN does not belong into a URI, which is shown and logged: set {PIN_VARIABLE}, or name a file with "
                "pin-source=file:/path. If it was used like this before, change the PIN."
            )
        if name not in known or not equals or name in found:
            raise InvalidInput(
                f"{name[:40]!r} in the pkcs11 URI is unknown, empty or given twice; known: "
                f"{', '.join((*_PLACE, *_OPTIONS))}. Write {FORM}."
            )
        found[name] = unquote(value)
    return found


def _pin_of(uri: _TokenUri, environ: Mapping[str, str]) -> str:
    """Return the PIN: from `pin-source`, else HAUBERK_PIN or HAUBERK_PIN_FILE, else from a prompt. Raises InvalidInput."""
    if uri.pin_source:
        path = Path(uri.pin_source.removeprefix("file:").removeprefix("//")).expanduser()
        try:
            mode = path.stat().st_mode
        except OSError as error:
            raise InvalidInput(f"cannot read the PIN in {path}: {error.strerror}.") from error
        if mode & 0o077 or not stat.S_ISREG(mode):
            raise InvalidInput(
                f"{path} holds a PIN and is open to others (mode {stat.S_IMODE(mode):04o}). Run `chmod 600 {path}`, "
                "and change the PIN if others may have read it."
            )
        environ = {f"{PIN_VARIABLE}_FILE": str(path)}
    return passphrase_from(environ, terminal_prompt(), variable=PIN_VARIABLE)().decode("utf-8")


def open_session(uri: _TokenUri, environ: Mapping[str, str]) -> Any:  # noqa: ANN401 - the library's type, imported late
    """Log in to the token and return a read-write session.

    Raises InvalidInput for a wrong driver, token or PIN (a wrong PIN is tried only once, because tokens lock
    themselves after a few tries), Unavailable when the token does not answer, MissingExtra without python-pkcs11.
    """
    pkcs11 = need("pkcs11")
    if not uri.module.is_file():
        raise InvalidInput(
            f"there is no PKCS#11 driver at {uri.module}. Install the token's software, check the path."
        )
    with translated(pkcs11, "open"):
        module = pkcs11.lib(str(uri.module))
        tokens = list(module.get_tokens())
    wanted = [token for token in tokens if _is(token, uri)]
    if len(wanted) != 1:
        there = ", ".join(sorted(repr(token.label) for token in tokens if token.label)) or "none"
        count = "no token is" if not wanted else f"{len(wanted)} tokens are"
        raise InvalidInput(
            f"{count} named {uri.token or uri.serial!r}; there: {there}. Plug it in, or name its serial."
        )
    pin = _pin_of(uri, environ)
    with translated(pkcs11, "log in to"):
        try:
            return wanted[0].open(rw=True, user_pin=pin)
        except pkcs11.exceptions.UserAlreadyLoggedIn:  # a login belongs to the process, not to the session
            return wanted[0].open(rw=True)


def _is(token: Any, uri: _TokenUri) -> bool:  # noqa: ANN401 - as above
    serial = (
        token.serial.decode("ascii", "replace").strip() if isinstance(token.serial, bytes) else str(token.serial)
    )
    return (not uri.token or token.label == uri.token) and (not uri.serial or serial == uri.serial)


@contextmanager
def translated(pkcs11: Any, verb: str) -> Iterator[None]:  # noqa: ANN401 - as above
    """Raise the Hauberk error for each of the library's exceptions."""
    try:
        yield
    except pkcs11.exceptions.PKCS11Error as error:
        raise _ours(type(error).__name__, str(error)[:200], verb) from error


def _ours(kind: str, said: str, verb: str) -> HauberkError:
    for kinds, error, text in _MEANINGS:
        if kind in kinds:
            return error(text.format(kind=kind, verb=verb))
    return Unavailable(f"the token could not {verb} ({kind}{': ' + said if said else ''}). Is its driver set up?")
