"""Drilling: poison a copy of the data with every known poison that fits, screen it, and say what would have been caught.

Nothing is written and the rows that are given stay as they are. The figures hold for these data and these poisons: a
drill says how far the screening can be relied on here, and not that the data are free of poison.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from time import monotonic
from typing import Any

import numpy as np

from hauberk.attacks.poisoning import POISONERS, Poisoned, Victim
from hauberk.core.errors import InvalidInput
from hauberk.core.progress import Quiet, Task
from hauberk.core.registry import Entry
from hauberk.data.poison.detectors import Rows
from hauberk.data.poison.screening import Screening, screen_rows
from hauberk.data.reading.dataset import Dataset

NOTHING = "nothing"


@dataclass(frozen=True, slots=True)
class Caught:
    """One poison, one seed.

    attack: the poisoner, or "nothing" for the data as they are. poison: rows it touched. caught: share of these that is
    flagged; in_reach: share that would be with a threshold that exactly `rate` of the untouched rows pass. alarms:
    share of untouched rows that is flagged, against `rate`. found: whether the screening says that there is poison.
    detectors: name to poisoned rows for which it spoke loudest among the flagged. seconds: of the screening. problem:
    why this poison does not fit the data, "" when it does; then the rest is 0.
    """

    attack: str
    seed: int
    poison: int
    caught: float
    in_reach: float
    alarms: float
    rate: float
    found: bool
    detectors: Mapping[str, int]
    seconds: float
    problem: str = ""

    def to_json(self) -> dict[str, Any]:
        """Return all of it as JSON values."""
        return asdict(self) | {"detectors": dict(self.detectors)}


def fitting(kind: str, names: Sequence[str] = ()) -> list[Entry[Any]]:
    """Return the poisoners for data of a kind; with `names`, those. Raises InvalidInput for one that is not for it."""
    if not names:
        return [entry for entry in POISONERS if kind in entry.kinds]
    chosen = [POISONERS[name] for name in names]
    for entry in chosen:
        if kind not in entry.kinds:
            known = ", ".join(other.name for other in POISONERS if kind in other.kinds)
            raise InvalidInput(f"{entry.name} is not for {kind} data; these are: {known}.")
    return chosen


def drill(  # noqa: PLR0913 - what is tried, how much of it, and how it is judged
    side: Dataset,
    *,
    attacks: Sequence[str] = (),
    share: float | None = None,
    seeds: int = 1,
    false_alarms: float = 0.005,
    detectors: Mapping[str, Mapping[str, Any]] | None = None,
    task: Task | None = None,
) -> Iterator[Caught]:
    """Yield what the screening says of the data as they are, and then of a copy for each poison and each seed.

    attacks: names in POISONERS; default: all that fit. share: of rows that are poisoned; None: each poisoner's own.
    false_alarms, detectors: as in `screen`. A poison that does not fit these data (a class too small, pictures smaller
    than the trigger) is said so in `problem`. Cost: one screening each.
    """
    if seeds < 1:
        raise InvalidInput(f"seeds is 1 or more, found {seeds}.")
    task = task or Quiet()
    chosen = fitting(side.kind, attacks)
    total = 1 + len(chosen) * seeds
    task.update(0, text="the data as they are")
    yield _judged(NOTHING, 0, side, np.zeros(len(side), np.bool_), false_alarms, detectors)
    done = 1
    for entry in chosen:
        for seed in range(seeds):
            task.update(done / total, text=f"{entry.name}, {done} of {total - 1}")
            yield _one(entry, side, share, seed, false_alarms, detectors)
            done += 1
    task.update(1.0)


def poisoned_copy(entry: Entry[Any], side: Dataset, *, share: float | None, seed: int) -> tuple[Dataset, Poisoned]:
    """Return the rows after the attack, and what the adversary knows. Raises InvalidInput when it does not fit."""
    settable = {field.name for field in fields(entry.params)}
    params = entry.make({"share": share} if share is not None and "share" in settable else {})
    victim = Victim(side.x, side.y, len(side.classes), side.columns)
    rng = np.random.default_rng([seed, *entry.name.encode()])
    poisoned = entry.run(victim, params, rng=rng, task=Quiet())
    sources = None if side.sources is None else side.sources[poisoned.origin]
    groups = None if side.groups is None else side.groups[poisoned.origin]
    rows = np.arange(len(poisoned.y), dtype=np.int64)
    return (
        Dataset(side.kind, poisoned.x, poisoned.y, side.classes, side.columns, rows, groups, sources),
        poisoned,
    )


def _one(  # noqa: PLR0913, PLR0917 - as `_judged`
    entry: Entry[Any],
    side: Dataset,
    share: float | None,
    seed: int,
    rate: float,
    detectors: Mapping[str, Mapping[str, Any]] | None,
) -> Caught:
    try:
        copy, poisoned = poisoned_copy(entry, side, share=share, seed=seed)
    except InvalidInput as error:
        return Caught(entry.name, seed, 0, 0.0, 0.0, 0.0, rate, False, {}, 0.0, str(error))
    return _judged(entry.name, seed, copy, poisoned.poison, rate, detectors)


def _judged(  # noqa: PLR0913, PLR0917 - what was done, and how it is judged
    name: str,
    seed: int,
    side: Dataset,
    poison: np.ndarray,
    rate: float,
    detectors: Mapping[str, Mapping[str, Any]] | None,
) -> Caught:
    started = monotonic()
    # A poisoner does not say who sent its rows, so the drill asks nobody's sender: it is the harder question.
    found = screen_rows(Rows(side.kind, side, None, (), seed), false_alarms=rate, detectors=detectors)
    seconds = monotonic() - started
    hits = poison & found.flags
    return Caught(
        name,
        seed,
        int(poison.sum()),
        float(hits.sum() / max(1, poison.sum())),
        _in_reach(found, poison, rate),
        float(found.flags[~poison].mean()) if (~poison).any() else 0.0,
        rate,
        found.found,
        dict(Counter(str(detector) for detector in found.detectors[hits]).most_common()),
        round(seconds, 3),
    )


def _in_reach(found: Screening, poison: np.ndarray, rate: float) -> float:
    """Return the share of the poison that scores above all but `rate` of the untouched rows."""
    if not poison.any() or poison.all():
        return 0.0
    honest = np.sort(found.scores[~poison])
    threshold = honest[len(honest) - 1 - int(rate * len(honest))]
    return float((found.scores[poison] > threshold).mean())
