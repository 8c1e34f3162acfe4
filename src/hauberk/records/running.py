"""The runner: calls a control and makes its evidence. Nothing else in Hauberk makes evidence.

A control is a registered function of inputs, parameters and a generator (`core.control`). It measures; this module adds what a
control must not decide about itself: its registered name and practice, the role of what was measured, the seed, the
parameters, the versions, the times, and who ran it. `measure` needs no workshop, so that a result is in hand before anything
is written; `state` turns it into a statement for a workshop to sign; `run` does both.

Refuses a role that `core.practices` does not list, and parameters that are not the control's own.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import starmap
from typing import Any, TypeAlias

from hauberk.core.control import Check
from hauberk.core.errors import InvalidInput
from hauberk.core.evidence import Evidence, Measurement, Subject
from hauberk.core.practices import check_practice, check_role
from hauberk.core.progress import Quiet, Task
from hauberk.core.registry import Entry
from hauberk.custody import statements
from hauberk.custody.statements import Statement
from hauberk.records.workshop import Workshop, versions

About: TypeAlias = Sequence[Subject] | Callable[[Mapping[str, str]], Sequence[Subject]]
"""What was measured: its artifacts, or a function from the outputs' digests by name, where the control makes the artifact."""


@dataclass(frozen=True, slots=True)
class Measured:
    """A measurement with its circumstances, not yet a statement. started, finished: RFC 3339."""

    control: str
    practice: str
    role: str
    parameters: Mapping[str, Any]
    seed: int
    started: str
    finished: str
    measurement: Measurement


@dataclass(frozen=True, slots=True)
class Ran:
    """A control's evidence. outputs: name to SHA-256 of each artifact that was kept."""

    statement: Statement
    outputs: Mapping[str, str]


def measure(  # noqa: PLR0913 - the circumstances of a measurement, each of its own kind
    control: Entry[Check[Any]],
    inputs: Any,  # noqa: ANN401 - the control's own inputs
    params: Any,  # noqa: ANN401 - the control's own params
    *,
    role: str,
    seed: int,
    now: Callable[[], str],
    task: Task | None = None,
) -> Measured:
    """Run a control and return its measurement with the circumstances.

    params: an instance of the dataclass that was registered with the control. role: a name in `core.practices.ROLES`.
    seed: of the generator that the control draws from, 0 or more. now: returns the time as RFC 3339. Raises InvalidInput for a
    role, practice or params that do not fit, before the control runs, and what the control raises.
    """
    import numpy as np

    check_role(role)
    check_practice(control.practice)
    if not isinstance(params, control.params):
        raise InvalidInput(
            f"{control.name} takes {control.params.__module__}.{control.params.__qualname__}, found "
            f"{type(params).__qualname__}. Make it with the registry entry's `make`."
        )
    started = now()
    measurement = control.run(inputs, params, rng=np.random.default_rng(seed), task=task or Quiet())
    return Measured(control.name, control.practice, role, to_json(params), seed, started, now(), measurement)


def state(workshop: Workshop, measured: Measured, about: About, *, seal: str | None = None) -> Ran:
    """Keep the outputs as artifacts and return the statement. Signs and logs nothing: `Workshop.attest` does.

    seal: the key to seal the outputs under in the store; their digests are those of the plaintext either way.
    Raises InvalidInput for a subject without a digest and two of one name. Numbers that JSON cannot hold are refused when
    the statement is signed.
    """
    found = measured.measurement
    outputs = {name: workshop.artifacts.put(data, key=seal) for name, data in found.outputs.items()}
    outputs |= {name: workshop.artifacts.put_file(path, key=seal) for name, path in found.files.items()}
    subjects = tuple(about(outputs) if callable(about) else about)
    evidence = Evidence(
        control=measured.control,
        practice=measured.practice,
        role=measured.role,
        subjects=subjects,
        parameters=measured.parameters,
        seed=measured.seed,
        versions=versions(),
        started=measured.started,
        finished=measured.finished,
        by=workshop.by,
        metrics=found.metrics,
        findings=found.findings,
        series=found.series,
        outputs=tuple(kept for kept in starmap(Subject, outputs.items()) if kept not in subjects),
        details=found.details,
        notes=found.notes,
    )
    return Ran(Statement(subjects, statements.EVIDENCE, evidence.to_json()), outputs)


def run(  # noqa: PLR0913 - as `measure`
    workshop: Workshop,
    control: Entry[Check[Any]],
    inputs: Any,  # noqa: ANN401 - as `measure`
    params: Any,  # noqa: ANN401 - as `measure`
    *,
    role: str,
    about: About,
    seed: int,
    task: Task | None = None,
    seal: str | None = None,
) -> Ran:
    """Run a control and return its evidence; see `measure` and `state`."""
    measured = measure(control, inputs, params, role=role, seed=seed, now=workshop.now, task=task)
    return state(workshop, measured, about, seal=seal)


def to_json(params: Any) -> dict[str, Any]:  # noqa: ANN401 - any params dataclass
    """Return the JSON form of a control's params, as evidence and a step's key carry it; fields that are None are left out."""
    return {name: value for name, value in dataclasses.asdict(params).items() if value is not None}
