"""Targets: open the rows to attack with, and the model to attack, loading nothing that could run code by itself.

A release is verified before a byte of it is used, and its model gets rows only where they mean what its training rows
meant. Weights come as safetensors with the builder that the user names, models as ONNX, estimators from a builder that
is fitted here, services by the Open Inference Protocol. A pickle is opened nowhere.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import numpy as np

from hauberk import training
from hauberk.core import canonical
from hauberk.core.errors import InvalidInput, NotProven
from hauberk.core.evidence import Subject
from hauberk.core.progress import Task
from hauberk.data.reading import tables
from hauberk.data.reading.dataset import Dataset
from hauberk.data.reading.loading import DataSpec, load
from hauberk.data.reading.rowdigests import schema_of
from hauberk.lifecycle.attacking.endpoint import Access, Endpoint
from hauberk.models.port import Model
from hauberk.release import bundle, verification
from hauberk.training import building

if TYPE_CHECKING:
    from hauberk.custody.keys.port import KeyService
    from hauberk.custody.statements import Statement

_FORMS = "a release folder, a .safetensors or .onnx file, module:function, or https://host/v2/models/NAME"


@dataclass(frozen=True, slots=True)
class Rows:
    """The rows to attack, the rows to fit a model on, and the files by digest."""

    train: Dataset
    attacked: Dataset
    files: tuple[Subject, ...]
    target: str = ""

    @property
    def spec(self) -> training.Spec:
        """The description of the data that a builder receives."""
        x = self.attacked
        return training.Spec(x.kind, x.x.shape[1:], len(x.classes), x.columns)

    def of(self, label: str) -> Rows:
        """Return the same with only the rows of one class to attack. Raises InvalidInput for a class that is not there."""
        classes = self.attacked.classes
        if label not in classes:
            raise InvalidInput(f"there is no class {label!r}; the data have: {', '.join(classes)}.")
        return replace(self, attacked=self.attacked.take(self.attacked.y == classes.index(label)))


@dataclass(frozen=True, slots=True)
class Target:
    """A model that can be attacked. form: how it came. subjects: its files by digest. notes: what to know of it."""

    model: Model
    name: str
    form: str
    subjects: tuple[Subject, ...]
    notes: tuple[str, ...] = ()

    @property
    def remote(self) -> bool:
        """Whether each question goes over a network."""
        return self.form == "endpoint"


def open_rows(spec: DataSpec, *, seed: int, fit: bool, test_side: bool = False) -> Rows:
    """Load the data. fit: the model is fitted here, on the training side, and attacked on the test side.

    Where nothing is fitted, every row is attacked, but for data with a test side of their own (or `test_side`): then
    that. Raises as `data.loading.load`.
    """
    split = load(spec, seed=seed)
    # A test side that was split off has other row numbers; one of its own counts from 0 again.
    own = bool(np.intersect1d(split.train.rows, split.test.rows).size)
    if fit or own or test_side:
        return Rows(split.train, split.test, split.files, spec.target)
    whole = _joined(split.train, split.test)
    return Rows(whole, whole, split.files, spec.target)


def open_target(  # noqa: PLR0913 - each form of a model needs its own
    reference: str,
    rows: Rows,
    *,
    build: str = "",
    folder: Path | None = None,
    key: str | None = None,
    keys: KeyService | None = None,
    access: Access | None = None,
    seed: int = 0,
    task: Task | None = None,
) -> Target:
    """Return the model that `reference` names, ready to be attacked with `rows`.

    build: "module:function" of safetensors, or of the weights in a release, which are then attacked by gradient; looked
    up in `folder` (default: here). key: pins the signer of a release; keys: opens a sealed one. access: of an endpoint.
    Raises InvalidInput for a model of no known form or that does not fit the data, NotProven for a release that does
    not verify or whose model means other rows.
    """
    spec, folder = rows.spec, folder or Path.cwd()
    if reference.startswith(("http://", "https://")):
        endpoint = Endpoint(reference, access or Access(), shape=spec.shape, classes=spec.classes)
        return Target(
            endpoint,
            reference,
            "endpoint",
            (),
            ("What the service does between asking and answering is not known.",),
        )
    path = Path(reference)
    if path.is_dir():
        return _release(path, rows, build, folder, key, keys)
    if path.suffix == ".onnx":
        data = _read(path)
        return Target(training.OnnxModel(data, spec), path.name, "onnx", (_subject(path.name, data),), _UNCHECKED)
    if path.suffix == ".safetensors":
        if not build:
            raise InvalidInput(f"{path}: weights need the builder of their module: add --build model:build.")
        data = _read(path)
        model = training.load_weights(training.load_callable(build, folder), spec, data, x=rows.train.x)
        return Target(model, path.name, "safetensors", (_subject(path.name, data),), _UNCHECKED)
    if ":" in reference and not path.exists():
        return _fitted(reference, rows, folder, seed, task)
    hint = (
        " A pickle can run code when it is opened, and is opened nowhere here." if path.suffix in _PICKLES else ""
    )
    raise InvalidInput(f"{reference} is no model that can be loaded safely: expected {_FORMS}.{hint}")


_PICKLES = frozenset({".pkl", ".pickle", ".pt", ".pth", ".joblib", ".bin", ".ckpt"})
_UNCHECKED = (
    "That the model learned from rows of this meaning (columns, categories, order of classes) is not proven.",
)


def _fitted(reference: str, rows: Rows, folder: Path, seed: int, task: Task | None) -> Target:
    build, spec = training.load_callable(reference, folder), rows.spec
    if not building.is_estimator(building.call_builder(build, spec)):
        raise InvalidInput(
            f"{reference} builds an untrained torch module: name its weights (.safetensors) with --build {reference}, "
            "or run `hauberk protect`."
        )
    outcome = training.train(build, spec, rows.train.x, rows.train.y, seed=seed, task=task)
    code = canonical.digest(
        {path.name: canonical.sha256(path.read_bytes()) for path in sorted(folder.glob("*.py"))}
    )
    note = f"The estimator was fitted here, on {len(rows.train):,} rows."
    return Target(cast("Model", outcome.model), reference, "estimator", (Subject("project code", code),), (note,))


def _release(  # noqa: PLR0913, PLR0917 - as open_target
    path: Path, rows: Rows, build: str, folder: Path, key: str | None, keys: KeyService | None
) -> Target:
    checked = verification.verify(path, key=key, keys=keys)
    assert checked.manifest is not None
    notes = list(checked.warnings)
    told = _meaning(path, checked.manifest)
    if told is None:
        notes.append(_UNCHECKED[0])
    elif told != schema_of(rows.attacked, target=rows.target).digest.hex():
        raise NotProven(
            f"{path}: its model learned from rows of another meaning than these (columns, categories, classes or target): "
            "codes would be read as others. Name the data as the project does: --data with the folder of its hauberk.toml."
        )
    files = {model.name: model for model in checked.manifest.models}
    name = _WEIGHTS if build and _WEIGHTS in files else bundle.SERVED
    data = _plain(path, files[name], keys)
    subjects = (Subject(name, canonical.sha256(data)),)
    if name == bundle.SERVED:
        return Target(training.OnnxModel(data, rows.spec), str(path), "release", subjects, tuple(notes))
    model = training.load_weights(training.load_callable(build, folder), rows.spec, data, x=rows.train.x)
    return Target(model, str(path), "release", subjects, tuple(notes))


_WEIGHTS = "weights.safetensors"


def _plain(path: Path, model: bundle.Model, keys: KeyService | None) -> bytes:
    """Return a model's plain bytes, the same that were verified: a file may change between two readings."""
    if model.sealed:
        from hauberk.custody import sealing

        if keys is None:
            raise InvalidInput(
                f"{path}: the model is sealed: name the keys that open it, such as --keys keyring:.hauberk/keyring."
            )
        sealed = _read(path / (model.name + bundle.SEALED_SUFFIX))
        data = sealing.unseal_bytes(sealed, keys, associated=bundle.sealed_context(model.name))
    else:
        data = _read(path / model.name)
    if canonical.sha256(data) != model.sha256:
        raise NotProven(f"{path}: {model.name} changed after it was verified.")
    return data


