"""Train the plain and the hardened model, or take one that was brought, and prove the exported form.

A step stores its model as files (ONNX, and safetensors weights for torch), and later steps load these files. So a run that
continues works on the same bytes that an earlier run trained.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from hauberk import training
from hauberk.attacks.budget import Budget, budget_of
from hauberk.core import canonical
from hauberk.core.errors import InvalidInput
from hauberk.core.evidence import Subject
from hauberk.core.progress import Task
from hauberk.custody import statements
from hauberk.custody.statements import Statement
from hauberk.lifecycle.controls import CONTROLS, export
from hauberk.lifecycle.controls.training import ONNX, WEIGHTS, Course
from hauberk.lifecycle.controls.training import Params as TrainingParams
from hauberk.lifecycle.main import lineage
from hauberk.lifecycle.main.job import HARDENED, PLAIN, About, Job
from hauberk.lifecycle.main.running import run_step
from hauberk.models.port import Model
from hauberk.project import Training
from hauberk.records.running import Ran, to_json
from hauberk.records.steps import Product
from hauberk.records.workshop import MODELS, versions


@dataclass(frozen=True, slots=True)
class Trained:
    """A model of this run: its role, and its files by name and digest."""

    role: str
    outputs: Mapping[str, str]

    @property
    def digest(self) -> str:
        """SHA-256 of the ONNX file: the model's identity in evidence, gate and release."""
        return self.outputs[ONNX]

    def subjects(self, about: About) -> tuple[Subject, ...]:
        """Return the subjects of a measurement of this model: its files and the data set."""
        return (*(Subject(name, digest) for name, digest in self.outputs.items()), about.subject)


def train_models(
    job: Job, about: About, *, start: Trained | None = None, plain: bool = True, epochs: int | None = None
) -> list[Trained]:
    """Return the plain model and, if an evasion threat is declared and the model can be hardened, the hardened one.

    start: training of the last model starts from the weights of this one, for `epochs`. plain: whether the plain model is
    trained beside a hardened one.
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
    """Return the declared training with the method, epochs and patience that fit its minutes, and the reasons.

    It is a step of its own: its timings differ from run to run, and a run that continues must not plan again.
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
    """Load a model of this run from its artifacts: with gradients when it has weights, else as a black box."""
    source, spec = job.project.model, _spec(about)
    if WEIGHTS in model.outputs:
        build = training.load_callable(source.build, job.project.folder)
        return training.load_weights(
            build, spec, job.workshop.artifacts.get(model.outputs[WEIGHTS]), device=job.project.training.device
        )
    return training.OnnxModel(job.workshop.artifacts.get(model.digest), spec)


def prove_export(job: Job, about: About, model: Trained) -> None:
    """Measure on every test row that the ONNX file, which is served, predicts as the model that was attacked."""

    def inputs() -> export.Exported:
        served = training.OnnxModel(job.workshop.artifacts.get(model.digest), _spec(about))
        return export.Exported(served, bring_back(job, about, model), job.split.test.x, job.split.test.y)

    run_step(
        job,
        CONTROLS["export"],
        inputs,
        export.Params(rows=about.test),
        step="export",
        title="Prove the exported model",
        role=model.role,
        about=model.subjects(about),
        depends={"model": dict(model.outputs), "data": about.digest},
    )


@dataclass(frozen=True, slots=True)
class _Warm:
    """The model that training starts from."""

    model: Trained
    epochs: int | None


def _trained(  # noqa: PLR0913 - what is trained, how, and with which notes
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
    key_of_models = MODELS if job.project.release.seal else None
    brought = _brought(job)
    if warm is not None:
        brought = (*brought, Subject("champion weights", warm.model.outputs[WEIGHTS]))
    params = _params(job, hardening, declared, warm)
    depends = {
        "data": about.digest,
        "code": job.code,
        "brought": [[subject.name, subject.sha256] for subject in brought],
    }
    unfinished = job.workshop.folder / "unfinished"
    key = canonical.digest({**depends, "parameters": to_json(params), "seed": seed})
    checkpoint = unfinished / f"{role}-{key[:32]}.safetensors"

    def inputs() -> Course:
        return replace(_course(job, about, hardening, declared, warm), checkpoint=checkpoint, notes=notes)

    def then(ran: Ran) -> list[Statement]:
        trained = Trained(role, ran.outputs)
        statements = [_provenance(job, about, trained, ran.statement, brought)]
        # A model that was brought and is taken as it is learned from other rows, elsewhere.
        if warm is not None or not brought or hardening is not None:
            files = tuple(Subject(name, digest) for name, digest in ran.outputs.items())
            statements += lineage.used(job, about, role=role, outputs=files)
        return statements

    doing = "Train" if source.way in ("build", "train") else "Take"
    done = run_step(
        job,
        CONTROLS["training"],
        inputs,
        params,
        step=f"train/{role}",
        title=f"{doing} the plain model" if hardening is None else "Harden the model to the declared threat",
        role=role,
        about=lambda outputs: Trained(role, outputs).subjects(about),
        depends=depends,
        seed=seed,
        then=then,
        seal=key_of_models,
    )
    if key_of_models is not None:  # an earlier run may have left them in the clear, before sealing was declared
        for digest in done.outputs.values():
            job.workshop.artifacts.seal(digest, key=key_of_models)
    for left in unfinished.glob(f"{role}-*"):  # of this training, and of earlier ones that were given up
        job.disk.remove(left)
    return Trained(role, done.outputs)


def _params(
    job: Job, hardening: training.Hardening | None, declared: Training, warm: _Warm | None
) -> TrainingParams:
    source = job.project.model
    return TrainingParams(
        model={"way": source.way, "build": source.build, "train": source.train},
        training={name: value for name, value in asdict(declared).items() if hardening or name in _SHARED},
        threats=None if hardening is None else [threat.label for threat in job.project.threats],
        budgets=None if hardening is None else [repr(budget) for budget in hardening.budgets],
        start=None if warm is None else {"from": warm.model.digest, "epochs": warm.epochs},
    )


def _course(
    job: Job, about: About, hardening: training.Hardening | None, declared: Training, warm: _Warm | None
) -> Course:
    """Return what the training control works on, with the project's functions loaded and its files read."""
    source, folder = job.project.model, job.project.folder
    options = _options(declared)
    file = source.onnx if source.way == "onnx" else source.weights if source.way == "weights" else None
    return Course(
        _spec(about),
        job.split.train.x,
        job.split.train.y,
        source.way,
        build=training.load_callable(source.build, folder) if source.build else None,
        function=training.load_callable(source.train, folder) if source.way == "train" and warm is None else None,
        brought=b"" if file is None else _read(file),
        start=None if warm is None else job.workshop.artifacts.get(warm.model.outputs[WEIGHTS]),
        hardening=hardening,
        options=options if warm is None else replace(options, epochs=warm.epochs),
        device=declared.device,
    )


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
    """Return the SLSA provenance of the model's files: the parameters, and every input by digest."""
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
