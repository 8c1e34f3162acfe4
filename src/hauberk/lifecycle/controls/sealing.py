"""Sealing: files are encrypted at rest, and each sealed file is opened once and compared, so that none is lost."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from time import monotonic

import numpy as np

from hauberk.core.errors import InvalidInput
from hauberk.core.evidence import Measurement, Subject
from hauberk.core.progress import Task
from hauberk.custody import sealing
from hauberk.custody.keys.port import KeyService
from hauberk.lifecycle.controls import CONTROLS


@dataclass(frozen=True, slots=True, eq=False)
class ToSeal:
    """Files to seal under the key `key`, each with its digest. scratch: an empty folder; what is written there, stays.

    sealed: one function for each artifact that was sealed earlier; it opens it and returns whether it is what its digest says.
    """

    files: Sequence[tuple[Subject, Path]]
    keys: KeyService
    key: str
    scratch: Path
    sealed: Sequence[Callable[[], bool]] = ()


@dataclass(frozen=True, slots=True)
class Params:
    """How files are sealed."""

    cipher: str = field(default="AES256_GCM_HKDF_1MB", metadata={"help": "the streaming encryption, by name"})


@CONTROLS.register(
    "sealing",
    practice="1b",
    threats=(),
    summary="data files encrypted at rest, each opened again and compared",
    params=Params,
)
def run(inputs: ToSeal, params: Params, *, rng: np.random.Generator, task: Task) -> Measurement:
    """Seal every file, open it again, and count what is sealed. Files: NAME.sealed for each.

    Raises InvalidInput when a file changes meanwhile. Answers: readers of the disk or of a backup. Does not answer: readers of
    the plain files, which stay where they are.
    """
    del params, rng
    started = monotonic()
    files: dict[str, Path] = {}
    size = 0
    for number, (subject, path) in enumerate(inputs.files):
        sealed, again = inputs.scratch / f"{number}.sealed", inputs.scratch / "again"
        context = f"hauberk data {subject.sha256}".encode()
        sealing.seal_file(path, sealed, inputs.keys, inputs.key, associated=context, task=task)
        sealing.unseal_file(sealed, again, inputs.keys, associated=context)
        if _digest(path) != _digest(again):
            raise InvalidInput(f"{subject.name} changed while it was being sealed: run the command again.")
        files[f"{subject.name}.sealed"] = sealed
        size += path.stat().st_size
    count = len(files) + sum(opens() for opens in inputs.sealed)
    metrics = {"sealed_files": float(count), "bytes": float(size), "seconds": monotonic() - started}
    return Measurement(metrics, files=files, notes=("Every sealed file was opened again and compared.",))


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
