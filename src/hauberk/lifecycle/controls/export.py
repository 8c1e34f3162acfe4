"""Export: does the file that is served predict as the model that was attacked?"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from hauberk.core.evidence import Measurement
from hauberk.core.progress import Task
from hauberk.data.reading.dataset import Floats, Labels
from hauberk.lifecycle.controls import CONTROLS
from hauberk.models.port import Model


@dataclass(frozen=True, slots=True, eq=False)
class Exported:
    """The served form of a model and the form that was attacked; rows x (n, *shape) with labels y (n,), n >= 1."""

    served: Model
    attacked: Model
    x: Floats
    y: Labels


@dataclass(frozen=True, slots=True)
class Params:
    """What is compared, as the evidence names it."""

    runtime: str = field(default="onnxruntime", metadata={"help": "what computes the served form"})
    rows: int = field(default=0, metadata={"help": "test rows, all of which are compared"})


@CONTROLS.register(
    "export",
    practice="2a",
    threats=("evasion",),
    summary="the exported file predicts as the model that was attacked",
    params=Params,
)
def run(inputs: Exported, params: Params, *, rng: np.random.Generator, task: Task) -> Measurement:
    """Measure agreement of the predictions and the largest difference of the scores.

    Answers: an exporter that changes the model, so that what was measured is not what is served. Does not answer: inputs far
    from the test rows, on which the two forms may differ.
    """
    del params, rng
    theirs = inputs.served.scores(inputs.x)
    task.update(0.5, text="the model that was attacked")
    ours = inputs.attacked.scores(inputs.x)
    same = theirs.argmax(axis=1) == ours.argmax(axis=1)
    return Measurement(
        {
            "export_agreement": float(same.mean()),
            "export_difference": float(np.abs(theirs - ours).max()),
            "clean_accuracy": float((theirs.argmax(axis=1) == inputs.y).mean()),
        }
    )
