"""Corruptions: what weather, lenses, sensors and codecs do to a picture, as the worst of all families at a severity.

No adversary is needed for these, which is what makes them a test of what a model is worth outside; as an attack it is
the adversary who waits for bad weather. `accuracy_by_corruption` gives the table that benchmarks print.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from hauberk.attacks.attack import ATTACKS, attack
from hauberk.attacks.budget import Region
from hauberk.attacks.evasion._corruptions import FAMILIES, SEVERITIES
from hauberk.attacks.margin import BATCH, margins
from hauberk.attacks.verdict import Found, Tried, predictions
from hauberk.core.errors import InvalidInput
from hauberk.core.progress import Quiet, Task
from hauberk.core.threats import Norm
from hauberk.models.adapting import as_model
from hauberk.models.port import Floats, Labels, Model


@dataclass(frozen=True, slots=True)
class Corrupted:
    """A finite set: each family at each severity from 1 to `severity`, its noise drawn from the picture and the seed.

    A row's noise follows from its pixels, the family, the severity and `seed` alone, so that the judge can make each
    corruption of a row again; that, and not another implementation, is what `allows` compares with. Raises InvalidInput
    for a severity or family that is not there.
    """

    low: ClassVar[float] = 0.0
    high: ClassVar[float] = 1.0

    severity: int = 5
    families: tuple[str, ...] = tuple(FAMILIES)
    seed: int = 0

    def __post_init__(self) -> None:
        if self.severity not in SEVERITIES:
            raise InvalidInput(f"severities run from 1 to 5, found {self.severity}.")
        for name in self.families:
            if name not in FAMILIES:
                raise InvalidInput(f"no corruption is named {name!r}; known: {', '.join(FAMILIES)}.")

    @property
    def choices(self) -> Iterator[tuple[int, str]]:
        """Every severity and family, the mildest first."""
        return ((severity, name) for severity in range(1, self.severity + 1) for name in self.families)

    def scaled(self, factor: float) -> Corrupted:
        """Return the set with `factor` times the severity, from 1 to 5."""
        return replace(self, severity=int(np.clip(round(self.severity * factor), 1, 5)))

    def make(self, x: Floats, severity: int, name: str) -> Floats:
        """Return (n, channels, height, width) float32 in [0, 1]."""
        return np.stack([self._one(row, severity, name) for row in x]) if len(x) else x.copy()

    def _one(self, row: Floats, severity: int, name: str) -> Floats:
        told = f"{self.seed} {severity} {name} ".encode() + np.ascontiguousarray(row, "<f4").tobytes()
        rng = np.random.default_rng(int.from_bytes(hashlib.blake2b(told, digest_size=16).digest(), "little"))
        made = FAMILIES[name](row.astype(np.float64), severity, rng)
        return np.clip(made, 0.0, 1.0).astype(np.float32)

    def allows(self, x: Floats, origin: Floats) -> NDArray[np.bool_]:
        """Judge each row: it is its origin, or one of the corruptions of it made again."""
        return np.isfinite(self.distance(x, origin))

    def distance(self, x: Floats, origin: Floats) -> NDArray[np.float64]:
        """Return (n,): the mildest severity that makes it, 0 for the picture as it is; infinite for what is none of them."""
        found = np.where((x == origin).reshape(len(x), -1).all(axis=1), 0.0, np.inf)
        for severity, name in self.choices:
            rows = np.flatnonzero(~np.isfinite(found))
            if not len(rows):
                break
            again = self.make(origin[rows], severity, name)
            # The same code on the same machine; between machines the last bit of an exponential may differ.
            close = np.abs(again - x[rows]).reshape(len(rows), -1).max(axis=1) <= 1e-6
            found[rows[close]] = severity
        return found


@dataclass(frozen=True, slots=True)
class CorruptionsParams:
    """Nothing to set: the budget names families and severity."""

    access: ClassVar[str] = "scores"
    norms: ClassVar[tuple[Norm, ...]] = ()

    mild: bool = field(default=False, metadata={"help": "begin with severity 1, not with the budget's own"})


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
    budget: Region,
    params: CorruptionsParams,
    *,
    rng: np.random.Generator,
    task: Task,
) -> Tried:
    """Try each family until a row falls. Cost: a score for each family of each row that stands."""
    if not isinstance(budget, Corrupted) or x.ndim != 4:
        raise InvalidInput("corruptions are for pictures with a severity: name one from 1 to 5.")
    rng.integers(1 << 32)  # noise follows from the budget's seed, to be made again; the generator moves on
    tried = Tried(x.copy(), np.zeros(len(x), np.int64), np.zeros(len(x), np.int64))
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
            number / len(choices), text=f"{name}, severity {severity}: {int((lowest > 0).sum())} rows stand"
        )
    return tried


def corruptions(  # noqa: PLR0913 - each is a setting of the attack
    model: Any,  # noqa: ANN401 - what `as_model` takes
    x: Floats,
    y: Labels,
    *,
    severity: int = 3,
    families: tuple[str, ...] = tuple(FAMILIES),
    mild: bool = False,
    seed: int = 0,
    task: Task | None = None,
) -> Found:
    """Return the worst common corruption of each picture at `severity` (with `mild`: the mildest that fools).

    x: (n, channels, height, width) in [0, 1], one or three channels. The distance in the verdicts is the severity.
    Answers how a model stands bad weather and cheap cameras; not an adversary who shapes pixels.
    """
    budget = Corrupted(severity, families, seed)
    rng = np.random.default_rng(seed)
    return attack(run, model, x, y, budget, CorruptionsParams(mild), rng=rng, task=task or Quiet())


def accuracy_by_corruption(  # noqa: PLR0913 - as corruptions
    model: Any,  # noqa: ANN401 - what `as_model` takes
    x: Floats,
    y: Labels,
    *,
    families: tuple[str, ...] = tuple(FAMILIES),
    seed: int = 0,
    task: Task | None = None,
) -> dict[str, tuple[float, ...]]:
    """Return for each family the accuracy at severities 1 to 5. x, y: as `corruptions`; n >= 1."""
    door, budget = as_model(model, sample=x[:1]), Corrupted(5, families, seed)
    table: dict[str, tuple[float, ...]] = {}
    for number, name in enumerate(families):
        shares = []
        for severity in SEVERITIES:
            said = predictions(door.scores(budget.make(x, severity, name)))
            shares.append(float((said == y).mean()))
        table[name] = tuple(shares)
        (task or Quiet()).update((number + 1) / len(families), text=name)
    return table
