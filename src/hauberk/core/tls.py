"""TLS contexts for all connections that Hauberk makes or serves: TLS 1.3, certificates verified.

    client_context   for calls: verifies the server against the system's authorities, or one file of them
    server_context   for serving; with `client_ca` a client must show a certificate too (mTLS)

Answers: reading and changing data in transit, an impostor server, protocol downgrade (no version below the minimum is
offered), and with mTLS a client without a certificate of ours.
Does not answer: what a peer does with the data; a certificate that was revoked before it expired (revocation is not
checked: use short-lived certificates); a stolen private key.
"""

from __future__ import annotations

import ssl
import stat
from pathlib import Path

from hauberk.core.errors import InvalidInput

TLS_1_3 = ssl.TLSVersion.TLSv1_3
TLS_1_2 = ssl.TLSVersion.TLSv1_2


def client_context(
    *,
    ca: Path | None = None,
    certificate: Path | None = None,
    key: Path | None = None,
    minimum: ssl.TLSVersion = TLS_1_3,
) -> ssl.SSLContext:
    """Return a context for calls that verifies the server's chain and name.

    ca: PEM file, or folder of hashed files, with the authorities to trust; None means the system's.
    certificate, key: this client's certificate for mTLS; only the owner may be able to read the key file.
    Raises InvalidInput for files that cannot be used.
    """
    try:
        context = ssl.create_default_context(
            ssl.Purpose.SERVER_AUTH,
            cafile=str(ca) if ca is not None and not ca.is_dir() else None,
            capath=str(ca) if ca is not None and ca.is_dir() else None,
        )
    except (OSError, ssl.SSLError) as error:
        raise InvalidInput(f"no authorities can be read from {ca}: {_reason(error)}. Name a PEM file.") from error
    context.minimum_version = minimum
    if certificate is not None:
        _show(context, certificate, key)
    elif key is not None:
        raise InvalidInput(f"the key {key} was named without its certificate: name both.")
    return context


def server_context(
    certificate: Path, key: Path, *, client_ca: Path | None = None, minimum: ssl.TLSVersion = TLS_1_3
) -> ssl.SSLContext:
    """Return a context for serving. client_ca: PEM file of authorities; each client needs a certificate from one.

    Raises InvalidInput for files that cannot be used, and for a key file that others can read.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = minimum
    _show(context, certificate, key)
    if client_ca is not None:
        try:
            context.load_verify_locations(cafile=str(client_ca))
        except (OSError, ssl.SSLError) as error:
            raise InvalidInput(
                f"no authorities can be read from {client_ca}: {_reason(error)}. Name a PEM file."
            ) from error
        context.verify_mode = ssl.CERT_REQUIRED
        context.verify_flags |= ssl.VERIFY_X509_STRICT
    return context


def check_private(path: Path) -> None:
    """Raise InvalidInput when the file of a secret is absent, is not a regular file, or is accessible to other users."""
    try:
        mode = path.stat().st_mode
    except OSError as error:
        raise InvalidInput(f"cannot read {path}: {error.strerror or error}.") from error
    if not stat.S_ISREG(mode):
        raise InvalidInput(f"{path} is not a regular file.")
    if mode & 0o077:
        raise InvalidInput(
            f"{path} holds a secret and is open to others (mode {stat.S_IMODE(mode):04o}). Run `chmod 600 {path}`; "
            "if others may have read it, replace the secret."
        )


def _show(context: ssl.SSLContext, certificate: Path, key: Path | None) -> None:
    check_private(key or certificate)
    try:
        # A prompt for the key's password would block a server that nobody watches, so such a key is refused.
        context.load_cert_chain(str(certificate), str(key) if key else None, password=_no_password)
    except (OSError, ssl.SSLError, ValueError) as error:
        raise InvalidInput(
            f"{certificate} and {key or certificate} cannot be used: {_reason(error)}. Expected a PEM certificate "
            "chain and its private key without a password."
        ) from error


def _no_password() -> bytes:
    raise ValueError("the private key is under a password")


def _reason(error: Exception) -> str:
    if isinstance(error, ssl.SSLError) and error.reason:
        return error.reason.replace("_", " ").lower()
    return str(getattr(error, "strerror", None) or error)
