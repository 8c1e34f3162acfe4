"""The `[[threats]]` of a project file: each becomes a threat of `core.threats`, or a problem with a line."""

from __future__ import annotations

import math
import re
from functools import partial

from hauberk.core.errors import InvalidInput
from hauberk.core.relations import parse
from hauberk.core.threats import (
    KINDS,
    ColumnBudget,
    Direction,
    Evasion,
    Extraction,
    Inference,
    Norm,
    Poisoning,
    Threat,
)
from hauberk.project.reading import Problems, Table, named
from hauberk.project.values import Declared

_FRACTION = re.compile(r"\s*(\d+(?:\.\d+)?)\s*/\s*(\d+(?:\.\d+)?)\s*")


def read_threats(root: Table, problems: Problems) -> tuple[Declared, ...]:
    """Return the declared threats; labels are unique, so that evidence can name them."""
    if not root.values.get("threats", []):
        root.wrong("threats", 'declare at least one adversary: [[threats]] with kind = "evasion" and a budget.')
    declared: list[Declared] = []
    for table in root.children("threats"):
        before = len(problems.found)
        label = table.text("name")
        threat = problems.take(table.path, lambda t=table: _threat(t))  # type: ignore[misc]
        table.close()
        if len(problems.found) > before:
            continue
        assert threat is not None, "no threat without a noted problem"
        label = label or _free_name(threat, {d.label for d in declared})
        if label in {d.label for d in declared}:
            table.wrong("name", f"{label!r} is taken by another threat: give each its own.")
        declared.append(Declared(threat, label, problems.line(table.path)))
    return tuple(declared)


def read_eps(table: Table) -> float | None:
    """Return `eps`, written as a number or as a fraction in a string, such as "4/255"; None when it is neither."""
    if not isinstance(table.values.get("eps"), str):
        value = table.get("eps", float, math.nan)  # NaN is no value that a file can give
        return None if math.isnan(value) else value
    text = table.text("eps")
    radius = read_fraction(text)
    if radius is None:
        table.wrong("eps", f'{named(text)} is no radius: write a number, or a fraction such as "4/255".')
    return radius


def read_fraction(text: str) -> float | None:
    """Return a radius written as a fraction, such as 4/255, or None for other text."""
    found = _FRACTION.fullmatch(text)
    if found is None or float(found[2]) == 0:
        return None
    return float(found[1]) / float(found[2])


def _threat(table: Table) -> Threat | None:
    kind = table.choice("kind", tuple(KINDS), needed=f"one of {', '.join(KINDS)}.")
    if kind == "evasion":
        return _evasion(table)
    amount = {"poisoning": "share", "extraction": "queries", "inference": "advantage"}.get(kind)
    if amount is None:
        table.rest()  # which keys belong here depends on the kind, and that is unknown
        return None
    if not table.has(amount):
        table.wrong(amount, f"is missing: a threat of kind {kind!r} states its budget.")
        return None
    if kind == "extraction":
        return Extraction(table.get(amount, int, 1))
    value = table.get(amount, float, 0.1)
    return Poisoning(value) if kind == "poisoning" else Inference(value)


def _evasion(table: Table) -> Evasion | None:
    norm = table.choice("norm", tuple(str(norm) for norm in Norm)) if table.has("norm") else ""
    eps = read_eps(table)
    columns = tuple(b for b in map(_column, table.children("columns")) if b is not None)
    cost = table.get("cost", float, 0.0)
    relations = table.texts("relations")
    images = table.has("norm") or table.has("eps")
    tables = table.has("columns") or table.has("cost") or table.has("relations")
    if images and tables:
        key = "norm" if table.has("norm") else "eps"
        table.wrong(key, "a threat is for images (norm, eps) or for tables (columns, cost): declare two threats.")
    elif images and not table.has("norm"):
        table.wrong("eps", 'a radius needs its norm: add norm = "linf", "l2" or "l1".')
    elif images and not table.has("eps"):
        table.wrong("eps", 'is missing: the radius in pixel units of [0, 1], such as 0.1 or "4/255".')
    elif images and norm and eps is not None:
        return table.problems.take((*table.path, "eps"), lambda: Evasion(norm=Norm(norm), eps=eps))
    elif cost > 0 and columns and not any(column.cost > 0 for column in columns):
        table.wrong("cost", f"{cost:g} limits nothing, since no column has a cost: give columns a `cost`.")
    elif columns:
        for index, relation in enumerate(relations):
            if table.problems.take((*table.path, "relations", index), lambda r=relation: parse(r)) is None:  # type: ignore[misc]
                return None
        evasion = partial(Evasion, columns=columns, cost=cost, relations=relations)
        return table.problems.take((*table.path, "columns"), evasion)
    elif not images and not table.values.get("columns"):
        raise InvalidInput(
            f'{table.title} has no budget: declare norm = "linf", "l2" or "l1" with eps (images), or columns (tables): '
            "which may be changed, `by` how much, at what `cost`."
        )
    return None


def _column(table: Table) -> ColumnBudget | None:
    name = table.text("column", needed="the name of the column that may be changed.")
    by = table.number("by", 0.0, low=0.0)
    direction = table.choice("direction", tuple(str(way) for way in Direction), default=str(Direction.BOTH))
    cost = table.number("cost", 0.0, low=0.0)
    low, high = (table.get(end, float, 0.0) if table.has(end) else None for end in ("low", "high"))
    choices = table.texts("choices")
    if table.has("by") and table.values["by"] == 0:
        table.wrong("by", "0 allows no change: write how far the column may move, or leave the column out.")
    table.close()
    return ColumnBudget(name, by, Direction(direction), cost, low, high, choices) if name else None


def _free_name(threat: Threat, taken: set[str]) -> str:
    name = threat.kind
    number = 2
    while name in taken:
        name = f"{threat.kind}-{number}"
        number += 1
    return name
