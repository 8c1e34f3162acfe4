"""The part of an audit that measures drift, against a sample of rows that was kept of an earlier state."""

from __future__ import annotations

import tempfile
from pathlib import Path

from hauberk.core.findings import Finding, Kind, Place, Severity
from hauberk.lifecycle.controls._audited import Look, State


def drift_since(look: Look, base: State | None) -> str:
    """Measure drift of the table against the sample of `base`; return a note on what was not compared."""
    from hauberk.data.verification.drift import drift
    from hauberk.data.verification.opening import opened
    from hauberk.data.verification.schema import VERSION, parse_schema

    if base is None:
        return "This is the first state on record: there is no earlier state to compare it with."
    sample, text = look.of.memory.sample(base), look.of.schema
    if sample is None or len(look.of.places) != 1:
        return "No sample of the earlier state's rows was kept: drift was not measured."
    with tempfile.TemporaryDirectory(dir=look.of.scratch) as scratch:
        reference = Path(scratch) / f"sample{sample.ending}"
        reference.write_bytes(sample.data)
        with opened(look.of.places[0]) as table, opened(str(reference)) as earlier:
            limits = parse_schema(text or f"version = {VERSION}\n", where="the registered schema")
            found = drift(table, earlier, limits)
    moved = [measure for measure in found.measures if measure.drifted]
    look.metrics |= {"drift_measures": float(len(found.measures)), "drifted": float(len(moved))}
    look.findings += [
        Finding(
            f"column {measure.column} drifted since entry {base.entry}: {measure.name} {measure.effect:.3g}"
            + (f" ({measure.note})" if measure.note else ""),
            Place(Kind.COLUMN, measure.column),
            Severity.MEDIUM,
            "Find out what changed at the source; retrain or refuse the new rows.",
            value=float(measure.effect),
            limit=float(measure.limit),
        )
        for measure in moved
    ]
    skipped = ", ".join(f"{column} ({why})" for column, why in found.skipped[:5])
    return f"Not compared for drift: {skipped}." if skipped else ""
