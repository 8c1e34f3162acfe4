"""The report's section on an update: challenger against champion, metric by metric, with intervals."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from hauberk.core import canonical
from hauberk.core.errors import HauberkError
from hauberk.records.view import Measured, finite, mapping, mappings, text
from hauberk.report.examples import verified
from hauberk.report.reading import Reading

CONTROL, OUTPUT = "comparison", "comparison.json"


@dataclass(frozen=True, slots=True)
class Rivals:
    """The comparisons of the judged update. missing: why they cannot be shown, or ""."""

    measured: Measured
    rows: tuple[Mapping[str, Any], ...]
    missing: str


def read(reading: Reading, get: Callable[[str], bytes]) -> Rivals | None:
    """Return the comparison of challenger and champion, or None if the verdict is not on an update."""
    found = [item for item in reading.current if item.control == CONTROL]
    if not found:
        return None
    document: Mapping[str, Any] = {}
    try:
        document = mapping(canonical.decode(verified(get, found[-1].outputs.get(OUTPUT, "")), what=OUTPUT))
    except HauberkError as error:
        return Rivals(found[-1], (), f"no evidence: {error}")
    return Rivals(found[-1], tuple(_row(item) for item in mappings(document.get("comparisons"))), "")


def _row(item: Mapping[str, Any]) -> Mapping[str, Any]:
    numbers = {name: _number(item.get(name)) for name in ("champion", "challenger")}
    signed = {name: _number(item.get(name), "+.4f") for name in ("difference", "low", "high")}
    verdict = "worse" if item.get("regressed") is True else "better" if item.get("improved") is True else "no worse"
    n = finite(item.get("n"))
    names = {"metric": text(item, "metric"), "rows": text(item, "rows")}
    return names | numbers | signed | {"n": "?" if n is None else f"{n:,.0f}", "verdict": verdict}


def _number(value: object, form: str = ".4f") -> str:
    found = finite(value)
    return "?" if found is None else format(found, form)
