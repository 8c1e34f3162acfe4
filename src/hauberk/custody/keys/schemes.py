"""Selects the key holder for a URI `SCHEME:REST`; one file per scheme.

A new holder (a cloud service, a token) is a module in this folder, or in a package with the entry point
`hauberk.controls`, with one function:

    @KEY_SERVICES.register("vault", practice="1b", threats=(), summary="HashiCorp Vault transit")
    def open_vault(rest: str, *, passphrase: Passphrase | None, create: bool, disk: Disk) -> KeyService: ...
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from hauberk.core.disk import Disk
from hauberk.core.errors import InvalidInput
from hauberk.core.registry import Registry
from hauberk.custody.keys.port import KeyService

Passphrase = Callable[[], bytes]


class Opener(Protocol):
    """Opens the key holder for the rest of a URI; `create` makes it if it does not exist."""

    def __call__(self, rest: str, *, passphrase: Passphrase | None, create: bool, disk: Disk) -> KeyService:
        """Return the key service. Raises InvalidInput for what the user can change, Unavailable when a service fails."""


KEY_SERVICES: Registry[Opener] = Registry("key service", "hauberk.custody.keys")


def open_keys(
    uri: str, *, passphrase: Passphrase | None = None, create: bool = False, disk: Disk | None = None
) -> KeyService:
    """Open the key holder that `uri` names, such as `keyring:.hauberk/keyring`.

    passphrase: called when one is needed, and a second time to confirm it when the holder is new. create: make the
    holder if it does not exist. Raises InvalidInput, listing the known schemes, for an unknown scheme.
    """
    scheme, colon, rest = uri.partition(":")
    if not colon or not rest:
        known = ", ".join(entry.name for entry in KEY_SERVICES)
        raise InvalidInput(
            f"{uri!r} names no keys: write SCHEME:PLACE, such as keyring:.hauberk/keyring (schemes: {known})."
        )
    return KEY_SERVICES[scheme].run(rest, passphrase=passphrase, create=create, disk=disk or Disk())
