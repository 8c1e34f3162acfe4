"""Corruptions: the effects of weather, lenses, sensors and codecs on a picture; the worst family at a severity.

These changes happen without an adversary and measure a model under natural conditions. As an attack, the worst family
counts. `accuracy_by_corruption` returns the table that benchmarks print.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from hauberk.attacks.attack import ATTACKS
from hauberk.attacks.evasion.methods._corruptions import FAMILIES, SEVERITIES
from hauberk.attacks.margin import BATCH, margins
from hauberk.attacks.params import Params
from hauberk.attacks.verdict import SearchResult, predictions
from hauberk.core.errors import InvalidInput
from hauberk.core.progress import Quiet, Task
from hauberk.models.adapting import as_model
from hauberk.models.port import Floats, Labels, Model


@dataclass(frozen=True, slots=True)
class Corrupted:
    """A finite set of changed pictures: each family at each severity from 1 to `severity`.

    The noise depends only on the row's pixels, the family, the severity and `seed`, so that the judge can compute each
    corruption again. `allows` compares with that recomputation, not with a second implementation. Raises InvalidInput for
    an unknown severity or family.
    """

    low: ClassVar[float] = 0.0
    high: ClassVar[float] = 1.0

    severity: int = field(default=3, metadata={"help": "severity from 1 to 5"})
    families: tuple[str, ...] = field(default=tuple(FAMILIES), metadata={"help": "families of corruptions"})
    seed: int = field(default=0, metadata={"help": "seed of the corruptions' noise"})

    def __post_init__(self) -> None:
        if self.severity not in SEVERITIES:
            raise InvalidInput(f"expected a severity from 1 to 5, found {self.severity}.")
        for name in self.families:
            if name not in FAMILIES:
                raise InvalidInput(f"no corruption is named {name!r}; known: {', '.join(FAMILIES)}.")

    @property
    def choices(self) -> Iterator[tuple[int, str]]:
        """All pairs of severity and family, mildest first."""
        return ((severity, name) for severity in range(1, self.severity + 1) for name in self.families)

    def scaled(self, factor: float) -> Corrupted:
        """Return the set with `factor` times the severity, rounded and clipped to 1 to 5."""
        return replace(self, severity=int(np.clip(round(self.severity * factor), 1, 5)))

    def make(self, x: Floats, severity: int, name: str) -> Floats:
        """Return (n, channels, height, width) float32 in [0, 1]."""
        return np.stack([self._one(row, severity, name) for row in x]) if len(x) else x.copy()

    def _one(self, row: Floats, severity: int, name: str) -> Floats:
        key = f"{self.seed} {severity} {name} ".encode() + np.ascontiguousarray(row, "<f4").tobytes()
        rng = np.random.default_rng(int.from_bytes(hashlib.blake2b(key, digest_size=16).digest(), "little"))
        made = FAMILIES[name](row.astype(np.float64), severity, rng)
        return np.clip(made, 0.0, 1.0).astype(np.float32)

    def allows(self, x: Floats, origin: Floats) -> NDArray[np.bool_]:
        """Return (n,): whether each row equals its origin or one of the origin's corruptions, computed again."""
        return np.isfinite(self.distance(x, origin))

    def distance(self, x: Floats, origin: Floats) -> NDArray[np.float64]:
        """Return (n,): the mildest severity that produces the row, 0 for an unchanged row, infinity if none does."""
        found = np.where((x == origin).reshape(len(x), -1).all(axis=1), 0.0, np.inf)
        for severity, name in self.choices:
            rows = np.flatnonzero(~np.isfinite(found))
            if not len(rows):
                break
            again = self.make(origin[rows], severity, name)
            # The last bit of an exponential may differ between machines.
            close = np.abs(again - x[rows]).reshape(len(rows), -1).max(axis=1) <= 1e-6
            found[rows[close]] = severity
        return found


@dataclass(frozen=True, slots=True)
class CorruptionsParams(Params):
    """The budget names families and severity."""

    access: ClassVar[str] = "scores"
    regions: ClassVar[tuple[type[Any], ...]] = (Corrupted,)

    mild: bool = field(
        default=False, metadata={"help": "start with severity 1 and return the mildest corruption that fools"}
    )


@ATTACKS.register(
    "corruptions",
    practice="2a",
    threats=("evasion",),
    summary="noise, blur, weather and codecs: the worst of all families (black box)",
    params=CorruptionsParams,
    kinds=("image",),
)
def run(  # noqa: PLR0913 - the shape of an attack
    model: Model,
    x: Floats,
    y: Labels,
    budget: Corrupted,
    params: CorruptionsParams,
    *,
    rng: np.random.Generator,  # noqa: ARG001 - the noise depends on the budget's seed, so that it can be recomputed
    task: Task,
) -> SearchResult:
    """Try each family until the row is misclassified.

    x: (n, channels, height, width) in [0, 1] with one or three channels. The distance in the verdicts is the severity.
    Answers how a model copes with bad weather and cheap cameras; not an adversary who chooses pixels. Cost: one score for
    each family for each row that is not fooled.
    """
    if x.ndim != 4:
        raise InvalidInput(f"corruptions are for pictures (n, channels, height, width), found shape {x.shape}.")
    tried = SearchResult(x.copy(), np.zeros(len(x), np.int64), np.zeros(len(x), np.int64))
    lowest = np.full(len(x), np.inf, np.float32)
    choices = list(budget.choices) if params.mild else [(budget.severity, name) for name in budget.families]
    for number, (severity, name) in enumerate(choices):
        standing = np.flatnonzero(lowest > 0)
        for first in range(0, len(standing), BATCH):
            rows = standing[first : first + BATCH]
            made = budget.make(x[rows], severity, name)
            margin = margins(model.scores(made), y[rows])
            tried.queries[rows] += 1
            better = margin < lowest[rows]
            tried.x[rows[better]], lowest[rows[better]] = made[better], margin[better]
        task.update(
            number / len(choices), text=f"{name}, severity {severity}: {int((lowest > 0).sum())} rows not fooled"
        )
    return tried


def accuracy_by_corruption(  # noqa: PLR0913 - as corruptions
    model: Any,  # noqa: ANN401 - what `as_model` takes
    x: Floats,
    y: Labels,
    *,
    families: tuple[str, ...] = tuple(FAMILIES),
    seed: int = 0,
    task: Task | None = None,
) -> dict[str, tuple[float, ...]]:
    """Return for each family the accuracy at severities 1 to 5. x, y: as in `corruptions`; n >= 1."""
    checked, budget = as_model(model, sample=x[:1]), Corrupted(5, families, seed)
    table: dict[str, tuple[float, ...]] = {}
    for number, name in enumerate(families):
        shares = []
        for severity in SEVERITIES:
            predicted = predictions(checked.scores(budget.make(x, severity, name)))
            shares.append(float((predicted == y).mean()))
        table[name] = tuple(shares)
        (task or Quiet()).update((number + 1) / len(families), text=name)
    return table
