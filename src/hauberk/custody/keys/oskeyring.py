"""`oskeyring:SERVICE`: keys of one user, opened by a random secret in the operating system's keyring.

    oskeyring:hauberk               material in the user's data folder
    oskeyring:hauberk?file=PATH     material in a file of your choice

The keys are in an encrypted keyring file (`keyring`), because system keyrings store short texts and do not sign. The
file's passphrase is 256 random bits that only the system keyring stores: macOS Keychain, Windows
Credential Locker, Secret Service (GNOME, KDE), through the `keyring` package.

Answers: a stolen file; a passphrase that can be guessed or leaks from a variable.
Does not answer: another program of the same user while the keyring is unlocked; a lost system keyring, and every
key with it.
"""

from __future__ import annotations

import os
import re
import secrets
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl

from hauberk.core.disk import Disk
from hauberk.core.errors import InvalidInput, Unavailable
from hauberk.core.extras import need
from hauberk.custody.keys._vault import Cost
from hauberk.custody.keys.keyring import Keyring
from hauberk.custody.keys.port import KeyService
from hauberk.custody.keys.schemes import KEY_SERVICES, Passphrase

_FORM = "oskeyring:SERVICE"
_SERVICE = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
_BYTES = 32
# 256 random bits cannot be guessed, so the cost of a guess may be small.
_COST = Cost(time=1, memory=1024, lanes=1)
_INSECURE = ("keyring.backends.null", "keyring.backends.fail", "keyrings.alt", "sagecipher")


class OsKeyring(Keyring):
    """A keyring file whose passphrase the system keyring stores."""

    __slots__ = ()

    def __repr__(self) -> str:
        return f"<OsKeyring {self.path}>"

    def change_passphrase(self, new: bytes) -> None:  # noqa: ARG002 - the keyring's signature
        """Raise InvalidInput: a chosen passphrase would bypass the system keyring."""
        raise InvalidInput("these keys have no passphrase of their own: the system's keyring opens them.")


@KEY_SERVICES.register("oskeyring", practice="1b", threats=(), summary="the operating system's keyring")
def open_oskeyring(rest: str, *, passphrase: Passphrase | None, create: bool, disk: Disk) -> KeyService:  # noqa: ARG001 - the port's shape
    """Open `oskeyring:SERVICE`; with `create`, make secret and file if neither exists.

    Raises InvalidInput for a system without a keyring, for one that stores secrets unencrypted, and when only one
    of secret and file exists; Unavailable while the keyring is locked; MissingExtra without the
    `keyring` package.
    """
    service, path = _read(rest, os.environ)
    library = need("keyring")
    _check_backend(library.get_keyring())
    secret = _ask(library, "get_password", service, str(path))
    there = path.exists()
    if secret is not None and there:
        return OsKeyring.open(path, secret.encode("utf-8"), disk=disk)
    if there:
        raise InvalidInput(
            f"{path} is there, but the system's keyring has nothing for {service!r} that opens it: is this another "
            "user, or another machine? Unlock or restore the system's keyring."
        )
    if not create:
        raise InvalidInput(
            f"there are no keys at {_FORM.replace('SERVICE', service)}. Make one with `hauberk keys create`."
        )
    return _make(library, service, path, secret, disk)


def _make(library: Any, service: str, path: Path, secret: str | None, disk: Disk) -> OsKeyring:  # noqa: ANN401 - imported late
    # The secret first: a file that nothing opens would block the next run; a secret without a file is reused.
    if secret is None:
        secret = secrets.token_urlsafe(_BYTES)
        _ask(library, "set_password", service, str(path), secret)
        if _ask(library, "get_password", service, str(path)) != secret:
            raise Unavailable("the system's keyring did not keep the secret it was given. No keys were made.")
    OsKeyring.make(path, secret.encode("utf-8"), disk=disk, cost=_COST)
    return OsKeyring.open(path, secret.encode("utf-8"), disk=disk)


def _read(rest: str, environ: Mapping[str, str]) -> tuple[str, Path]:
    service, _, query = rest.removeprefix("//").partition("?")
    options = dict(parse_qsl(query, keep_blank_values=True))
    if not _SERVICE.fullmatch(service) or set(options) - {"file"} or options.get("file") == "":
        raise InvalidInput(f"{rest[:80]!r} names no service: write {_FORM}, or {_FORM}?file=PATH.")
    base = environ.get("XDG_DATA_HOME") or Path(environ.get("HOME") or Path.home()) / ".local" / "share"
    path = (
        Path(options["file"]).expanduser() if "file" in options else Path(base) / "hauberk" / f"{service}.keyring"
    )
    return service, Path(os.path.realpath(path))


def _check_backend(backend: Any) -> None:  # noqa: ANN401 - as above
    for one in getattr(backend, "backends", None) or [backend]:  # several may be chained
        module = type(one).__module__
        if module.startswith(_INSECURE):
            raise InvalidInput(
                f"this system has no keyring that keeps a secret (found {module}). Use keyring:PATH with a passphrase, "
                "or start Secret Service, KWallet or the Keychain."
            )


def _ask(library: Any, what: str, *arguments: str) -> Any:  # noqa: ANN401 - as above
    try:
        return getattr(library, what)(*arguments)
    except library.errors.KeyringError as error:
        # Its text may contain the name of the entry, never the secret.
        raise Unavailable(
            f"the system's keyring does not answer ({type(error).__name__}). Unlock it and run the same command again."
        ) from error
