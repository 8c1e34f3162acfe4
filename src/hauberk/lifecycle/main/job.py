"""Job: one run of a job: the project, its open workshop, its steps, and the data, which are loaded at first use."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

import numpy as np

from hauberk.core import canonical
from hauberk.core.columns import Column, ColumnKind
from hauberk.core.disk import Disk
from hauberk.core.evidence import Subject
from hauberk.data.reading.dataset import Labels, Mask
from hauberk.data.reading.loading import Split, fingerprint, load
from hauberk.project import Project
from hauberk.records.steps import Steps
from hauberk.records.workshop import Workshop

DATA, PLAIN, HARDENED = "data", "plain", "hardened"


@dataclass(frozen=True, slots=True)
class About:
    """What the steps need to know about the data, so that a run with nothing to do loads none.

    digest: SHA-256 over the arrays and what they mean. shape: of one row. train, test: rows on each side.
    """

    digest: str
    kind: Literal["image", "table"]
    shape: tuple[int, ...]
    classes: tuple[str, ...]
    columns: tuple[Column, ...]
    train: int
    test: int

    @property
    def subject(self) -> Subject:
        """The data set, as evidence names it."""
        return Subject("dataset", self.digest)


@dataclass
class Job:
    """One run. `split` loads the data at first use.

    source: the registered set whose files are read. rows: the commitment to each side's rows. aside: training rows that were
    set aside as poison, by their number in the files. given: data to use in place of the project's files. current: (n_test,)
    mask over test rows, rows from new batches; at least half of the attacked sample is drawn from them.
    """

    project: Project
    workshop: Workshop
    steps: Steps
    disk: Disk = field(default_factory=Disk)
    source: Subject | None = None
    rows: Mapping[str, Any] = field(default_factory=dict)
    aside: tuple[int, ...] = ()
    given: Split | None = None
    current: Mask | None = None

    @cached_property
    def files(self) -> tuple[Subject, ...]:
        """The data files by name and SHA-256, or the named set with the version that ships it."""
        return fingerprint(self.project.data)

    @cached_property
    def split(self) -> Split:
        """The loaded data, training and test side, without the training rows that were set aside."""
        split = self.given or load(self.project.data, seed=self.project.seed)
        if not len(self.aside):
            return split
        return Split(split.train.take(~np.isin(split.train.rows, self.aside)), split.test, split.files)

    def set_aside(self, rows: Sequence[int]) -> None:
        """Remove training rows, by their number in the files, from `split` for all later steps."""
        self.aside = (*self.aside, *rows)
        self.__dict__.pop("split", None)

    def attacked(self, rows: int) -> Labels:
        """Return the indices of the attacked test rows: at most `rows`, at least half of them current if there are enough."""
        order = self.generator("attacked rows").permutation(len(self.split.test))
        if self.current is None:
            return order[:rows]
        first = order[self.current[order]][: max(rows // 2, rows - int((~self.current).sum()))]
        return np.concatenate([first, order[~self.current[order]]])[:rows]

    @cached_property
    def code(self) -> str:
        """SHA-256 over the Python files of the project's folder: what the model's builder may import."""
        return folder_digest(self.project.folder)

    def generator(self, purpose: str) -> np.random.Generator:
        """Return a generator that depends on the project's seed and on `purpose` alone."""
        return np.random.default_rng(self.seed(purpose))

    def seed(self, purpose: str) -> int:
        """Return a 31-bit seed for `purpose`, so that adding a step does not change the numbers of another."""
        return int(canonical.digest({"seed": self.project.seed, "purpose": purpose})[:8], 16) >> 1


def folder_digest(folder: Path) -> str:
    """Return the SHA-256 over the names and bytes of the Python files under `folder`, except in hidden folders."""
    found: dict[str, str] = {}
    for path in sorted(folder.rglob("*.py")):
        name = path.relative_to(folder)
        if not any(part.startswith(".") for part in name.parts):
            found[name.as_posix()] = canonical.sha256(path.read_bytes())
    return canonical.digest(found)


def read_column(value: Mapping[str, object]) -> Column:
    """Return a column from its JSON form."""
    low, high, categories = value["low"], value["high"], value["categories"]
    assert isinstance(low, int | float)
    assert isinstance(high, int | float)
    assert isinstance(categories, list)
    return Column(str(value["name"]), ColumnKind(str(value["kind"])), float(low), float(high), tuple(categories))
