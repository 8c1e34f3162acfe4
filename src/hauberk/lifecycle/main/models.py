"""Train the reference and the hardened model, or take the one that was brought, and prove the exported form.

A trained model leaves its step as files (ONNX, and safetensors weights for torch) and comes back from them, so a
run that continues works on the very bytes that an earlier run trained.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from hauberk import training
from hauberk.attacks.budget import Budget, budget_of
from hauberk.core import canonical
from hauberk.core.errors import InvalidInput
from hauberk.core.evidence import Measurement, Subject
from hauberk.core.progress import Task
from hauberk.custody import statements
from hauberk.custody.statements import Statement
from hauberk.lifecycle.main import lineage
from hauberk.lifecycle.main.job import HARDENED, PLAIN, About, Job
from hauberk.models.port import Model
from hauberk.project import Training
from hauberk.records.steps import Product
from hauberk.records.workshop import versions

ONNX, WEIGHTS = "model.onnx", "weights.safetensors"


@dataclass(frozen=True, slots=True)
class Trained:
    """A model of this run by its role, as the files that its step made."""

    role: str
    outputs: Mapping[str, str]

    @property
    def digest(self) -> str:
        """SHA-256 of the ONNX file: the model's identity in evidence, gate and release."""
        return self.outputs[ONNX]

    def subjects(self, about: About) -> tuple[Subject, ...]:
        """Return what a measurement of this model is about."""
        return (*(Subject(name, digest) for name, digest in self.outputs.items()), about.subject)


def train_models(
    job: Job, about: About, *, start: Trained | None = None, plain: bool = True, epochs: int | None = None
) -> list[Trained]:
    """Return the plain model and, where there is an evasion threat and a way to harden, the hardened one.

    start: the last of them goes on from the weights of this model, for `epochs`. plain: whether the plain model is made also
    where a hardened one is.
    """
    declared = job.project.training
    notes: tuple[str, ...] = ()
    warm = None if start is None else _Warm(start, epochs)
    if not job.project.evasions or job.project.model.way == "onnx":
        return [_trained(job, about, PLAIN, None, declared, warm=warm)]
    budgets = tuple(budget_of(threat, about.columns) for threat in job.project.evasions)
    if declared.minutes is not None:
        declared, notes = _planned(job, about, budgets)
    hardening = training.Hardening(
        budgets, declared.method, declared.hardening, awp=declared.awp, patience=declared.patience
    )
    models = [_trained(job, about, PLAIN, None, declared)] if plain else []
    return [*models, _trained(job, about, HARDENED, hardening, declared, warm=warm, notes=notes)]


def _planned(job: Job, about: About, budgets: tuple[Budget, ...]) -> tuple[Training, tuple[str, ...]]:
    """Return the declared training with the method, epochs and patience that fit its minutes, and why these.

    A step of its own: what is measured differs from run to run, and a run that goes on must not plan anew.
    """
    declared, source = job.project.training, job.project.model
    assert declared.minutes is not None

    def work(_task: Task) -> Product:
        found = training.plan(
            training.load_callable(source.build, job.project.folder),
            _spec(about),
            job.split.train.x,
            job.split.train.y,
            hardening=training.Hardening(
                budgets, declared.method, declared.hardening, awp=declared.awp, patience=declared.patience
            ),
            minutes=declared.minutes or 0.0,
            options=_options(declared),
            seed=job.seed("training"),
            device=declared.device,
        )
        values = {"method": found.method, "epochs": found.epochs, "patience": found.patience}
        return Product(values={**values, "params": dict(found.params), "notes": list(found.notes)})

    inputs = {
        "data": about.digest,
        "code": job.code,
        "training": asdict(declared),
        "build": source.build,
        "budgets": [repr(budget) for budget in budgets],
    }
    found = job.steps.do("plan", f"Plan {declared.minutes:g} minutes of training", inputs, work).values
    chosen = replace(
        declared,
        method=str(found["method"]),
        epochs=found["epochs"],
        patience=found["patience"],
        hardening=dict(found["params"]),
        minutes=None,
    )
    return chosen, tuple(found["notes"])


