"""The `[[threats]]` of a project file: each becomes a threat of `core.threats`, or a problem with a line."""

from __future__ import annotations

import re
from functools import partial
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, ConfigDict, Field

from hauberk.core.relations import parse
from hauberk.core.threats import ColumnBudget, Direction, Evasion, Extraction, Inference, Norm, Poisoning, Threat
from hauberk.project.lines import Path
from hauberk.project.problems import Problems, named
from hauberk.project.strict import Finite, Section, Text, read
from hauberk.project.values import Declared

_FRACTION = re.compile(r"\s*(\d+(?:\.\d+)?)\s*/\s*(\d+(?:\.\d+)?)\s*")
_KINDS = "one of evasion, poisoning, extraction, inference."


def read_fraction(text: str) -> float | None:
    """Return a radius written as a fraction, such as 4/255, or None for other text."""
    found = _FRACTION.fullmatch(text)
    if found is None or float(found[2]) == 0:
        return None
    return float(found[1]) / float(found[2])


def _radius(value: object) -> object:
    if not isinstance(value, str):
        return value
    radius = read_fraction(value)
    if radius is None:
        raise ValueError(f'{named(value)} is not a radius: write a number, or a fraction such as "4/255".')
    return radius


class _ColumnTable(Section):
    """One of `[[threats.columns]]`."""

    column: Annotated[Text, Field(description="the name of the column that may be changed.")]
    by: Annotated[Finite, Field(ge=0)] = 0.0
    direction: Literal["both", "up", "down"] = "both"
    cost: Annotated[Finite, Field(ge=0)] = 0.0
    low: Finite | None = None
    high: Finite | None = None
    choices: list[Text] = Field(default_factory=list)


class _KindTable(Section):
    """The one key that all of `[[threats]]` share and that decides about the others."""

    model_config = ConfigDict(extra="ignore")

    kind: Annotated[Literal["evasion", "poisoning", "extraction", "inference"], Field(description=_KINDS)]


class _ThreatTable(_KindTable):
    """One of `[[threats]]`."""

    model_config = ConfigDict(extra="forbid")

    name: str = ""


class _EvasionTable(_ThreatTable):
    """A threat of kind evasion: norm and eps for images, or columns, cost and relations for tables."""

    norm: Literal["linf", "l2", "l1"] | None = None
    eps: Annotated[Finite, BeforeValidator(_radius)] | None = None
    columns: list[_ColumnTable] = Field(default_factory=list)
    cost: Finite = 0.0
    relations: list[Text] = Field(default_factory=list)


def _budget(kind: str) -> Any:  # noqa: ANN401 - pydantic's marker
    return Field(description=f"a threat of kind {kind!r} states its budget.")


class _PoisoningTable(_ThreatTable):
    """A threat of kind poisoning."""

    share: Annotated[Finite, _budget("poisoning")]


class _ExtractionTable(_ThreatTable):
    """A threat of kind extraction."""

    queries: Annotated[int, _budget("extraction")]


class _InferenceTable(_ThreatTable):
    """A threat of kind inference."""

    advantage: Annotated[Finite, _budget("inference")]


_TABLES: dict[str, type[_ThreatTable]] = {
    "evasion": _EvasionTable,
    "poisoning": _PoisoningTable,
    "extraction": _ExtractionTable,
    "inference": _InferenceTable,
}


def read_threats(values: object, problems: Problems) -> tuple[Declared, ...]:
    """Return the declared threats; labels are unique, so that evidence can name them."""
    if not isinstance(values, list):
        problems.wrong(("threats",), f"expected a list, found {named(values)}.")
        return ()
    if not values:
        problems.wrong(
            ("threats",), 'declare at least one adversary: [[threats]] with kind = "evasion" and a budget.'
        )
    declared: list[Declared] = []
    for index, given in enumerate(values):
        path: Path = ("threats", index)
        table = _table(given, path, problems)
        threat = None if table is None else problems.take(path, partial(_threat, table, path, problems))
        if table is None or threat is None:
            continue
        taken = {one.label for one in declared}
        label = table.name or _free_name(threat, taken)
        if label in taken:
            problems.wrong((*path, "name"), f"{label!r} is taken by another threat: give each its own.")
        declared.append(Declared(threat, label, problems.line(path)))
    return tuple(declared)


def _table(values: object, path: Path, problems: Problems) -> _ThreatTable | None:
    if not isinstance(values, dict):
        problems.wrong(path, f"expected tables, found {named(values)}.")
        return None
    about = read(_KindTable, values, path, problems)
    return None if about is None else read(_TABLES[about.kind], values, path, problems)


def _threat(table: _ThreatTable, path: Path, problems: Problems) -> Threat | None:
    match table:
        case _EvasionTable():
            return _evasion(table, path, problems)
        case _PoisoningTable():
            return Poisoning(table.share)
        case _ExtractionTable():
            return Extraction(table.queries)
        case _InferenceTable():
            return Inference(table.advantage)
    raise AssertionError("every kind has its table")


def _evasion(table: _EvasionTable, path: Path, problems: Problems) -> Evasion | None:
    wrong = _contradiction(table)
    if wrong is not None:
        key, message = wrong
        problems.wrong((*path, key), message)
        return None
    if table.norm is not None and table.eps is not None:
        norm, eps = Norm(table.norm), table.eps
        return problems.take((*path, "eps"), lambda: Evasion(norm=norm, eps=eps))
    if not table.columns:
        problems.add(
            path,
            '[[threats]] has no budget: declare norm = "linf", "l2" or "l1" with eps (images), or columns (tables): '
            "which may be changed, `by` how much, at what `cost`.",
        )
        return None
    columns = [_column(one, (*path, "columns", index), problems) for index, one in enumerate(table.columns)]
    relations = tuple(table.relations)
    for index, relation in enumerate(relations):
        if problems.take((*path, "relations", index), partial(parse, relation)) is None:
            return None
    budgets = tuple(one for one in columns if one is not None)
    if len(budgets) < len(columns):
        return None
    make = partial(Evasion, columns=budgets, cost=table.cost, relations=relations)
    return problems.take((*path, "columns"), make)


def _contradiction(table: _EvasionTable) -> tuple[str, str] | None:
    """Return the key and the message when an evasion threat mixes or lacks parts of a budget."""
    images = [key for key in ("norm", "eps") if table.has(key)]
    tables = any(table.has(key) for key in ("columns", "cost", "relations"))
    if images and tables:
        return images[0], "a threat is for images (norm, eps) or for tables (columns, cost): declare two threats."
    if images == ["eps"]:
        return "eps", 'a radius needs its norm: add norm = "linf", "l2" or "l1".'
    if images == ["norm"]:
        return "eps", 'is missing: the radius in pixel units of [0, 1], such as 0.1 or "4/255".'
    if table.cost > 0 and table.columns and not any(column.cost > 0 for column in table.columns):
        return "cost", f"{table.cost:g} limits nothing, since no column has a cost: give columns a `cost`."
    return None


def _column(table: _ColumnTable, path: Path, problems: Problems) -> ColumnBudget | None:
    if table.has("by") and table.by == 0:
        problems.wrong(
            (*path, "by"), "0 allows no change: write how far the column may move, or leave the column out."
        )
        return None
    way, choices = Direction(table.direction), tuple(table.choices)
    make = partial(ColumnBudget, table.column, table.by, way, table.cost, table.low, table.high, choices)
    return problems.take(path, make)


def _free_name(threat: Threat, taken: set[str]) -> str:
    name = threat.kind
    number = 2
    while name in taken:
        name = f"{threat.kind}-{number}"
        number += 1
    return name
