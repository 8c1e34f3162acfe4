"""Partition: assigns each row to the models that it trains, by the content of the row alone.

A hash of a row's inputs gives its bucket, so an inserted or removed row changes one bucket and moves no other row. The
label is not part of the hash, so a changed label changes one bucket only.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from hauberk.core.columns import ColumnKind
from hauberk.core.errors import InvalidInput
from hauberk.models.port import Floats, Labels
from hauberk.models.spec import Spec

_PERSON = b"hauberk-parts-1"  # version of the hash; another version gives other parts
Digests = npt.NDArray[np.bytes_]


@dataclass(frozen=True, slots=True)
class Plan:
    """The assignment of rows to models: `partitions` (k) and `spread` (d).

    There are k * d buckets and as many models. Each bucket trains d models and each model is trained on d buckets, which is
    1/k of the rows for every d. d = 1 is Deep Partition Aggregation; d > 1 is Finite Aggregation, which certifies at
    least as much and needs d times as many models. Raises InvalidInput for values out of range.
    """

    partitions: int = 50
    spread: int = 1

    def __post_init__(self) -> None:
        if self.partitions < 2 or self.spread < 1 or self.models > 1 << 16:
            raise InvalidInput(
                f"expected partitions >= 2, spread >= 1 and at most 65,536 models, found {self.partitions} and {self.spread}."
            )

    @property
    def models(self) -> int:
        """Number of models, and number of buckets."""
        return self.partitions * self.spread

    @property
    def offsets(self) -> npt.NDArray[np.int64]:
        """(d,) distinct steps: bucket j trains models (j + step) mod models. They depend on the plan alone."""
        if self.spread == 1:
            return np.zeros(1, np.int64)
        rng = np.random.default_rng([self.partitions, self.spread])
        return np.sort(rng.permutation(self.models)[: self.spread]).astype(np.int64)

    def buckets(self, digests: Digests) -> Labels:
        """Return (n,) the bucket of each row, in [0, models)."""
        head = np.frombuffer(digests.tobytes(), np.dtype("<u8")).reshape(len(digests), -1)[:, 0]
        return (head % np.uint64(self.models)).astype(np.int64)

    def parts(self, digests: Digests, y: Labels) -> list[Labels]:
        """Return, for each model, the numbers of its training rows, ordered by content and not by position.

        Rows with equal inputs and labels may come in any order, because no model can tell them apart.
        """
        order = np.lexsort((y, digests))
        bucket = self.buckets(digests)[order]
        held = [order[bucket == number] for number in range(self.models)]
        return [
            np.concatenate([held[(model - step) % self.models] for step in self.offsets])
            for model in range(self.models)
        ]


def row_digests(spec: Spec, x: Floats) -> Digests:
    """Return (n,) 16-byte digests of the rows' inputs, from the float32 of numbers and the names of categories.

    Names are used instead of codes, because a code depends on the other categories in the data, and so on other rows.
    Raises InvalidInput for a code without a name.
    """
    parts = [np.ascontiguousarray(x.reshape(len(x), -1) + np.float32(0), dtype="<f4").view(np.uint8)]  # -0 is 0
    if spec.kind == "table":
        parts = [_bytes_of(spec, x, index) for index in range(len(spec.columns))]
    content = np.ascontiguousarray(np.concatenate(parts, axis=1))
    digests = [hashlib.blake2b(row.data, digest_size=16, person=_PERSON).digest() for row in content]
    return np.frombuffer(b"".join(digests), "S16") if digests else np.zeros(0, "S16")


def _bytes_of(spec: Spec, x: Floats, index: int) -> npt.NDArray[np.uint8]:
    column, values = spec.columns[index], x[:, index]
    if column.kind is not ColumnKind.CATEGORY:
        return np.ascontiguousarray(values + np.float32(0), dtype="<f4").view(np.uint8).reshape(-1, 4)
    names = [hashlib.blake2b(name.encode(), digest_size=16).digest() for name in column.categories]
    codes = np.rint(values).astype(np.int64)
    if len(codes) and not (codes.min() >= 0 and codes.max() < len(names)):
        raise InvalidInput(
            f"column {column.name!r} contains a code outside its {len(names)} categories. Encode the rows with this spec."
        )
    return np.frombuffer(b"".join(names), np.uint8).reshape(-1, 16)[codes]