def bring_back(job: Job, about: About, model: Trained) -> Model:
    """Return a model of this run from its artifacts: with gradients when it has weights, else as a black box."""
    source, spec = job.project.model, _spec(about)
    if WEIGHTS in model.outputs:
        build = training.load_callable(source.build, job.project.folder)
        return training.load_weights(
            build, spec, job.workshop.artifacts.get(model.outputs[WEIGHTS]), device=job.project.training.device
        )
    return training.OnnxModel(job.workshop.artifacts.get(model.digest), spec)


def prove_export(job: Job, about: About, model: Trained) -> None:
    """Measure on every test row that the ONNX file, which is served, predicts as the model that was attacked."""
    parameters = {"runtime": "onnxruntime", "rows": about.test}

    def work(_task: Task) -> Product:
        started = job.workshop.now()
        served = training.OnnxModel(job.workshop.artifacts.get(model.digest), _spec(about))
        x, y = job.split.test.x, job.split.test.y
        theirs, ours = served.scores(x), bring_back(job, about, model).scores(x)
        same = theirs.argmax(axis=1) == ours.argmax(axis=1)
        metrics = {
            "export_agreement": float(same.mean()),
            "export_difference": float(np.abs(theirs - ours).max()),
            "clean_accuracy": float((theirs.argmax(axis=1) == y).mean()),
        }
        return Product(
            statements=[
                job.workshop.evidence(
                    Measurement(metrics),
                    control="export",
                    practice="",
                    role=model.role,
                    subjects=model.subjects(about),
                    parameters=parameters,
                    seed=0,
                    started=started,
                )
            ]
        )

    inputs = {"model": dict(model.outputs), "data": about.digest}
    job.steps.do("export", "Prove the exported model", inputs, work)


@dataclass(frozen=True, slots=True)
class _Warm:
    """A model that training goes on from."""

    model: Trained
    epochs: int | None


def _trained(  # noqa: PLR0913 - what is trained, how, and what is told with it
    job: Job,
    about: About,
    role: str,
    hardening: training.Hardening | None,
    declared: Training,
    *,
    warm: _Warm | None = None,
    notes: tuple[str, ...] = (),
) -> Trained:
    source = job.project.model
    seed = job.seed("training")
    parameters: dict[str, Any] = {
        "model": {"way": source.way, "build": source.build, "train": source.train},
        "training": {name: value for name, value in asdict(declared).items() if hardening or name in _SHARED},
    }
    if hardening is not None:
        parameters["threats"] = [threat.label for threat in job.project.threats]
        parameters["budgets"] = [repr(budget) for budget in hardening.budgets]
    brought = _brought(job)
    if warm is not None:
        parameters["start"] = {"from": warm.model.digest, "epochs": warm.epochs}
        brought = (*brought, Subject("champion weights", warm.model.outputs[WEIGHTS]))

    def work(task: Task) -> Product:
        started = job.workshop.now()
        made, measured = _make(job, about, hardening, declared, warm, seed, task, checkpoint)
        measured = replace(measured, notes=(*notes, *measured.notes))
        outputs = {ONNX: job.workshop.artifacts.put(made.export_onnx())}
        weights = made.weights()
        if weights is not None:
            outputs[WEIGHTS] = job.workshop.artifacts.put(weights)
        trained = Trained(role, outputs)
        evidence = job.workshop.evidence(
            measured,
            control="training",
            practice="2a" if hardening else "",
            role=role,
            subjects=trained.subjects(about),
            parameters=parameters,
            seed=seed,
            started=started,
        )
        told = [evidence, _provenance(job, about, trained, evidence, brought)]
        if (
            warm is not None or not brought or hardening is not None
        ):  # a model that was brought learned from other rows, elsewhere
            files = tuple(Subject(name, digest) for name, digest in outputs.items())
            told += lineage.used(job, about, role=role, outputs=files)
        return Product(outputs=outputs, statements=told)

    inputs = {"data": about.digest, "code": job.code, "parameters": parameters, "seed": seed}
    inputs["brought"] = [[subject.name, subject.sha256] for subject in brought]
    unfinished = job.workshop.folder / "unfinished"
    checkpoint = unfinished / f"{role}-{canonical.digest(inputs)[:32]}.safetensors"
    doing = "Train" if source.way in ("build", "train") else "Take"
    title = f"{doing} the plain model" if hardening is None else "Harden the model to the declared threat"
    done = job.steps.do(f"train/{role}", title, inputs, work)
    for left in unfinished.glob(f"{role}-*"):  # of this training, and of those that were given up
        job.disk.remove(left)
    return Trained(role, done.outputs)


