"""The report: one HTML file that shows what the ledger proves, and says "no evidence" for what it does not.

`model` is what goes in; `reading` and `stages` find what the attestations say; `comparison`, `sections`, `plots`,
`chain` and `examples` turn it into values and pictures; the templates lay them out. `terminal` is the short form.
The page has no script and fetches nothing, which its own content security policy enforces.
"""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING

from markupsafe import Markup

from hauberk.lifecycle.report import chain, comparison, formats, poison, reading, rivals, sections, stages
from hauberk.lifecycle.report.model import Attested, Source
from hauberk.lifecycle.report.svg import visible

if TYPE_CHECKING:
    from jinja2 import Template

__all__ = ["Attested", "Source", "render"]


def render(source: Source) -> str:
    """Return the report as one self-contained HTML document.

    A function of `source` alone: the same source gives the same text. An artifact that is missing or damaged is
    reported in its place as "no evidence" with the reason.

    Answers: hostile names and pictures in evidence (all text is escaped, pictures are only PNG, nothing runs).
    Does not answer: attestations that were not verified before.
    """
    known = reading.Reading(source)
    steps, links = stages.chain(known)
    view = {
        "source": source,
        "reading": known,
        "badge": sections.badge(known),
        "rows": comparison.rows(known),
        "sentences": comparison.sentences(known),
        "attacks": sections.attacks(known, source.get),
        "checks": sections.checks(known),
        "data_findings": sections.findings(known.checked),
        "model_findings": sections.findings(tuple(m for role in reading.ROLES for m in known.on(role))),
        "shown_findings": sections.SHOWN_FINDINGS,
        "poison": poison.read(known, source.get),
        "rivals": rivals.read(known, source.get),
        "rules": sections.rules(known),
        "chain": chain.picture(steps, links),
        "broken": sum(link.by is None for link in links),
        "links": len(links),
        "practices": sections.practices(known),
        "versions": sections.versions(known),
        "seeds": sections.seeds(known),
        "facts": sections.facts,
        "kind": reading.kind,
        "formats": formats,
    }
    return _template().render(view)


@cache
def _template() -> Template:
    # Imported here: `import hauberk` and its command line start without a template engine.
    from jinja2 import Environment, PackageLoader, StrictUndefined

    environment = Environment(
        loader=PackageLoader(__name__),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        finalize=_shown,
    )
    return environment.get_template("report.html.j2")


def _shown(value: object) -> object:
    """Make hidden characters visible in everything but our own markup."""
    return value if isinstance(value, Markup) else visible(value)
