"""Comparison: challenger and champion on the same rows; is the challenger worse anywhere, beyond chance?

Compared are accuracy, accuracy under each declared threat, and the gaps between declared groups; on the rows held out of the
trusted history and, separately, on the current ones. The challenger is also compared with the trusted release, so that small
losses, each within its interval, cannot add up over many updates. The error is shared: the probability of rejecting an
equally good challenger is at most 1 - confidence over all comparisons (Bonferroni).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from hauberk.core import canonical
from hauberk.core.control import seed_of
from hauberk.core.evidence import Measurement
from hauberk.core.findings import Finding, Kind, Place, Severity
from hauberk.core.progress import Task
from hauberk.data.reading.dataset import Labels, Mask
from hauberk.lifecycle.comparing.gaps import FEWEST, gap_change
from hauberk.lifecycle.comparing.paired import Compared, paired
from hauberk.lifecycle.controls import CONTROLS

DOCUMENT = "comparison.json"
HELD, CURRENT, SINCE = "held out", "current", "held out, against the trusted release"


@dataclass(frozen=True, slots=True, eq=False)
class Answers:
    """One model on the n test rows. predicted: (n,). robust: threat's label to (m,), for each attacked row."""

    predicted: Labels
    robust: Mapping[str, Mask]


@dataclass(frozen=True, slots=True, eq=False)
class Rivals:
    """The models' answers on the same n test rows, and the rows.

    anchor: the trusted release's answers, None where the champion is the trusted release. y: (n,) labels. current: (n,) rows
    from batches since the trusted state. attacked: (m,) indices of the attacked rows. groups: name to (n,) group of each
    row. favoured: the index of the favourable class, None without one.
    """

    challenger: Answers
    champion: Answers
    anchor: Answers | None
    y: Labels
    current: Mask
    attacked: Labels
    groups: Mapping[str, Labels]
    favoured: int | None = None


@dataclass(frozen=True, slots=True)
class Params:
    """confidence: in (0, 1), over all comparisons together."""

    champion: str = field(default="", metadata={"help": "digest of the champion's model"})
    trusted: str = field(default="", metadata={"help": "digest of the trusted release's model"})
    confidence: float = field(
        default=0.95, metadata={"help": "1 - probability of rejecting an equally good challenger"}
    )
    groups: Sequence[str] = field(default=(), metadata={"help": "columns whose groups are compared"})
    favourable: str = field(default="", metadata={"help": "the class that people want to get"})
    method: str = field(
        default="exact McNemar test, Tango interval; gaps: paired bootstrap; shared by Bonferroni",
        metadata={"help": "the tests and intervals"},
    )


@dataclass(frozen=True, slots=True, eq=False)
class _Pair:
    """One comparison that is to be made. groups: (k,) where it is a gap between groups."""

    metric: str
    rows: str
    champion: Mask
    challenger: Mask
    groups: Labels | None = None


@CONTROLS.register(
    "comparison",
    practice="2b",
    threats=("evasion", "poisoning"),
    summary="challenger against champion on the same rows, with exact tests",
    params=Params,
)
def run(inputs: Rivals, params: Params, *, rng: np.random.Generator, task: Task) -> Measurement:
    """Compare and count regressions. Outputs: comparison.json, with every comparison; `read` reads it.

    Answers: an update that makes the model worse, for all or for a group. Does not answer: losses smaller than the rows can
    show; `largest_unexcluded_loss` says how large these may be.
    """
    pairs = list(_pairs(inputs))
    confidence = 1 - (1 - params.confidence) / max(1, len(pairs))
    made: list[Compared] = []
    left_out: list[str] = []
    for number, one in enumerate(pairs):
        task.update(number / len(pairs), text=one.metric)
        compared = _compared(one, confidence, np.random.default_rng([seed_of(rng), number]))
        if compared is None:
            left_out.append(f"{one.metric} on {one.rows}")
        else:
            made.append(compared)
    return _measured(made, left_out)


def read(document: bytes) -> tuple[Compared, ...]:
    """Return the comparisons of a comparison.json. Raises InvalidInput for a damaged one."""
    told = canonical.decode(document, what=DOCUMENT)
    names = set(Compared.__dataclass_fields__)
    return tuple(Compared(**{k: v for k, v in one.items() if k in names}) for one in told["comparisons"])


def _compared(one: _Pair, confidence: float, rng: np.random.Generator) -> Compared | None:
    if one.groups is None:
        return paired(one.metric, one.rows, one.champion, one.challenger, confidence=confidence)
    return gap_change(
        one.metric, one.rows, one.groups, one.champion, one.challenger, confidence=confidence, rng=rng
    )


def _pairs(inputs: Rivals) -> Iterator[_Pair]:
    held = ~inputs.current
    yield from _pairs_on(inputs, inputs.champion, held, HELD)
    if inputs.current.any():
        yield from _pairs_on(inputs, inputs.champion, inputs.current, CURRENT)
    if inputs.anchor is not None:
        yield from _pairs_on(inputs, inputs.anchor, held, SINCE)


def _pairs_on(inputs: Rivals, champion: Answers, rows: Mask, name: str) -> Iterator[_Pair]:
    challenger = inputs.challenger
    old, new = champion.predicted == inputs.y, challenger.predicted == inputs.y
    yield _Pair("accuracy", name, old[rows], new[rows])
    attacked = rows[inputs.attacked]
    for label, robust in challenger.robust.items():
        if attacked.any():
            yield _Pair(f"robust accuracy: {label}", name, champion.robust[label][attacked], robust[attacked])
    for group, member in inputs.groups.items():
        yield _Pair(f"accuracy gap: {group}", name, old[rows], new[rows], member[rows])
        if inputs.favoured is not None:
            yield _Pair(
                f"selection gap: {group}",
                name,
                champion.predicted[rows] == inputs.favoured,
                challenger.predicted[rows] == inputs.favoured,
                member[rows],
            )


def _measured(compared: Sequence[Compared], left_out: Sequence[str]) -> Measurement:
    worse = [one for one in compared if one.regressed]
    metrics: dict[str, Any] = {
        "regressions": float(len(worse)),
        "improvements": float(sum(one.improved for one in compared)),
        "comparisons": float(len(compared)),
        "comparisons_left_out": float(len(left_out)),
        "largest_unexcluded_loss": max((one.unexcluded for one in compared), default=0.0),
    }
    findings = tuple(
        Finding(
            f"the challenger is worse: {one}",
            Place(Kind.ROWS, one.rows),
            Severity.HIGH,
            "The champion stays. Look at what the new rows changed, or train from scratch with --cold.",
            value=one.difference,
            limit=0.0,
        )
        for one in worse
    )
    document = canonical.encode({"version": 1, "comparisons": [one.to_json() for one in compared]})
    notes = tuple(f"{name} was not compared: fewer than two groups have {FEWEST} rows." for name in left_out)
    return Measurement(metrics, findings, outputs={DOCUMENT: document}, notes=notes)
