"""Every family of registered members, in one place: command line, documentation and conformance tests read it."""

from __future__ import annotations

from typing import Any

from hauberk.attacks.evasion import ATTACKS
from hauberk.attacks.poisoning import POISONERS
from hauberk.core.registry import Registry
from hauberk.data.checks import CHECKS
from hauberk.data.poison.detectors import DETECTORS
from hauberk.training.adversarial import HARDENING
from hauberk.training.aggregation import LEARNERS

FAMILIES: tuple[Registry[Any], ...] = (CHECKS, DETECTORS, POISONERS, HARDENING, LEARNERS, ATTACKS)
