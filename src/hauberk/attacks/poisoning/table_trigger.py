"""Table trigger: a rare combination of values on rows of other classes, and the target's label.

The adversary sets a few columns to values that occur in the data, so that every row is valid on its own, and uses the same
values later to get the wanted decision. As in Severi et al., "Explanation-Guided Backdoor Poisoning Attacks Against Malware
Classifiers" (USENIX Security 2021), few honest rows have these values together.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from hauberk.attacks.poisoning import POISONERS
from hauberk.attacks.poisoning._pick import changed, check_share, take, target_of
from hauberk.attacks.poisoning._victim import Floats, Labels, Poisoned, Victim
from hauberk.core.errors import InvalidInput
from hauberk.core.progress import Task

_TRIES = 200


@dataclass(frozen=True, slots=True)
class Params:
    """The number of poisoned rows, the target class and the width of the trigger. columns: 1 to 8."""

    share: float = field(default=0.01, metadata={"help": "share of all rows that are poisoned"})
    target: int = field(
        default=-1, metadata={"help": "class that a triggered row gets; -1: drawn among the minority classes"}
    )
    columns: int = field(default=2, metadata={"help": "columns whose values together are the trigger"})

    def __post_init__(self) -> None:
        check_share(self.share)
        if not 1 <= self.columns <= 8:
            raise InvalidInput(f"expected 1 to 8 columns, found {self.columns}.")


@POISONERS.register(
    "table-trigger",
    practice="1a",
    threats=("poisoning",),
    summary="a rare combination of values, and the target's label",
    params=Params,
    kinds=("table",),
)
def table_trigger(victim: Victim, params: Params, *, rng: np.random.Generator, task: Task) -> Poisoned:
    """Return the rows with the trigger on some of them, labelled as the target."""
    del task  # quick
    if victim.x.ndim != 2:
        raise InvalidInput(f"this poison is for tables of shape (n, columns), found {victim.x.shape}.")
    target = params.target if params.target >= 0 else _wanted(victim, rng)
    target = target_of(victim, target, rng)
    chosen, values = _rare(victim, params, rng)

    def trigger(x: Floats) -> Floats:
        found = x.copy()
        found[:, chosen] = values
        return found

    rows = take(victim, params.share, victim.y != target, rng)
    x, y = victim.x.copy(), victim.y.copy()
    x[rows], y[rows] = trigger(x[rows]), target
    return changed(x, y, rows, trigger, target)


def _wanted(victim: Victim, rng: np.random.Generator) -> int:
    """Return a target class: a random one with 1 % to 50 % of the rows, so that it can be learned and is not the default."""
    present, counts = np.unique(victim.y, return_counts=True)
    minor = present[(counts < len(victim.y) / 2) & (counts >= len(victim.y) / 100)]
    return int(rng.choice(minor if len(minor) else present))


def _rare(victim: Victim, params: Params, rng: np.random.Generator) -> tuple[Labels, Floats]:
    """Return columns and values such that each value occurs and, among the sets tried, fewest honest rows have all."""
    varied = np.flatnonzero((victim.x != victim.x[:1]).any(axis=0))
    count = min(params.columns, len(varied))
    if not count:
        raise InvalidInput("every column has one value only: there is nothing to set.")
    best: tuple[int, Labels, Floats] | None = None
    for _ in range(_TRIES):
        columns = np.sort(rng.permutation(varied)[:count])
        values = np.array([rng.choice(victim.x[:, column]) for column in columns], np.float32)
        together = int((victim.x[:, columns] == values).all(axis=1).sum())
        if best is None or together < best[0]:
            best = together, columns, values
        if not together:
            break
    assert best is not None
    return best[1], best[2]
