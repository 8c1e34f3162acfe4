"""Finding: one observation that a person may have to act on."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import Any

from hauberk.core.errors import InvalidInput


class Severity(StrEnum):
    """How much a finding matters; the values sort by name in no useful way, so compare with `rank`."""

    INFO = "info"
    LOW = "low"
    MEDIUM = "medium"
    HIGH = "high"
    CRITICAL = "critical"

    @property
    def rank(self) -> int:
        """0 for info up to 4 for critical."""
        return list(Severity).index(self)


@dataclass(frozen=True, slots=True)
class Finding:
    """What was seen, where, how much, against which limit, and what to do about it.

    what: a short sentence. where: a row ("row 17"), a column, a file offset, a client. value, limit: in `unit`
    (limit None when there is none). threat: a kind from `core.threats`, or "" when none fits.
    """

    what: str
    where: str
    severity: Severity
    advice: str
    threat: str = ""
    value: float | None = None
    limit: float | None = None
    unit: str = ""

    @classmethod
    def read(cls, told: Mapping[str, Any]) -> Finding:
        """Return the finding of a JSON form that `to_json` made. Raises InvalidInput for another form."""
        try:
            return cls(**{**told, "severity": Severity(told["severity"])})
        except (KeyError, TypeError, ValueError) as error:
            raise InvalidInput(f"a finding of another form than expected: {error}.") from error

    def to_json(self) -> dict[str, Any]:
        """Return the JSON form that evidence carries."""
        return asdict(self)
