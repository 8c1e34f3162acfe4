"""What a project file says, as frozen values: parsed once, and after that nobody checks them again."""

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

    build ("module:function", Hauberk trains what it returns), or `weights` with their builder, or an `onnx` file
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
    """A threat as the file declares it: with a label that is unique in the file, and its line."""

    threat: Threat
    label: str
    line: int


@dataclass(frozen=True, slots=True)
class Training:
    """How the model is trained, plainly and hardened alike; `hardening` goes to the hardening method alone.

    method: a registered hardening method, or "auto": chosen for the kind of model. None means: the default of
    the trainer for this kind of model. minutes: the time that hardening may take, from which method, epochs
    and patience follow. awp, patience: as `training.Hardening`; the others as `training.Options`.
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
    """How models are attacked: at most `rows` test rows, by these attacks (none named: the model's defaults).

    certify: how it is proven besides what no attack can change; None is not at all.
    """

    rows: int = 1000
    attacks: tuple[tuple[str, Mapping[str, Any]], ...] = ()
    certify: Literal["bounds", "smoothing"] | None = None


@dataclass(frozen=True, slots=True)
class ReleaseForm:
    """seal: whether the model's files are sealed (encrypted at rest) in the release."""

    seal: bool = True


@dataclass(frozen=True, slots=True)
class Keys:
    """uri: where keys live, by scheme. signing: the algorithm of a signing key that has to be made."""

    uri: str = "keyring:.hauberk/keyring"
    signing: Literal["ed25519", "ecdsa-p256"] = "ed25519"


@dataclass(frozen=True, slots=True)
class Update:
    """How a challenger is made and compared, and when.

    start: "warm" goes on from the champion's weights, where it has any, "cold" trains anew. epochs: of a warm start; None: a
    third of the training's. confidence: that no equally good challenger is turned away by chance. groups: columns whose
    groups are compared for fairness. favourable: the class that a person hopes for, "" for none. schema: a schema file that
    new files are held against. data: patterns of files, from the project's folder, where new rows arrive. schedule: a cron
    expression; new_rows: so many that wait; drift: that the rows that wait differ from the trusted ones.
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
    """One project file, read and checked.

    file: the file. source: SHA-256 (hex) of its bytes. poison: what is done with poison. checks: data check name to the
    parameters set for it. lines: key path to line, for later complaints (`where`).
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
        """The project's folder, absolute: what relative paths in the file start from."""
        return self.file.parent

    @property
    def evasions(self) -> tuple[Evasion, ...]:
        """The declared evasion threats, in the order of the file."""
        return tuple(d.threat for d in self.threats if isinstance(d.threat, Evasion))

    def where(self, *path: str | int) -> str:
        """Return "hauberk.toml:12" for a key path, or for the nearest table around it."""
        return f"{self.file.name}:{nearest_line(self.lines, path)}"
