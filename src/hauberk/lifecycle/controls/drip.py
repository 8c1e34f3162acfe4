"""Drip: poison spread thinly over many batches, so that each batch passes on its own but the sequence does not."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from hauberk.core import canonical
from hauberk.core.control import seed_of
from hauberk.core.evidence import Measurement
from hauberk.core.findings import Finding, Kind, Place, Severity
from hauberk.core.progress import Task
from hauberk.data.poison.drip import ALPHA, Drip, Stream, drip
from hauberk.data.reading.dataset import Dataset, Mask
from hauberk.lifecycle.controls import CONTROLS

SUSPECTS = "drip.json"
_SHOWN = 20


@dataclass(frozen=True, slots=True, eq=False)
class Sequel:
    """The trusted rows and the batches that came since, in order.

    held: one (n,) mask for each batch, its held-out rows. where: returns a row's place in words, from its number.
    """

    trusted: Dataset
    batches: Sequence[Dataset]
    held: Sequence[Mask]
    where: Callable[[int], str]


@dataclass(frozen=True, slots=True)
class Params:
    """alpha: above 0 and below 1."""

    alpha: float = field(
        default=ALPHA, metadata={"help": "probability of an alarm over any number of honest batches"}
    )


@CONTROLS.register(
    "drip",
    practice="2b",
    threats=("poisoning",),
    summary="poison spread thinly over many batches, against the trusted history",
    params=Params,
)
def run(inputs: Sequel, params: Params, *, rng: np.random.Generator, task: Task) -> Measurement:
    """Compare all rows since the trusted state with the trusted rows. Outputs: drip.json, with every suspect row.

    Answers and does not answer: as `data.poison.drip`.
    """
    found = drip(inputs.trusted, inputs.batches, alpha=params.alpha, seed=seed_of(rng), task=task)
    listed = _listed(found, inputs)
    metrics = {
        "drip_alarms": float(len(found.alarms)),
        "drip_suspects": float(len(listed)),
        "drip_batches": float(len(inputs.batches)),
    }
    findings = tuple(_finding(stream) for stream in found.alarms[:_SHOWN])
    return Measurement(
        metrics, findings, outputs={SUSPECTS: canonical.encode(found.to_json() | {"suspects": listed})}
    )


def _listed(found: Drip, inputs: Sequel) -> list[dict[str, Any]]:
    classes = inputs.trusted.classes
    listed = []
    for side, held, mask, seen in zip(inputs.batches, inputs.held, found.suspects, found.seen, strict=True):
        for at in np.flatnonzero(mask).tolist():
            row, label, other = int(side.rows[at]), side.y[at], seen[at]
            listed.append(
                {
                    "row": row,
                    "where": inputs.where(row),
                    "held": bool(held[at]),
                    "detector": "drip",
                    "reason": f"labelled {classes[label]!r}, and the trusted rows make it {classes[other]!r}",
                    "suggested": classes[other],
                }
            )
    return listed


def _finding(stream: Stream) -> Finding:
    return Finding(
        f"{stream.name}: {stream.events} of {stream.rows} rows since the trusted state contradict it; of its own rows, "
        f"{stream.trusted_events} of {stream.trusted_rows} do",
        Place(Kind.ROWS, stream.name),
        Severity.HIGH,
        "Look at the rows in drip.json and at who sent them.",
        threat="poisoning",
        value=stream.p,
        limit=stream.limit,
        unit="probability by chance",
    )
