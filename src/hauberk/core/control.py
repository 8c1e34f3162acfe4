"""The shapes of controls and algorithms: what is registered, and how it is called.

| shape | is called as | returns | is run |
| --- | --- | --- | --- |
| `Algorithm` | `run(inputs, params, *, rng, task)` | its family's result | by other code |
| `Check` | `run(inputs, params, *, rng, task)` | a Measurement | before a release, by `records.running` |
| `Guard` | `calibrate(evidence)`, `see(batch, state, *, now)` | a state, an Observation | on each request |

`inputs` is one frozen value of the family. All randomness comes from `rng`, so that a seed repeats the result. No shape signs,
logs, or reads a clock: the runner does, for all of them, so that none can forget to.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Generic, Protocol, TypeAlias, TypeVar

from hauberk.core.evidence import Evidence, Measurement
from hauberk.core.findings import Finding
from hauberk.core.progress import Task

Inputs = TypeVar("Inputs", contravariant=True)  # noqa: PLC0105 - the name is read in every family
Result = TypeVar("Result", covariant=True)  # noqa: PLC0105 - as above
Batch = TypeVar("Batch", contravariant=True)  # noqa: PLC0105 - as above
State = TypeVar("State")


class Algorithm(Protocol[Inputs, Result]):
    """A function of its inputs, its parameters and a generator."""

    def __call__(
        self,
        inputs: Inputs,
        params: Any,  # noqa: ANN401 - the member's own params
        /,
        *,
        rng: Any,  # noqa: ANN401 - numpy.random.Generator; core imports no numpy
        task: Task,
    ) -> Result:
        """Return the result. The inputs are left unchanged.

        inputs: the family's value. params: an instance of the dataclass that was registered with the member.
        rng: a numpy.random.Generator, the only source of randomness. task: takes progress from 0 to 1, and raises when
        the user interrupts. Raises HauberkError alone: InvalidInput for inputs that the member cannot work on.
        """


Check: TypeAlias = Algorithm[Inputs, Measurement]
"""A control that runs before a release: it measures and names findings; the gate decides what follows from them."""


@dataclass(frozen=True, slots=True)
class Observation(Generic[State]):
    """What a guard saw in one batch.

    state: what the next call of `see` is given. refused: indices of the batch's members that must not be served, ascending.
    findings: what a person or a playbook should look at. metrics: name to number, finite, for monitoring.
    """

    state: State
    refused: tuple[int, ...] = ()
    findings: tuple[Finding, ...] = ()
    metrics: Mapping[str, float] = field(default_factory=dict)


def seed_of(rng: Any) -> int:  # noqa: ANN401 - as above
    """Return the seed that a numpy.random.Generator was made from, for libraries that take a number and no generator.

    It does not depend on what was drawn from the generator since, so a function that takes it draws nothing else from `rng`.
    """
    return int(rng.bit_generator.seed_seq.entropy)


class Guard(Protocol[Batch, State]):
    """A control that runs on each request, beside a model that is served.

    Both methods are pure: the same arguments give the same result, nothing is read or written, and no clock is read.
    So a stream can be replayed after an incident, and the state can live in the process or in a store.
    """

    def calibrate(self, evidence: Sequence[Evidence]) -> State:
        """Return the first state, with limits that follow from what was measured before the release.

        Raises InvalidInput, naming the control that is missing, when the evidence does not hold what the guard needs.
        """

    def see(self, batch: Batch, state: State, *, now: datetime) -> Observation[State]:
        """Return what the batch shows, and the state for the next batch.

        batch: the requests of one call, in the order of arrival. now: when they arrived, with a time zone; it never
        decreases from call to call. Cost: it adds to the latency of each request, so O(len(batch)) and no I/O.
        """
