"""Drift of a registered set since an earlier state, of which a sample of rows was kept."""

from __future__ import annotations

import tempfile
from pathlib import Path

from hauberk.core.findings import Finding, Severity
from hauberk.lifecycle.datasets import sets
from hauberk.lifecycle.datasets.auditing_content import Look, schema_of
from hauberk.lifecycle.datasets.sets import Registered
from hauberk.records.workshop import Workshop


def drift_since(look: Look, workshop: Workshop, base: Registered | None) -> str:
    """Measure drift of the table against the sample of `base`; return a note where it cannot be, or what was left out."""
    from hauberk.data.verification.drift import drift
    from hauberk.data.verification.opening import opened
    from hauberk.data.verification.schema import VERSION, parse_schema

    if base is None:
        return "This is the first state on record: there is nothing that it could have drifted from."
    sample = sets.sample_of(workshop, base)
    if sample is None or len(look.places) != 1:
        return "No sample of rows was kept of the state before: drift was not measured."
    text = schema_of(workshop, look.known)
    with tempfile.TemporaryDirectory(dir=workshop.folder) as scratch:
        reference = Path(scratch) / f"sample{sample.ending}"
        reference.write_bytes(sample.data)
        with opened(look.places[0]) as table, opened(str(reference)) as earlier:
            limits = parse_schema(text or f"version = {VERSION}\n", where="the registered schema")
            found = drift(table, earlier, limits)
    moved = [measure for measure in found.measures if measure.drifted]
    look.metrics |= {"drift_measures": float(len(found.measures)), "drifted": float(len(moved))}
    look.findings += [
        Finding(
            f"column {measure.column} drifted since entry {base.entry}: {measure.name} {measure.effect:.3g}"
            + (f" ({measure.note})" if measure.note else ""),
            measure.column,
            Severity.MEDIUM,
            "Find out what changed at the source; retrain or refuse the new rows.",
            value=float(measure.effect),
            limit=float(measure.limit),
        )
        for measure in moved
    ]
    skipped = ", ".join(f"{column} ({why})" for column, why in found.skipped[:5])
    return f"Not compared for drift: {skipped}." if skipped else ""
