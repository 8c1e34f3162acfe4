"""Descriptions of the keys of a service, without secrets: name, algorithm, key id and number of versions."""

from __future__ import annotations

from dataclasses import dataclass

from hauberk.custody.keys.port import AES_256, KeyService


@dataclass(frozen=True, slots=True)
class Described:
    """One key. key_id: of the current version; None for a key-encryption key, which has no public half."""

    name: str
    algorithm: str
    key_id: str | None
    versions: int


def described(keys: KeyService, name: str) -> Described:
    """Return the description of one key. Raises InvalidInput for an unknown name."""
    if keys.names().get(name) == AES_256:
        return Described(name, AES_256, None, len(keys.ids(name)))
    publics = keys.publics(name)
    return Described(name, publics[0].algorithm, publics[0].key_id, len(publics))


def listed(keys: KeyService) -> list[Described]:
    """Return every key of the service, by name."""
    return [described(keys, name) for name in keys.names()]
