"""The report: one HTML file, computed from the ledger, that says "no evidence" for everything it does not prove.

`records.model` is the input; `reading` and `stages` read the attestations; `comparison`, `sections`, `poison`, `plots`,
`tradeoff`, `bars`, `chain` and `examples` compute values and pictures; the templates lay them out. `terminal` prints the
short form. The page has no script and fetches nothing; its content security policy enforces both.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from hauberk.core import pages
from hauberk.records.model import Attested, Source
from hauberk.records.view import kind
from hauberk.report import bars, chain, comparison, formats, poison, reading, rivals, sections, stages, tradeoff

__all__ = ["Attested", "Source", "lay_out", "render"]


def render(source: Source) -> str:
    """Return the report as one self-contained HTML document.

    A function of `source` alone: the same source gives the same text. For a missing or damaged artifact the
    page shows "no evidence" with the reason.

    Answers: hostile names and pictures in evidence (all text is escaped, pictures are only PNG, nothing runs).
    Does not answer: unverified attestations; the caller verifies them first.
    """
    known = reading.Reading(source)
    steps, links = stages.chain(known)
    attacks, poisoned = sections.attacks(known, source.get), poison.read(known, source.get)
    view = {
        "source": source,
        "reading": known,
        "badge": sections.badge(known),
        "rows": comparison.rows(known),
        "sentences": comparison.sentences(known),
        "attacks": attacks,
        "tradeoff": tradeoff.read(known),
        "checks": sections.checks(known),
        "data_findings": sections.findings(known.checked),
        "model_findings": sections.findings(tuple(m for role in reading.ROLES for m in known.on(role))),
        "shown": sections.shown,
        "poison": poisoned,
        # In a project about poisoning, sections on an attack that was not declared are left out.
        "unattacked": poisoned is not None and not attacks,
        "draw_sources": bars.suspects_by_source,
        "rivals": rivals.read(known, source.get),
        "rules": sections.rules(known),
        "chain": chain.picture(steps, links),
        "broken": sum(link.by is None for link in links),
        "links": len(links),
        "practices": sections.practices(known),
        "versions": sections.versions(known),
        "seeds": sections.seeds(known),
        "facts": sections.facts,
        "kind": kind,
        "formats": formats,
    }
    return lay_out("report.html.j2", view)


def lay_out(name: str, view: Mapping[str, Any]) -> str:
    """Return the page that this package's template `name` renders from `view`; all text is escaped."""
    return pages.lay_out(__name__, name, view)