def _meaning(path: Path, manifest: bundle.Manifest) -> str | None:
    """Return the digest of the schema of the rows that the released model learned from, or None when the release has none."""
    for statement in _statements(path):
        told: Mapping[str, Any] = statement.predicate
        details = told.get("details", {})
        if told.get("event") == "data.used" and details.get("role") == manifest.released:
            return str(details["rows"]["train"]["schema"])
    return None


def _statements(path: Path) -> Sequence[Statement]:
    from hauberk.custody import dsse, statements

    found = sorted((path / "attestations").glob("*.json"))
    return [statements.parse(dsse.decode(file.read_bytes(), what=file.name).payload) for file in found]


def _joined(one: Dataset, other: Dataset) -> Dataset:
    """Return both sides as one, in the order of the file, with the ranges of all rows."""
    order = np.argsort(np.concatenate([one.rows, other.rows]), kind="stable")
    x = np.concatenate([one.x, other.x])[order]
    y, rows = (np.concatenate([getattr(one, name), getattr(other, name)])[order] for name in ("y", "rows"))
    columns = tables.with_ranges(one.columns, x) if one.columns else ()
    return Dataset(one.kind, x, y, one.classes, columns, rows)


def _subject(name: str, data: bytes) -> Subject:
    return Subject(name, canonical.sha256(data))


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise InvalidInput(f"cannot read the model {path}: {error.strerror}.") from error
