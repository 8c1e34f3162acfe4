"""The report: one HTML file that shows what the ledger proves, and says "no evidence" for what it does not.

`model` is what goes in; `reading` and `stages` find what the attestations say; `comparison`, `sections`, `poison`, `plots`,
`tradeoff`, `bars`, `chain` and `examples` turn it into values and pictures; the templates lay them out. `terminal` is the
short form.
The page has no script and fetches nothing, which its own content security policy enforces.
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

    A function of `source` alone: the same source gives the same text. An artifact that is missing or damaged is
    reported in its place as "no evidence" with the reason.

    Answers: hostile names and pictures in evidence (all text is escaped, pictures are only PNG, nothing runs).
    Does not answer: attestations that were not verified before.
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
        # Where poisoning is what was looked at, sections on an attack that nobody declared say nothing.
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
    """Return the page that one of this package's templates makes of `view`; all text in it is escaped."""
    return pages.lay_out(__name__, name, view)
