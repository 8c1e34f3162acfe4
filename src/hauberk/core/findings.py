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


class Kind(StrEnum):
    """What a place is."""

    ROW = "row"
    ROWS = "rows"
    COLUMN = "column"
    TABLE = "table"
    FILE = "file"
    BYTE = "byte"
    PICTURE = "picture"
    CLASS = "class"
    SOURCE = "source"
    SET = "set"
    MODEL = "model"
    CLIENT = "client"


@dataclass(frozen=True, slots=True)
class Place:
    """Where something was seen: a value, so that findings can be grouped, counted and matched with what they are about.

    name: of the column, file, class, source, set or client; of the side or file, for rows; "" when the kind says it all.
    index: position within it, from 0: a row, or a byte of a file; None when the whole is meant.

        >>> [str(Place(Kind.ROW, "training", 17)), str(Place(Kind.COLUMN, "age", 3)), str(Place(Kind.MODEL))]
        ['training row 17', 'column age, row 3', 'model']
    """

    kind: Kind
    name: str = ""
    index: int | None = None

    @classmethod
    def read(cls, told: object) -> Place:
        """Return the place of a JSON form that `to_json` made. Raises InvalidInput for another form."""
        try:
            kind, name, index = told["kind"], told["name"], told["index"]  # type: ignore[index]
            if isinstance(name, str) and (index is None or type(index) is int):
                return cls(Kind(kind), name, index)
        except (KeyError, TypeError, ValueError):
            pass
        raise InvalidInput(
            f"a place has a kind ({', '.join(Kind)}), a name and an index, found {str(told)[:80]!r}."
        )

    def to_json(self) -> dict[str, Any]:
        """Return the JSON form that evidence carries."""
        return {"kind": self.kind.value, "name": self.name, "index": self.index}

    def __str__(self) -> str:
        if self.kind in (Kind.ROW, Kind.BYTE):
            at = str(self.kind) if self.index is None else f"{self.kind} {self.index}"
            return f"{self.name} {at}".strip()
        if self.kind is Kind.ROWS:
            return f"rows {self.name}".strip()
        whole = f"{self.kind} {self.name}".strip()
        return whole if self.index is None else f"{whole}, row {self.index}"


@dataclass(frozen=True, slots=True)
class Finding:
    """What was seen, where, how much, against which limit, and what to do about it.

    what: a short sentence. value, limit: in `unit` (limit None when there is none). threat: a kind from `core.threats`,
    or "" when none fits.
    """

    what: str
    where: Place
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
            return cls(**{**told, "where": Place.read(told["where"]), "severity": Severity(told["severity"])})
        except (KeyError, TypeError, ValueError) as error:
            raise InvalidInput(f"a finding of another form than expected: {error}.") from error

    def to_json(self) -> dict[str, Any]:
        """Return the JSON form that evidence carries."""
        return asdict(self) | {"where": self.where.to_json()}
