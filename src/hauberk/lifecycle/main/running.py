"""Controls as steps of a job: run once for the same inputs, parameters, seed and code, then signed and logged."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from hauberk.core.control import Check
from hauberk.core.progress import Task
from hauberk.core.registry import Entry
from hauberk.custody.statements import Statement
from hauberk.lifecycle.main.job import Job
from hauberk.records import running
from hauberk.records.running import About, Ran
from hauberk.records.steps import Done, Product


def run_step(  # noqa: PLR0913 - what is run, on what, as which step, and about what
    job: Job,
    control: Entry[Check[Any]],
    inputs: Callable[[], Any],
    params: Any,  # noqa: ANN401 - the control's own params
    *,
    step: str,
    title: str,
    role: str,
    about: About,
    depends: Mapping[str, Any],
    seed: int = 0,
    then: Callable[[Ran], Sequence[Statement]] = lambda _ran: (),
    seal: str | None = None,
) -> Done:
    """Run a control as the step `step` of a job, unless an earlier run did so on the same things.

    inputs: makes the control's inputs; called only when the control has to run, so that a run with nothing to do loads
    no data. depends: JSON values that name everything in the inputs, by digest. then: returns the statements that are
    logged after the evidence. seal: the key to seal the outputs under. The step's outputs are the control's. Raises as
    `records.running.run`.
    """

    def work(task: Task) -> Product:
        ran = running.run(
            job.workshop, control, inputs(), params, role=role, about=about, seed=seed, task=task, seal=seal
        )
        return Product(outputs=ran.outputs, statements=[ran.statement, *then(ran)])

    named = {**depends, "control": control.name, "parameters": running.to_json(params), "seed": seed, "role": role}
    return job.steps.do(step, title, named, work)
