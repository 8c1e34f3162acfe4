"""Page: one attack as a self-contained HTML file: a table, accuracy against radius, queries against success, twins."""

from __future__ import annotations

from typing import Any

import numpy as np

from hauberk.core import canonical
from hauberk.lifecycle.attacking.measuring import Outcome
from hauberk.records.view import Measured
from hauberk.report import Attested, examples, formats, lay_out, plots
from hauberk.report.queries_plot import success_by_queries
from hauberk.report.reading import Threat

_QUERIES = "success_by_queries_"


def page(outcome: Outcome, *, name: str, time: str) -> str:
    """Return the page. name: of the target. time: RFC 3339, when it was finished. No script, nothing is fetched."""
    found, measured = outcome.campaign, _measured(outcome)
    threat = Threat(measured.label, measured.threat, {"attacked": measured})
    lines = {
        key.removeprefix(_QUERIES): measured.series(key)
        for key in outcome.measurement.series
        if key.startswith(_QUERIES)
    }
    outputs = {canonical.sha256(data): data for data in outcome.measurement.outputs.values()}
    return lay_out(
        "attack.html.j2",
        {
            "name": name,
            "partial": found.partial,
            "facts": _facts(outcome, time),
            "sentence": sentence(outcome),
            "measure": "Median cost" if measured.threat.get("columns") else "Median distance",
            "rows": table(outcome),
            "radius": plots.accuracy_by_radius(threat, "radius-plot"),
            "queries": success_by_queries(lines, "queries-plot"),
            "examples": examples.read(measured, outputs.__getitem__),
            "notes": outcome.measurement.notes,
            "formats": formats,
        },
    )


def sentence(outcome: Outcome) -> str:
    """Say the result in one sentence, with its interval."""
    found = outcome.campaign
    low, high = formats.percent(found.robust.low), formats.percent(found.robust.high)
    return (
        f"{formats.percent(found.clean)} of {len(found.order):,} rows are right as they are, and "
        f"{formats.percent(found.robust.share)} still under attack ({found.confidence:.0%} interval {low} to {high})."
    )


def table(outcome: Outcome) -> list[dict[str, str]]:
    """Return a row for each attack, written out."""
    rows = []
    for attempt in outcome.campaign.attempts:
        moved = attempt.distance[attempt.fooled]
        rows.append(
            {
                "name": attempt.name,
                "given": f"{len(attempt.rows):,}",
                "fooled": f"{int(attempt.fooled.sum()):,}",
                "success": formats.percent(attempt.success),
                "asked": f"{attempt.asked.mean():,.0f}" if len(attempt.rows) else "\N{EN DASH}",
                "distance": f"{np.median(moved):.4g}" if len(moved) else "\N{EN DASH}",
            }
        )
    return rows


def _facts(outcome: Outcome, time: str) -> list[tuple[str, str]]:
    told = outcome.parameters
    wide = formats.percent(outcome.campaign.robust.half)
    return [
        ("As of", formats.instant(time)),
        ("Threat", f"{told['threat']['label']}: {formats.threat(told['threat'])}"),
        ("Model", ", ".join(f"{s.name} {formats.short(s.sha256)}" for s in outcome.subjects)),
        ("Rows", f"{len(outcome.campaign.order):,} of {outcome.campaign.wanted:,}, in random order"),
        ("Interval", f"\N{PLUS-MINUS SIGN} {wide}, exact (Clopper-Pearson)"),
        ("Took", formats.seconds(outcome.campaign.seconds)),
    ]


def _measured(outcome: Outcome) -> Measured:
    """Return the measurement as the report reads evidence."""
    measurement = outcome.measurement
    predicate: dict[str, Any] = {
        "control": "attack",
        "role": "attacked",
        "parameters": outcome.parameters,
        "metrics": dict(measurement.metrics),
        "series": measurement.series,
        "outputs": [
            {"name": name, "digest": {"sha256": canonical.sha256(data)}}
            for name, data in measurement.outputs.items()
        ],
        "notes": list(measurement.notes),
    }
    return Measured(Attested(0, "", "", "", outcome.subjects, predicate))
