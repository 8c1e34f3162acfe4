"""Training: a model is trained plainly, hardened to a declared threat, trained further, or taken as it was brought."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal, Protocol

import numpy as np

from hauberk import training
from hauberk.core.control import seed_of
from hauberk.core.evidence import Measurement
from hauberk.core.progress import Task
from hauberk.data.reading.dataset import Floats, Labels
from hauberk.lifecycle.controls import CONTROLS

ONNX, WEIGHTS = "model.onnx", "weights.safetensors"


@dataclass(frozen=True, slots=True, eq=False)
class Course:
    """Training rows x (n, *spec.shape) float32 with labels y (n,), and the way to a model.

    way: "build" trains what `build` returns; "train" calls the team's `function`; "weights" and "onnx" take the bytes in
    `brought`. start: safetensors weights that training starts from, in place of the way. hardening: None for a plain
    model. checkpoint: a file with the state of a torch training, so that a killed run continues.
    """

    spec: training.Spec
    x: Floats
    y: Labels
    way: Literal["build", "train", "weights", "onnx"]
    build: Callable[..., Any] | None = None
    function: Callable[..., Any] | None = None
    brought: bytes = b""
    start: bytes | None = None
    hardening: training.Hardening | None = None
    options: training.Options | None = None
    device: str = "auto"
    checkpoint: Path | None = None
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Params:
    """How the model is made, as the evidence names it."""

    model: Mapping[str, Any] = field(
        default_factory=dict, metadata={"help": "the way to the model, and its functions"}
    )
    training: Mapping[str, Any] = field(default_factory=dict, metadata={"help": "[training] of the project file"})
    threats: Sequence[str] | None = field(default=None, metadata={"help": "labels of the threats hardened against"})
    budgets: Sequence[str] | None = field(default=None, metadata={"help": "their budgets"})
    start: Mapping[str, Any] | None = field(
        default=None, metadata={"help": "digest of the model that training starts from, and its epochs"}
    )


@CONTROLS.register(
    "training",
    practice="2a",
    threats=("evasion",),
    summary="train plainly, or hardened to the declared threat",
    params=Params,
)
def run(inputs: Course, params: Params, *, rng: np.random.Generator, task: Task) -> Measurement:
    """Make the model and return what its training measured. Outputs: model.onnx, and weights.safetensors for torch.

    Raises InvalidInput for a model, builder or function that cannot be used. Answers and does not answer: as the hardening
    method in `training.adversarial` says.
    """
    del params
    made, measured = _WAYS["start" if inputs.start is not None else inputs.way](inputs, seed_of(rng), task)
    outputs = {ONNX: made.export_onnx()}
    weights = made.weights()
    if weights is not None:
        outputs[WEIGHTS] = weights
    return replace(measured, outputs=outputs, notes=(*inputs.notes, *measured.notes))


class _Made(Protocol):
    def export_onnx(self) -> bytes: ...
    def weights(self) -> bytes | None: ...


def _onnx(course: Course, seed: int, task: Task) -> tuple[_Made, Measurement]:
    del seed, task
    return training.OnnxModel(course.brought, course.spec), Measurement({}, notes=(training.CANNOT_HARDEN,))


def _start(course: Course, seed: int, task: Task) -> tuple[_Made, Measurement]:
    assert course.build is not None
    assert course.start is not None
    begun = training.load_weights(course.build, course.spec, course.start, device=course.device)
    return _tuned(begun, course, seed, task)


def _weights(course: Course, seed: int, task: Task) -> tuple[_Made, Measurement]:
    assert course.build is not None
    model = training.load_weights(course.build, course.spec, course.brought, x=course.x, device=course.device)
    if course.hardening is None:
        return model, Measurement({}, notes=("These weights were brought, not trained here.",))
    return _tuned(model, course, seed, task)


def _tuned(model: Any, course: Course, seed: int, task: Task) -> tuple[_Made, Measurement]:  # noqa: ANN401 - a TorchModel
    return _read(
        training.fine_tune(
            model,
            course.x,
            course.y,
            hardening=course.hardening,
            options=course.options,
            seed=seed,
            task=task,
            checkpoint=course.checkpoint,
        )
    )


def _train(course: Course, seed: int, task: Task) -> tuple[_Made, Measurement]:
    del task  # the team's function has no place for it
    assert course.function is not None
    return _read(
        training.train_own(
            course.function,
            course.spec,
            course.x,
            course.y,
            build=course.build,
            hardening=course.hardening,
            seed=seed,
            device=course.device,
        )
    )


def _build(course: Course, seed: int, task: Task) -> tuple[_Made, Measurement]:
    assert course.build is not None
    return _read(
        training.train(
            course.build,
            course.spec,
            course.x,
            course.y,
            hardening=course.hardening,
            options=course.options,
            seed=seed,
            device=course.device,
            task=task,
            checkpoint=course.checkpoint,
        )
    )


def _read(outcome: training.Outcome) -> tuple[_Made, Measurement]:
    return outcome.model, Measurement(outcome.metrics, series=outcome.series, notes=outcome.notes)


_WAYS: Mapping[str, Callable[[Course, int, Task], tuple[_Made, Measurement]]] = {
    "build": _build,
    "train": _train,
    "weights": _weights,
    "onnx": _onnx,
    "start": _start,
}
