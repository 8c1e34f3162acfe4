"""The report's section on poison: how much was found, who sent it, the worst rows, and what was done.

Read from the artifact that the poisoning check's evidence names. As with every artifact, it is not trusted: its
digest is checked, pictures are re-encoded, names are escaped where they are shown.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from hauberk.core import canonical
from hauberk.core.errors import HauberkError
from hauberk.records.lineage import REPAIRED
from hauberk.records.view import Measured, finite, mapping, mappings, text
from hauberk.report.examples import Picture, picture, verified
from hauberk.report.reading import Reading

CONTROL, OUTPUT = "poisoning", "suspects.json"
SHOWN, SOURCES = 12, 12
_VALUES = 40  # shown of one row


@dataclass(frozen=True, slots=True)
class Value:
    """One column of a row. told: whether the reason names it; such columns come first."""

    name: str
    shown: str
    told: bool


@dataclass(frozen=True, slots=True)
class Suspect:
    """One row. suggested, source: "" where unknown. picture, values: the content of the row, if it is shown."""

    row: int
    label: str
    suggested: str
    source: str
    detector: str
    reason: str
    score: float | None
    picture: Picture | None
    values: tuple[Value, ...]


@dataclass(frozen=True, slots=True)
class Poison:
    """What one run measured and did. missing: why there is nothing to show, or "".

    measured: the first screening. after: the screening of the remaining rows. removed, kept: numbers of rows. These three are
    None if nothing was set aside. suspects: the ones that can be shown, worst first. flagged: the number of suspects.
    """

    measured: Measured
    after: Measured | None
    flagged: int
    removed: int | None
    kept: int | None
    entry: int | None
    kind: str
    suspects: tuple[Suspect, ...]
    sources: tuple[Mapping[str, Any], ...]
    missing: str

    @property
    def by_source(self) -> tuple[tuple[str, tuple[Suspect, ...]], ...]:
        """The shown suspects by source, the most guilty first; all under "" if the data name no source."""
        order = dict.fromkeys(
            [*(text(source, "source") for source in self.sources), *(s.source for s in self.suspects)]
        )
        found = ((name, tuple(one for one in self.suspects if one.source == name)) for name in order)
        return tuple((name, suspects) for name, suspects in found if suspects)

    @property
    def found(self) -> bool:
        """Whether more rows were flagged than false alarms explain."""
        return self.measured.metrics.get("poison_found") == 1


def read(reading: Reading, get: Callable[[str], bytes]) -> Poison | None:
    """Return what this run says about poison, or None if the run did not screen for it."""
    looked = [item for item in reading.evidence if item.control == CONTROL and item.role == "data"]
    if reading.judged:
        looked = [item for item in looked if item.entry.digest in reading.judged]
    if not looked:
        return None
    first, last = looked[0], looked[-1]
    repaired = reading.events_named(REPAIRED)
    details = mapping(repaired[-1].predicate.get("details")) if repaired else {}
    document: Mapping[str, Any] = {}
    missing = ""
    digest = first.outputs.get(OUTPUT)
    if digest:
        try:
            document = mapping(canonical.decode(verified(get, digest), what=f"artifact {digest[:12]}"))
        except HauberkError as error:
            missing = f"no evidence: {error}"
    suspects = tuple(_suspect(item) for item in mappings(document.get("suspects")))
    shown = [one for one in suspects if one.picture is not None or one.values] or list(suspects)
    return Poison(
        measured=first,
        after=last if last is not first else None,
        flagged=len(suspects),
        removed=_whole(details.get("removed")),
        kept=_whole(details.get("kept")),
        entry=repaired[-1].index if repaired else None,
        kind=text(document, "kind"),
        suspects=tuple(shown[:SHOWN]),
        sources=tuple(mappings(document.get("sources")))[:SOURCES],
        missing=missing,
    )


def _suspect(item: Mapping[str, Any]) -> Suspect:
    row = item.get("row")
    reason = text(item, "reason")
    values = [
        Value(str(name), str(value), f"{name} = " in reason) for name, value in mapping(item.get("values")).items()
    ]
    values.sort(key=lambda value: not value.told)
    return Suspect(
        row=row if isinstance(row, int) else -1,
        label=text(item, "label"),
        suggested=text(item, "suggested"),
        source=text(item, "source"),
        detector=text(item, "detector"),
        reason=reason,
        score=finite(item.get("score")),
        picture=picture(item.get("png")),
        values=tuple(values[:_VALUES]),
    )


def _whole(value: object) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) else None
