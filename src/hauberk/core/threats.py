"""Threat: a declared adversary with a budget, tied to MITRE ATLAS technique ids.

Numbers are in the units of the input: an image threat's `eps` in pixel units of [0, 1], a table threat's `by`
in the column's own unit. A budget that permits nothing, or everything, is refused here.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from enum import StrEnum
from typing import ClassVar

from hauberk.core.errors import InvalidInput
from hauberk.core.relations import parse


class Norm(StrEnum):
    """The norm that measures a change to an image."""

    LINF = "linf"
    L2 = "l2"
    L1 = "l1"


class Direction(StrEnum):
    """The direction in which a column may change."""

    BOTH = "both"
    UP = "up"
    DOWN = "down"


def _positive(name: str, value: float) -> None:
    if not (math.isfinite(value) and value > 0):
        raise InvalidInput(f"{name} must be a finite number above 0, found {value}.")


@dataclass(frozen=True, slots=True)
class ColumnBudget:
    """What an adversary may do to one column of a table.

    column: its name. by: the largest absolute change, in the column's unit; 0 for a category column, which may
    change to any other known category. direction: of the change. cost: price of one unit of change (for a category:
    of one change), in the unit of the threat's `cost`. low, high: bounds of a changed number; None means the range of
    the training rows. choices: the categories that may be chosen; () means all.
    """

    column: str
    by: float = 0.0
    direction: Direction = Direction.BOTH
    cost: float = 0.0
    low: float | None = None
    high: float | None = None
    choices: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if not (math.isfinite(self.by) and self.by >= 0):
            raise InvalidInput(f"column {self.column!r}: `by` must be 0 or more and finite, found {self.by}.")
        if not (math.isfinite(self.cost) and self.cost >= 0):
            raise InvalidInput(f"column {self.column!r}: `cost` must be 0 or more, found {self.cost}.")
        ends = [end for end in (self.low, self.high) if end is not None]
        if not all(map(math.isfinite, ends)) or ends != sorted(ends):
            raise InvalidInput(
                f"column {self.column!r}: expected finite `low` <= `high`, found {self.low} and {self.high}."
            )
        if self.choices and (self.by or ends):
            raise InvalidInput(
                f"column {self.column!r}: `choices` are for a category, `by`, `low` and `high` for a number."
            )


@dataclass(frozen=True, slots=True)
class Evasion:
    """An adversary who changes inputs at prediction time.

    Either `norm` and `eps` (images: L-inf, L2 or L1 radius in [0, 1] pixel units) or `columns` and optionally
    `cost` (tables: the maximum total cost of the changes to one row; 0 means no limit) and `relations` (constraints
    between columns, in the syntax of `core.relations`: a row that violates one would be noticed).
    """

    kind: ClassVar[str] = "evasion"
    atlas: ClassVar[tuple[str, ...]] = ("AML.T0015", "AML.T0043")

    norm: Norm | None = None
    eps: float = 0.0
    columns: tuple[ColumnBudget, ...] = ()
    cost: float = 0.0
    relations: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if (self.norm is None) == (not self.columns):
            raise InvalidInput("an evasion threat has either `norm` and `eps` (images) or `columns` (tables).")
        if self.norm is not None:
            _positive("evasion `eps`", self.eps)
            if self.norm is Norm.LINF and self.eps >= 1:
                raise InvalidInput(
                    f"evasion `eps` = {self.eps} lets every pixel take any value, so no model can withstand it: "
                    "use a radius in [0, 1] pixel units, such as 8/255 = 0.031."
                )
        if not (math.isfinite(self.cost) and self.cost >= 0):
            raise InvalidInput(f"evasion `cost` must be 0 or more, found {self.cost}.")
        names = [budget.column for budget in self.columns]
        for name in names:
            if names.count(name) > 1:
                raise InvalidInput(f"evasion column {name!r} is declared twice.")
        for relation in self.relations:
            parse(relation)
        if self.relations and not self.columns:
            raise InvalidInput(
                "evasion `relations` hold between the columns of a table, and no `columns` are declared."
            )


@dataclass(frozen=True, slots=True)
class Poisoning:
    """An adversary who controls a share of the training rows, 0 < share < 0.5."""

    kind: ClassVar[str] = "poisoning"
    atlas: ClassVar[tuple[str, ...]] = ("AML.T0020", "AML.T0018")

    share: float

    def __post_init__(self) -> None:
        _positive("poisoning `share`", self.share)
        if self.share >= 0.5:
            raise InvalidInput(
                f"poisoning `share` = {self.share}: an adversary with half of the rows or more decides what is "
                "true, and no defence can tell. Declare a share below 0.5."
            )


@dataclass(frozen=True, slots=True)
class Extraction:
    """An adversary who copies the model with at most `queries` queries."""

    kind: ClassVar[str] = "extraction"
    atlas: ClassVar[tuple[str, ...]] = ("AML.T0024",)

    queries: int

    def __post_init__(self) -> None:
        _positive("extraction `queries`", self.queries)


@dataclass(frozen=True, slots=True)
class Inference:
    """An adversary who infers whether a row was in the training data; `advantage` in (0, 1] is the tolerated advantage."""

    kind: ClassVar[str] = "inference"
    atlas: ClassVar[tuple[str, ...]] = ("AML.T0024",)

    advantage: float

    def __post_init__(self) -> None:
        _positive("inference `advantage`", self.advantage)
        if self.advantage > 1:
            raise InvalidInput(f"inference `advantage` is at most 1, found {self.advantage}.")


Threat = Evasion | Poisoning | Extraction | Inference
KINDS: dict[str, type[Threat]] = {t.kind: t for t in (Evasion, Poisoning, Extraction, Inference)}
