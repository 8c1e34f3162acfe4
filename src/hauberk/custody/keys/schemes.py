"""Which key holder a URI names: `SCHEME:REST`, one file a scheme.

A new holder (a cloud service, a token) is a module in this folder, or in a package that announces it through the
`hauberk.controls` entry point, with one function:

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
    """Opens the key holder that the rest of a URI names; `create` makes it when it is not there."""

    def __call__(self, rest: str, *, passphrase: Passphrase | None, create: bool, disk: Disk) -> KeyService:
        """Raise InvalidInput for what the user can change, Unavailable when a service does not answer."""


KEY_SERVICES: Registry[Opener] = Registry("key service", "hauberk.custody.keys")


def open_keys(
    uri: str, *, passphrase: Passphrase | None = None, create: bool = False, disk: Disk | None = None
) -> KeyService:
    """Open the key holder that `uri` names, such as `keyring:.hauberk/keyring`.

    passphrase: called when one is needed, and once more to confirm it when the holder is made anew. create: make
    the holder when there is none. Raises InvalidInput, listing the known schemes, when there is no such scheme.
    """
    scheme, colon, rest = uri.partition(":")
    if not colon or not rest:
        known = ", ".join(entry.name for entry in KEY_SERVICES)
        raise InvalidInput(
            f"{uri!r} names no keys: write SCHEME:PLACE, such as keyring:.hauberk/keyring (schemes: {known})."
        )
    return KEY_SERVICES[scheme].run(rest, passphrase=passphrase, create=create, disk=disk or Disk())
