"""Dataset: rows with their labels and what they mean, the one form that checks, attacks and training work on."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from hauberk.core import canonical
from hauberk.core.columns import Column

Kind = Literal["image", "table"]


@dataclass(frozen=True, slots=True, eq=False)
class Dataset:
    """One side of a split.

    x: float32, (n, channels, height, width) in [0, 1] for images, (n, columns) for tables, where a category is its
    code. y: int64 (n,), index into `classes`. columns: of a table, in the order of x. rows: int64 (n,), each row's
    number in its file, from 0, for messages. groups: int64 (n,) or None; rows of one group stay on one side.
    """

    kind: Kind
    x: NDArray[np.float32]
    y: NDArray[np.int64]
    classes: tuple[str, ...]
    columns: tuple[Column, ...]
    rows: NDArray[np.int64]
    groups: NDArray[np.int64] | None = None

    def __len__(self) -> int:
        return len(self.y)

    def take(self, indices: NDArray[np.int64]) -> Dataset:
        """Return the rows at `indices`, in that order."""
        groups = None if self.groups is None else self.groups[indices]
        return replace(self, x=self.x[indices], y=self.y[indices], rows=self.rows[indices], groups=groups)

    def digest(self) -> str:
        """Return the SHA-256 (hex) over the arrays and their meaning: the same rows give the same digest."""
        arrays = {"x": self.x, "y": self.y, "rows": self.rows}
        if self.groups is not None:
            arrays["groups"] = self.groups
        digest = hashlib.sha256()
        meaning = {
            "kind": self.kind,
            "classes": list(self.classes),
            "columns": [column.to_json() for column in self.columns],
            "arrays": {name: [str(array.dtype), list(array.shape)] for name, array in arrays.items()},
        }
        digest.update(canonical.encode(meaning))
        for array in arrays.values():
            digest.update(np.ascontiguousarray(array).data)
        return digest.hexdigest()


@dataclass(frozen=True, slots=True, eq=False)
class Split:
    """Training and test side: the same classes and columns, no row and no group on both."""

    train: Dataset
    test: Dataset
