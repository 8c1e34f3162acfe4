"""Every family of registered members, in one place: command line, documentation and conformance tests read it."""

from __future__ import annotations

import dataclasses
from typing import Any

from hauberk.attacks.evasion import ATTACKS
from hauberk.attacks.poisoning import POISONERS
from hauberk.core.registry import Registry
from hauberk.custody.keys import KEY_SERVICES
from hauberk.data.checks import CHECKS
from hauberk.data.poison.detectors import DETECTORS
from hauberk.data.reading.formats import FORMATS
from hauberk.lifecycle.controls import CONTROLS
from hauberk.training.adversarial import HARDENING
from hauberk.training.aggregation import LEARNERS

FAMILIES: tuple[Registry[Any], ...] = (
    CONTROLS,
    CHECKS,
    DETECTORS,
    POISONERS,
    HARDENING,
    LEARNERS,
    ATTACKS,
    FORMATS,
    KEY_SERVICES,
)


def members() -> list[dict[str, Any]]:
    """Return every registered member as JSON values, by family and name, with its parameters and where it comes from.

    Raises Unavailable for a plug-in or a module of Hauberk that cannot be imported.
    """
    return [
        {
            "family": registry.family,
            "name": entry.name,
            "practice": entry.practice,
            "kinds": list(entry.kinds),
            "threats": list(entry.threats),
            "summary": entry.summary,
            "source": entry.source,
            "parameters": [_parameter(field) for field in dataclasses.fields(entry.params)],
        }
        for registry in FAMILIES
        for entry in registry
    ]


def _parameter(field: dataclasses.Field[Any]) -> dict[str, Any]:
    value = field.default
    if value is dataclasses.MISSING and field.default_factory is not dataclasses.MISSING:
        value = field.default_factory()
    if value is dataclasses.MISSING:
        value = None
    elif not isinstance(value, str | int | float | bool | None):
        value = list(value) if isinstance(value, tuple | list) else str(value)
    kind = field.type if isinstance(field.type, str) else getattr(field.type, "__name__", str(field.type))
    return {"name": field.name, "type": kind, "default": value, "help": field.metadata.get("help", "")}
