"""Vetting: drift and poison among the rows since the trusted state, in the new batch alone and in all batches together.

The poisoning check screens all rows, but only its flags on rows that nobody has vouched for are counted, so that a large honest
history does not dilute a small bad batch. The control `drip` looks for poison that is spread over batches. The project's
policy for poison decides what follows: set aside, stop, or report.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from hauberk.core import canonical
from hauberk.core.errors import Refused
from hauberk.core.registry import NoParams
from hauberk.lifecycle.controls import CONTROLS
from hauberk.lifecycle.controls.drift import NewRows
from hauberk.lifecycle.controls.drip import SUSPECTS, Params, Sequel
from hauberk.lifecycle.main.job import DATA, About, Job
from hauberk.lifecycle.main.poison import poison_report
from hauberk.lifecycle.main.running import run_step
from hauberk.lifecycle.updating.batches import SHIFT, Batch, where
from hauberk.lifecycle.updating.history import History

_CHANCE = 1e-3  # alarm below this probability that as many honest rows, or more, are flagged


@dataclass(frozen=True, slots=True)
class Vetted:
    """The result of one test. suspects: rows to set aside, by `row`, with detector and reason. alarms: one sentence each."""

    suspects: tuple[Mapping[str, Any], ...]
    alarms: tuple[str, ...]


def measure_drift(job: Job, about: About, history: History, batch: Batch) -> None:
    """Attest the drift of the new rows from the trusted ones. Drift alone stops nothing, unless a rule of the gate says so."""
    run_step(
        job,
        CONTROLS["drift"],
        lambda: NewRows(batch.side, history.vouched, batch.number),
        NoParams(),
        step="drift",
        title="Measure drift from the trusted rows",
        role=DATA,
        about=(about.subject,),
        depends={"batch": batch.digest, "trusted": history.vouched.digest(), "data": about.digest},
        seed=job.seed("drift"),
    )


def watch_drip(job: Job, about: About, history: History, batches: Sequence[Batch]) -> Vetted:
    """Compare all rows on probation with the trusted ones, attest the result, and return the rows that raise an alarm.

    Answers and does not answer: as `data.poison.drip`.
    """
    trusted = history.vouched
    done = run_step(
        job,
        CONTROLS["drip"],
        lambda: Sequel(trusted, [batch.side for batch in batches], [batch.held for batch in batches], where),
        Params(),
        step="drip",
        title="Compare with the trusted history",
        role=DATA,
        about=(about.subject,),
        depends={
            "batches": [batch.digest for batch in batches],
            "trusted": trusted.digest(),
            "data": about.digest,
        },
        seed=job.seed("drip"),
    )
    document = canonical.decode(job.workshop.artifacts.get(done.outputs[SUSPECTS]), what=SUSPECTS)
    alarms = tuple(
        f"{one['name']}: the trusted rows firmly contradict {one['events']} of {one['rows']} rows since the trusted state, "
        f"against {one['trusted_events']} of {one['trusted_rows']} of its own (with weaker contradictions, by chance "
        f"{one['p']:.1e}; alarm at look {one['look']})"
        for one in document["streams"]
        if one["alarm"]
    )
    return Vetted(tuple(document["suspects"]), alarms)


def read_screening(job: Job, batches: Sequence[Batch], new: Batch | None) -> Vetted:
    """Return the rows on probation that screening flagged, if they are more than the false-alarm rate explains.

    The new batch is judged alone, and all batches together.
    """
    told = poison_report(job)
    learnable = {batch.number: len(batch.train) for batch in batches}
    flagged = [entry for entry in told.get("suspects", []) if int(entry["row"]) >> SHIFT in learnable]
    rate = float(told.get("false_alarms", 0.005))
    alarms, suspects = [], list[Mapping[str, Any]]()
    groups = [("all batches since the trusted state", flagged, sum(learnable.values()))]
    if new is not None:
        own = [entry for entry in flagged if int(entry["row"]) >> SHIFT == new.number]
        groups.insert(0, (f"batch {new.number}", own, learnable[new.number]))
    for name, rows, count in groups:
        if rows and _by_chance(len(rows), count, rate) < _CHANCE:
            alarms.append(f"{name}: {len(rows)} of {count} rows look like poison, more than false alarms explain")
            suspects = rows  # the wider group comes last and holds the narrower
    return Vetted(tuple(suspects), tuple(alarms))


def answer(job: Job, found: Sequence[Vetted]) -> list[Mapping[str, Any]]:
    """Return the rows that the policy sets aside, each once. Raises Refused when the policy is to stop."""
    alarms = [alarm for one in found for alarm in one.alarms]
    if not alarms or job.project.poison == "report":
        return []
    if job.project.poison == "stop":
        raise Refused(
            f'{"; ".join(alarms)}. The project says poison = "stop": nothing was learned from these rows, and what is served '
            "stays. Look at them (drip.json and suspects.json in the evidence). If a person vouches for all rows so far, "
            "`hauberk update --trust` makes it the trusted state."
        )
    by_row: dict[int, Mapping[str, Any]] = {}
    for one in found:
        for entry in one.suspects:
            by_row.setdefault(int(entry["row"]), entry)
    return list(by_row.values())


def _by_chance(count: int, rows: int, rate: float) -> float:
    from scipy.stats import binom

    return float(binom.sf(count - 1, rows, rate))
