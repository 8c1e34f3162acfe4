"""The report's short form, printed at the end of a run: the same figures as the page, computed by the same code."""

from __future__ import annotations

from rich.table import Table
from rich.text import Text

from hauberk.core.findings import Severity
from hauberk.core.text import visible
from hauberk.records.model import Source
from hauberk.report import comparison, formats, reading, sections
from hauberk.report.comparison import Figure

_LOOK = {"good": "bold green", "bad": "bold red", "none": "dim"}


def summary_table(source: Source) -> Table:
    """Return plain and hardened side by side, what was found in the data, and the verdict rule by rule.

    Names from the ledger are written as text, never as markup, and control characters are made visible, so that
    none of them can steer a terminal.
    """
    known = reading.Reading(source)
    table = Table(show_header=True, header_style="bold", box=None, pad_edge=False, padding=(0, 3, 0, 0))
    table.add_column(_text(source.project, "bold"))
    for name in ("plain", "hardened", "change"):
        table.add_column(name, justify="right", no_wrap=True)
    for row in comparison.rows(known):
        name = f"{row.name} ({row.note})" if row.note else row.name
        look = "" if row.better is None else "green" if row.better else "red"
        table.add_row(_text(name), _figure(row.plain), _figure(row.hardened), _text(row.change, look))
    table.add_row()
    table.add_row(_text(f"Found in the data: {_findings(known)}"))
    table.add_row()
    badge = sections.badge(known)
    table.add_row(Text.assemble("Verdict: ", _text(badge.words, _LOOK[badge.look])))
    for rule in sections.rules(known):
        mark = _text("✔", "green") if rule.holds else _text("✘", "bold red")
        table.add_row(Text.assemble("  ", mark, " ", _text(f"{rule.rule}: {rule.value}")))
        if rule.recheck:
            table.add_row(_text(f"    {rule.recheck}", "red"))
    return table


def _text(words: str, style: str = "") -> Text:
    return Text(visible(words), style=style)


def _figure(figure: Figure | None) -> Text:
    return _text(figure.shown) if figure else _text(formats.NO_EVIDENCE, "dim")


def _findings(known: reading.Reading) -> str:
    """Return the number of findings by severity, the most severe first, or that nothing was checked."""
    measured = known.checked
    if not measured:
        return formats.NO_EVIDENCE
    found = [item.severity for item in sections.findings(measured)]
    graves = [str(severity) for severity in reversed(Severity) if severity in found]
    told = [f"{found.count(name)} {name}" for name in dict.fromkeys([*graves, *found])]
    return ", ".join(told) or "nothing"
