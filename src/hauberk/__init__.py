"""Hauberk: one chain of custody for machine learning, from the first row of data to the last served prediction.

    from hauberk import protect, verify

Rooms, ground floor first: `core` (nouns), `custody` (what happened to which bytes), `attacks` (the adversary),
`data`, `training`, `release`, `lifecycle` (the main job), `cli`. Nothing heavy is imported until it is used.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from hauberk.core.version import VERSION

__version__ = VERSION
__all__ = ["__version__", "protect", "verify"]

if TYPE_CHECKING:
    from hauberk.lifecycle.main.protect import protect
    from hauberk.release.verification import verify

_HOMES = {"protect": "hauberk.lifecycle.main.protect", "verify": "hauberk.release.verification"}


def __getattr__(name: str) -> Any:  # noqa: ANN401 - a lazily imported public name
    if name in _HOMES:
        import importlib

        return getattr(importlib.import_module(_HOMES[name]), name)
    raise AttributeError(f"module 'hauberk' has no attribute {name!r}")
