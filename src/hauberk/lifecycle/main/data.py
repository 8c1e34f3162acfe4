"""Load, verify and seal the data. A finding does not stop the job: the gate decides, from the measurements."""

from __future__ import annotations

import io
import tempfile
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from hauberk.core import canonical
from hauberk.core.evidence import Subject
from hauberk.core.progress import Task
from hauberk.custody.statements import Statement
from hauberk.data.checks import CHECKS
from hauberk.data.reading.formats import delimited, parquet
from hauberk.lifecycle.controls import CONTROLS
from hauberk.lifecycle.controls.sealing import Params, ToSeal
from hauberk.lifecycle.main.job import DATA, About, Job, read_column
from hauberk.lifecycle.main.running import run_step
from hauberk.project import check_against, check_columns
from hauberk.records import lineage
from hauberk.records.running import Ran
from hauberk.records.steps import Product
from hauberk.records.workshop import SEALING

_NAMES = {".parquet": parquet.names, ".csv": delimited.names, ".tsv": delimited.names}  # without reading the rows


def load_data(job: Job) -> About:
    """Read the data and check the project file against them: columns, kinds and budgets."""

    def work(_task: Task) -> Product:
        first = Path(job.project.data.files[0])
        if first.suffix in _NAMES:
            check_columns(job.project, _NAMES[first.suffix](first))
        train, test = job.split.train, job.split.test
        values: dict[str, Any] = {
            "digest": canonical.digest([train.digest(), test.digest()]),
            "shape": list(train.x.shape[1:]),
            "classes": list(train.classes),
            "columns": [column.to_json() for column in train.columns],
            "train": len(train),
            "test": len(test),
        }
        subjects = (*job.files, Subject("dataset", values["digest"]))
        event = job.workshop.event(
            "data.loaded", subjects, train=len(train), test=len(test), classes=values["classes"]
        )
        return Product(statements=[event], values=values)

    inputs = {"files": _named(job.files), "data": _spec(job), "seed": job.project.seed}
    values = job.steps.do("load", "Load the data", inputs, work).values
    columns = tuple(read_column(column) for column in values["columns"])
    about = About(
        values["digest"],
        job.project.data.kind,
        tuple(values["shape"]),
        tuple(values["classes"]),
        columns,
        values["train"],
        values["test"],
    )
    check_against(job.project, about.columns, about.classes, about.shape)
    return about


def verify_data(job: Job, about: About, *, again: bool = False) -> None:
    """Run every registered check for this kind of data; again: after rows were set aside."""
    step, title = ("verify-again", "Verify what is left") if again else ("verify", "Verify the data")
    for entry in CHECKS:
        if about.kind not in entry.kinds:
            continue
        params = entry.make(job.project.checks.get(entry.name, {}))
        run_step(
            job,
            entry,
            lambda: job.split,
            params,
            step=f"{step}/{entry.name}",
            title=f"{title}: {entry.name}",
            role=DATA,
            about=(about.subject,),
            depends={"data": about.digest},
            seed=job.seed(f"check {entry.name}"),
        )


def seal_data(job: Job, about: About) -> None:
    """Encrypt each data file at rest under the data key, and show once that it opens to the same bytes."""

    def sealed(outputs: Mapping[str, str]) -> tuple[Subject, ...]:
        return tuple(Subject(name, digest) for name, digest in outputs.items())

    def then(ran: Ran) -> list[Statement]:
        inputs = (*((job.source,) if job.source is not None else ()), about.subject, *job.files)
        return [lineage.transaction(job.workshop, lineage.SEALED, inputs=inputs, outputs=sealed(ran.outputs))]

    with tempfile.TemporaryDirectory(dir=job.workshop.folder) as scratch:
        run_step(
            job,
            CONTROLS["sealing"],
            lambda: ToSeal(_plain_files(job, Path(scratch)), job.workshop.keys, SEALING, Path(scratch)),
            Params(),
            step="seal",
            title="Seal the data",
            role=DATA,
            about=lambda outputs: (about.subject, *sealed(outputs)),
            depends={"files": _named(job.files), "data": about.digest},
            then=then,
        )


def _plain_files(job: Job, scratch: Path) -> list[tuple[Subject, Path]]:
    """Return the data files; a set that a library ships is written to `scratch` first, so that it is sealed too."""
    spec = job.project.data
    paths = [Path(name) for name in (*spec.files, *spec.test_files) if ":" not in name]
    if paths:
        return [(subject, path) for subject, path in zip(job.files, paths, strict=True) if path.is_file()]
    import numpy as np

    buffer = io.BytesIO()
    train, test = job.split.train, job.split.test
    np.savez(buffer, x_train=train.x, y_train=train.y, x_test=test.x, y_test=test.y)
    path = scratch / "dataset.npz"
    path.write_bytes(buffer.getvalue())
    return [(Subject("dataset.npz", canonical.sha256(buffer.getvalue())), path)]


def _named(files: tuple[Subject, ...]) -> list[list[str]]:
    return [[file.name, file.sha256] for file in files]


def _spec(job: Job) -> dict[str, object]:
    spec = asdict(job.project.data)
    # Paths are left out: a project may be moved, and the digests of the files are in the key already.
    return {name: value for name, value in spec.items() if name not in ("files", "test_files")}
