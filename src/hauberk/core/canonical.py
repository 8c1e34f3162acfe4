"""Canonical bytes and digests: one value, one byte string, on every machine.

JSON is encoded by RFC 8785 (JCS). Bytes that were signed are stored as they are and never re-encoded; this module
encodes values before they are signed.
"""

from __future__ import annotations

import hashlib
import json
from typing import Any

import rfc8785

from hauberk.core.errors import InvalidInput


def encode(value: Any) -> bytes:  # noqa: ANN401 - any JSON value
    """Return the RFC 8785 bytes of a JSON value.

    Raises InvalidInput for values that JSON cannot represent: NaN, infinity, integers beyond 2**53, other types.
    """
    try:
        return rfc8785.dumps(value)
    except (rfc8785.CanonicalizationError, ValueError, TypeError) as error:
        raise InvalidInput(f"value has no canonical JSON form: {error}") from error


def decode(data: bytes, *, what: str) -> Any:  # noqa: ANN401 - any JSON value
    """Parse JSON strictly: UTF-8, no duplicate keys, no NaN. `what` names the source in the message of InvalidInput."""

    def no_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        found = dict(pairs)
        if len(found) != len(pairs):
            raise ValueError("a key occurs twice")
        return found

    def no_constants(name: str) -> None:
        raise ValueError(f"{name} is not JSON")

    try:
        return json.loads(data.decode("utf-8"), object_pairs_hook=no_duplicates, parse_constant=no_constants)
    except (ValueError, RecursionError) as error:
        raise InvalidInput(f"{what} is not valid JSON: {error}. It may be truncated or damaged.") from error


def sha256(data: bytes) -> str:
    """Return the SHA-256 of `data` as 64 lower-case hex digits."""
    return hashlib.sha256(data).hexdigest()


def digest(value: Any) -> str:  # noqa: ANN401 - any JSON value
    """Return the SHA-256 of the canonical bytes of a JSON value, as hex."""
    return sha256(encode(value))
