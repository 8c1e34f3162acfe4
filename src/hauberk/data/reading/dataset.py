"""`Dataset`: rows, labels and their meaning, frozen; and `Split`: a training and a test side with the same meaning."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

from hauberk.core import canonical
from hauberk.core.columns import Column
from hauberk.core.errors import InvalidInput
from hauberk.core.evidence import Subject

Floats = npt.NDArray[np.float32]
Doubles = npt.NDArray[np.float64]
Labels = npt.NDArray[np.int64]
Mask = npt.NDArray[np.bool_]
Kind = Literal["image", "table"]

_VERSION = 1


@dataclass(frozen=True, slots=True, eq=False)
class Dataset:
    """Rows and labels of one side of the data.

    kind: "image" (x is (n, channels, height, width) float32 in [0, 1]) or "table" (x is (n, d) float32: numbers unchanged, a
    category as its index into `columns[j].categories`). y: (n,) int64, indices into `classes`. columns: of a table; () for
    images. rows: (n,) int64, each row's number in its files, from 0. groups: (n,) int64 or None: rows of one group belong
    together (a patient, a track); group numbers mean the same on both sides of a split. sources: (n,) text or None: sender of
    each row (a supplier, an annotator, an upload, a time window). Raises InvalidInput if lengths or shapes disagree.
    """

    kind: Kind
    x: Floats
    y: Labels
    classes: tuple[str, ...]
    columns: tuple[Column, ...]
    rows: Labels
    groups: Labels | None = None
    sources: npt.NDArray[np.str_] | None = None

    def __post_init__(self) -> None:
        wanted = 4 if self.kind == "image" else 2
        if self.x.ndim != wanted:
            raise InvalidInput(f"expected {wanted} axes for {self.kind} data, found shape {self.x.shape}.")
        lengths = {len(self.x), len(self.y), len(self.rows)}
        if self.groups is not None:
            lengths.add(len(self.groups))
        if self.sources is not None:
            lengths.add(len(self.sources))
        if len(lengths) > 1:
            raise InvalidInput(f"x, y, rows, groups and sources have different lengths: {sorted(lengths)}.")
        if self.kind == "table" and len(self.columns) != self.x.shape[1]:
            raise InvalidInput(
                f"x has {self.x.shape[1]} columns and {len(self.columns)} are described: describe each."
            )

    def __len__(self) -> int:
        """Return the number of rows."""
        return len(self.y)

    def take(self, indices: npt.NDArray[np.integer] | Mask) -> Dataset:
        """Return the rows at `indices` (integers or a mask), in that order; columns and classes are kept."""
        groups = None if self.groups is None else self.groups[indices]
        sources = None if self.sources is None else self.sources[indices]
        return Dataset(
            self.kind,
            self.x[indices],
            self.y[indices],
            self.classes,
            self.columns,
            self.rows[indices],
            groups,
            sources,
        )

    def digest(self) -> str:
        """Return the SHA-256 (hex) of arrays and meaning; it is the same on every machine and independent of file paths."""
        head = {
            "version": _VERSION,
            "kind": self.kind,
            "shape": list(self.x.shape),
            "classes": list(self.classes),
            "columns": [column.to_json() for column in self.columns],
            "groups": self.groups is not None,
            "sources": self.sources is not None,
        }
        state = hashlib.sha256(canonical.encode(head) + b"\0")
        # Little-endian and C order, so that the digest does not depend on the machine.
        state.update(np.ascontiguousarray(self.x, dtype="<f4").data)
        for array in (self.y, self.rows, self.groups):
            if array is not None:
                state.update(np.ascontiguousarray(array, dtype="<i8").data)
        if self.sources is not None:
            state.update(canonical.encode(self.sources.tolist()))
        return state.hexdigest()


@dataclass(frozen=True, slots=True, eq=False)
class Split:
    """A training and a test side with the same classes, columns and group numbers, and the digests of their files."""

    train: Dataset
    test: Dataset
    files: tuple[Subject, ...] = ()
