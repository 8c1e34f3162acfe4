"""The content of a project file as frozen values, which need no further validation."""

from __future__ import annotations

import pathlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from hauberk.core.threats import Evasion, Threat
from hauberk.custody.gate import Rule
from hauberk.data.reading.loading import DataSpec
from hauberk.project.lines import Path, nearest_line

Policy = Literal["quarantine", "stop", "report"]
"""What is done with rows that are found to be poison: left out of training, the run refused, or only reported."""


@dataclass(frozen=True, slots=True)
class ModelSource:
    """Where the model comes from, in one of three ways.

    build ("module:function", which returns a model for Hauberk to train), or `weights` with their builder, or an `onnx` file
    (Hauberk assesses it, and hardens weights by fine-tuning), or `train` ("module:function", the team's own
    training function). Modules are looked up in the project's folder first; file paths are absolute.
    """

    way: Literal["build", "weights", "onnx", "train"]
    build: str = ""
    weights: pathlib.Path | None = None
    onnx: pathlib.Path | None = None
    train: str = ""


@dataclass(frozen=True, slots=True)
class Declared:
    """A declared threat, with its label, unique in the file, and its line."""

    threat: Threat
    label: str
    line: int


@dataclass(frozen=True, slots=True)
class Training:
    """How both models, plain and hardened, are trained; `hardening` holds parameters of the hardening method.

    method: a registered hardening method, or "auto": chosen for the kind of model. None means the trainer's
    default for this kind of model. minutes: the time that hardening may take, which determines method, epochs
    and patience. awp, patience: as `training.Hardening`; the others as `training.Options`.
    """

    method: str = "auto"
    epochs: int | None = None
    batch: int | None = None
    learning_rate: float | None = None
    weight_decay: float | None = None
    optimizer: Literal["sgd", "adamw"] | None = None
    augment: Literal["none", "shift"] = "none"
    precision: Literal["fp32", "bf16", "auto"] = "fp32"
    average: float = 0.0
    device: str = "auto"
    minutes: float | None = None
    awp: float = 0.0
    patience: int | None = None
    hardening: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Evaluation:
    """How models are attacked: at most `rows` test rows, with these attacks (none: the defaults for the model).

    certify: the method of certification; None means no certification.
    """

    rows: int = 1000
    attacks: tuple[tuple[str, Mapping[str, Any]], ...] = ()
    certify: Literal["bounds", "smoothing"] | None = None


@dataclass(frozen=True, slots=True)
class ReleaseForm:
    """The form of the release. seal: whether the model's files are sealed (encrypted at rest) in the release."""

    seal: bool = True


@dataclass(frozen=True, slots=True)
class Keys:
    """The keys. uri: of the key holder. signing: the algorithm for a new signing key."""

    uri: str = "keyring:.hauberk/keyring"
    signing: Literal["ed25519", "ecdsa-p256"] = "ed25519"


@dataclass(frozen=True, slots=True)
class Update:
    """How a challenger is made and compared, and when.

    start: "warm" continues from the champion's weights, if it has any, "cold" trains from the beginning. epochs: of a warm
    start; None means a third of the training's. confidence: the probability of rejecting an equally good challenger is at
    most 1 - confidence. groups: columns whose groups are compared for fairness. favourable: the favourable class, "" for
    none. schema: a schema file to verify new files against. data: file patterns, relative to the project's folder, for new
    rows. Triggers: schedule, a cron expression; new_rows, the number of waiting rows; drift of the waiting rows from the
    trusted ones.
    """

    start: Literal["warm", "cold"] = "warm"
    epochs: int | None = None
    confidence: float = 0.95
    groups: tuple[str, ...] = ()
    favourable: str = ""
    schema: pathlib.Path | None = None
    data: tuple[str, ...] = ()
    schedule: str = ""
    new_rows: int | None = None
    drift: bool = False


@dataclass(frozen=True, slots=True)
class Project:
    """One project file, parsed and checked.

    file: the file. source: SHA-256 (hex) of its bytes. poison: what is done with poison. checks: parameters by name of the
    data check. lines: line by key path, for later messages (`where`).
    """

    file: pathlib.Path
    source: str
    name: str
    seed: int
    data: DataSpec
    poison: Policy
    model: ModelSource
    threats: tuple[Declared, ...]
    training: Training
    evaluation: Evaluation
    checks: Mapping[str, Mapping[str, Any]]
    gate: tuple[Rule, ...]
    release: ReleaseForm
    keys: Keys
    update: Update
    lines: Mapping[Path, int] = field(repr=False)

    @property
    def folder(self) -> pathlib.Path:
        """The project's folder, absolute; relative paths in the file start there."""
        return self.file.parent

    @property
    def evasions(self) -> tuple[Evasion, ...]:
        """The declared evasion threats, in the order of the file."""
        return tuple(d.threat for d in self.threats if isinstance(d.threat, Evasion))

    def where(self, *path: str | int) -> str:
        """Return "hauberk.toml:12" for a key path, or for the nearest enclosing table."""
        return f"{self.file.name}:{nearest_line(self.lines, path)}"
