"""Rules for key names, and the errors that all key holders share."""

from __future__ import annotations

import re
from collections.abc import Iterable

from hauberk.core.errors import InvalidInput

_NAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,63}")


def usable(name: str) -> str:
    """Return `name`. Raises InvalidInput unless every kind of holder accepts it."""
    if not _NAME.fullmatch(name):
        raise InvalidInput(
            f"{name[:80]!r} cannot name a key: use up to 64 lower-case letters, digits, dots, hyphens and "
            "underscores, a letter or digit first."
        )
    return name


def taken(name: str) -> InvalidInput:
    """Return the error for a name that is taken."""
    return InvalidInput(f"a key named {name!r} exists already: rotate it, or choose another name.")


def unknown(name: str, known: Iterable[str]) -> InvalidInput:
    """Return the error for an unknown name; it lists the known names."""
    listed = ", ".join(sorted(known)) or "none"
    return InvalidInput(f"no key is named {name[:80]!r}; known: {listed}.")


def cannot_sign(name: str, algorithm: str) -> InvalidInput:
    """Return the error for signing with a key-encryption key."""
    return InvalidInput(f"key {name!r} is {algorithm}, which cannot sign: name a signing key.")


def cannot_encrypt(name: str, algorithm: str) -> InvalidInput:
    """Return the error for wrapping with a signing key."""
    return InvalidInput(f"key {name!r} is {algorithm}, which cannot encrypt: name an aes-256 key.")
