"""Poison drills: poison copies of the data with every known attack that fits, screen them, and report what was caught.

Nothing is written and the given rows stay unchanged. The figures hold for these data and these attacks only: a drill
measures how far the screening can be relied on; it does not show that the data are free of poison.
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
    """The result of one attack with one seed.

    attack: name of the poisoner, or "nothing" for the unchanged data. poison: number of poisoned rows. caught: share of
    these that is flagged. in_reach: share of these that a threshold would flag which exactly `rate` of the untouched rows
    exceed. alarms: share of untouched rows that is flagged. rate: the false-alarm rate that was set. found: whether the
    screening reports poison. detectors: detector name to the number of flagged poisoned rows for which it scored highest.
    seconds: time of the screening. problem: why this attack cannot be applied to the data, in which case all figures are 0;
    otherwise "".
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
        """Return all fields as JSON values."""
        return asdict(self) | {"detectors": dict(self.detectors)}


def fitting(kind: str, names: Sequence[str] = ()) -> list[Entry[Any]]:
    """Return the named poisoners; without names, all for this kind of data. Raises InvalidInput for one of another kind."""
    if not names:
        return [entry for entry in POISONERS if kind in entry.kinds]
    chosen = [POISONERS[name] for name in names]
    for entry in chosen:
        if kind not in entry.kinds:
            known = ", ".join(other.name for other in POISONERS if kind in other.kinds)
            raise InvalidInput(f"{entry.name} does not apply to {kind} data; choose from: {known}.")
    return chosen


def drill(  # noqa: PLR0913 - a public call with independent options, all named
    side: Dataset,
    *,
    attacks: Sequence[str] = (),
    share: float | None = None,
    seeds: int = 1,
    false_alarms: float = 0.005,
    detectors: Mapping[str, Mapping[str, Any]] | None = None,
    task: Task | None = None,
) -> Iterator[Caught]:
    """Yield the screening's result for the unchanged data, then for a poisoned copy for each attack and each seed.

    attacks: names in POISONERS; empty: all that fit the data. share: share of the rows that is poisoned, in (0, 1]; None:
    each poisoner's default. seeds: number of runs of each attack, >= 1. false_alarms, detectors: as in `screen`. If an
    attack cannot be applied to these data (a class is too small, the pictures are smaller than the trigger), its result has
    `problem` set. Raises InvalidInput for unknown attacks or seeds < 1. Cost: one screening for each result.
    """
    if seeds < 1:
        raise InvalidInput(f"expected seeds >= 1, found {seeds}.")
    task = task or Quiet()
    chosen = fitting(side.kind, attacks)
    total = 1 + len(chosen) * seeds
    task.update(0, text="the data as they are")
    settings = _Settings(share, false_alarms, detectors)
    yield _judged(NOTHING, 0, side, np.zeros(len(side), np.bool_), settings)
    done = 1
    for entry in chosen:
        for seed in range(seeds):
            task.update(done / total, text=f"{entry.name}, {done} of {total - 1}")
            yield _one(entry, side, seed, settings)
            done += 1
    task.update(1.0)


def poisoned_copy(entry: Entry[Any], side: Dataset, *, share: float | None, seed: int) -> tuple[Dataset, Poisoned]:
    """Return the poisoned copy, and the attack's record of what it changed. Raises InvalidInput if it cannot be applied."""
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


@dataclass(frozen=True, slots=True)
class _Settings:
    """A drill's settings. share: of poisoned rows. rate: of false alarms. detectors: as in `screen`."""

    share: float | None
    rate: float
    detectors: Mapping[str, Mapping[str, Any]] | None


def _one(entry: Entry[Any], side: Dataset, seed: int, settings: _Settings) -> Caught:
    try:
        copy, poisoned = poisoned_copy(entry, side, share=settings.share, seed=seed)
    except InvalidInput as error:
        return Caught(entry.name, seed, 0, 0.0, 0.0, 0.0, settings.rate, False, {}, 0.0, str(error))
    return _judged(entry.name, seed, copy, poisoned.poison, settings)


def _judged(name: str, seed: int, side: Dataset, poison: np.ndarray, settings: _Settings) -> Caught:
    rate = settings.rate
    started = monotonic()
    # The drill screens without sources: an attack does not say who sent its rows, and without sources detection is harder.
    screening = screen_rows(Rows(side.kind, side, None, (), seed), false_alarms=rate, detectors=settings.detectors)
    seconds = monotonic() - started
    hits = poison & screening.flags
    return Caught(
        name,
        seed,
        int(poison.sum()),
        float(hits.sum() / max(1, poison.sum())),
        _in_reach(screening, poison, rate),
        float(screening.flags[~poison].mean()) if (~poison).any() else 0.0,
        rate,
        screening.found,
        dict(Counter(str(detector) for detector in screening.detectors[hits]).most_common()),
        round(seconds, 3),
    )


def _in_reach(screening: Screening, poison: np.ndarray, rate: float) -> float:
    """Return the share of the poisoned rows that score above the (1 - rate) quantile of the untouched rows."""
    if not poison.any() or poison.all():
        return 0.0
    honest = np.sort(screening.scores[~poison])
    threshold = honest[len(honest) - 1 - int(rate * len(honest))]
    return float((screening.scores[poison] > threshold).mean())
