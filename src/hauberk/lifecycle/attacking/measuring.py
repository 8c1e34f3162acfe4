"""Measuring: run the campaign of one aim on one target, and attest the result."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from hauberk.attacks.campaign import Campaign, Chosen
from hauberk.core.evidence import Measurement, Subject
from hauberk.core.progress import Task
from hauberk.lifecycle.attacking.aims import Aim
from hauberk.lifecycle.attacking.targets import Rows, Target
from hauberk.lifecycle.controls import CONTROLS
from hauberk.lifecycle.controls.attack import Attacked, Besieged, Params
from hauberk.records import running
from hauberk.records.running import Measured
from hauberk.records.workshop import Logged, Workshop, rfc3339, utc_now

CONTROL = "attack"


@dataclass(frozen=True, slots=True)
class Outcome:
    """A campaign, measured but not yet attested. subjects: the target's files and the rows."""

    campaign: Campaign
    measured: Measured
    subjects: tuple[Subject, ...]

    @property
    def measurement(self) -> Measurement:
        """The numbers, findings, curves and notes."""
        return self.measured.measurement

    @property
    def parameters(self) -> Mapping[str, Any]:
        """The parameters of the control, and `partial`: why the campaign ended early, "" when it did not."""
        return {**self.measured.parameters, **self.measurement.details}


def measure(  # noqa: PLR0913 - the target, the rows, and how far to go
    target: Target,
    rows: Rows,
    aim: Aim,
    *,
    attacks: Sequence[Chosen],
    seed: int,
    most: int | None = None,
    precision: float | None = None,
    confidence: float = 0.95,
    curve: bool = True,
    task: Task | None = None,
) -> Outcome:
    """Attack at most `most` rows, drawn at random, and return the result; nothing is written.

    curve: measure accuracy at other radii too, by the first attack on the first rows. Raises as `attacks.campaign`; an
    interrupt, and a service that goes away, give a partial outcome.
    """
    rows_of = rows.attacked
    measured = running.measure(
        CONTROLS[CONTROL],
        Besieged(target.model, rows_of, aim.budget, aim.radius, attacks, tuple(target.notes)),
        Params(
            threat=dict(aim.described),
            target={"name": target.name, "form": target.form},
            attacks=[chosen.name for chosen in attacks],
            rows=len(rows_of) if most is None else min(most, len(rows_of)),
            precision=precision,
            confidence=confidence,
            curve=curve,
        ),
        role="attacked",
        seed=seed,
        now=lambda: rfc3339(utc_now()),
        task=task,
    )
    found = measured.measurement
    assert isinstance(found, Attacked)
    return Outcome(found.campaign, measured, (*target.subjects, Subject("dataset", rows_of.digest())))


def attest(workshop: Workshop, outcome: Outcome) -> Logged:
    """Sign the outcome and log it."""
    return workshop.attest(running.state(workshop, outcome.measured, outcome.subjects).statement)
