"""Every family of registered members, in one place: command line, documentation and conformance tests read it."""

from __future__ import annotations

from typing import Any

from hauberk.attacks.evasion import ATTACKS
from hauberk.core.registry import Registry
from hauberk.data.checks import CHECKS
from hauberk.training.adversarial import HARDENING

FAMILIES: tuple[Registry[Any], ...] = (CHECKS, HARDENING, ATTACKS)