_SHARED = (
    "epochs",
    "batch",
    "learning_rate",
    "weight_decay",
    "optimizer",
    "augment",
    "precision",
    "average",
    "device",
)


class _Made(Protocol):
    def export_onnx(self) -> bytes: ...
    def weights(self) -> bytes | None: ...


def _make(  # noqa: PLR0913, PLR0917 - as `_trained`
    job: Job,
    about: About,
    hardening: training.Hardening | None,
    declared: Training,
    warm: _Warm | None,
    seed: int,
    task: Task,
    checkpoint: Path,
) -> tuple[_Made, Measurement]:
    """Train, fine-tune, call the team's function or read the brought model: the four ways to a model."""
    source, spec = job.project.model, _spec(about)
    train = job.split.train
    if source.way == "onnx":
        assert source.onnx is not None
        return training.OnnxModel(_read(source.onnx), spec), Measurement({}, notes=(training.CANNOT_HARDEN,))
    build = training.load_callable(source.build, job.project.folder) if source.build else None
    options = _options(declared)
    if warm is not None:
        assert build is not None
        weights = job.workshop.artifacts.get(warm.model.outputs[WEIGHTS])
        begun = training.load_weights(build, spec, weights, device=declared.device)
        outcome = training.fine_tune(
            begun,
            train.x,
            train.y,
            hardening=hardening,
            options=replace(options, epochs=warm.epochs),
            seed=seed,
            task=task,
            checkpoint=checkpoint,
        )
    elif source.way == "weights":
        assert build is not None
        assert source.weights is not None
        model = training.load_weights(build, spec, _read(source.weights), x=train.x, device=declared.device)
        if hardening is None:
            return model, Measurement({}, notes=("These weights were brought, not trained here.",))
        outcome = training.fine_tune(
            model,
            train.x,
            train.y,
            hardening=hardening,
            options=options,
            seed=seed,
            task=task,
            checkpoint=checkpoint,
        )
    elif source.way == "train":
        function = training.load_callable(source.train, job.project.folder)
        outcome = training.train_own(
            function, spec, train.x, train.y, build=build, hardening=hardening, seed=seed, device=declared.device
        )
    else:
        assert build is not None
        outcome = training.train(
            build,
            spec,
            train.x,
            train.y,
            hardening=hardening,
            options=options,
            seed=seed,
            device=declared.device,
            task=task,
            checkpoint=checkpoint,
        )
    return outcome.model, Measurement(outcome.metrics, series=outcome.series, notes=outcome.notes)


def _options(declared: Training) -> training.Options:
    return training.Options(
        declared.epochs,
        declared.batch,
        declared.learning_rate,
        declared.weight_decay,
        declared.optimizer,
        declared.augment,
        declared.precision,
        declared.average,
    )


def _provenance(
    job: Job, about: About, trained: Trained, evidence: Statement, brought: tuple[Subject, ...]
) -> Statement:
    """Return the SLSA provenance of the model's files: what was asked for, and every input by digest."""
    told = evidence.predicate
    predicate = statements.provenance(
        build_type="https://hauberk.dev/training/v1",
        builder="https://hauberk.dev/protect",
        external={"project": job.project.name, "role": trained.role, **told["parameters"]},
        internal={"seed": told["seed"]},
        dependencies=(about.subject, Subject("project code", job.code), *brought),
        invocation=canonical.digest([trained.digest, told["started"]]),
        started=told["started"],
        finished=told["finished"],
        versions=versions(),
    )
    return Statement(
        tuple(Subject(name, digest) for name, digest in trained.outputs.items()), statements.PROVENANCE, predicate
    )


def _brought(job: Job) -> tuple[Subject, ...]:
    source = job.project.model
    paths = [path for path in (source.weights, source.onnx) if path is not None]
    return tuple(Subject(path.name, canonical.sha256(_read(path))) for path in paths)


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise InvalidInput(f"cannot read the model file {path}: {error.strerror}.") from error


def _spec(about: About) -> training.Spec:
    return training.Spec(about.kind, about.shape, len(about.classes), about.columns)
