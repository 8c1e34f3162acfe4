"""Slow-drip poisoning: batches of which each passes and whose sequence does not, held against a trusted history.

Models that learned from the trusted rows alone are asked about every row, each trusted row by a model that did not see it.
Honest batches contradict them as often, and as firmly, as the trusted rows do; a poisoner who stays below the alarm in each batch
does so a little more often each time, in one class, one pair of classes or from one source, and it adds up. So all batches since
the trusted state are compared with the trusted rows, in several streams.

A stream asks how often a label is given, among rows for which the models say it with like odds: six strata, from where they
agree to where they make another label thirty times as likely. Within a stratum trusted and new rows are alike, so the number of
given labels among the new ones is hypergeometric, whatever rows came. The strata are added up, each weighted by one over the
chance of the label there, which is the most powerful weight against a small share of flipped labels (the score test; the
sum is Mantel's 1963 with weights), and how likely as large a sum is by chance is computed exactly, by convolution. Where classes
overlap, the many rows that contradict a little tell as much as the few that do firmly.

The test is repeated with each batch. Look number k may spend alpha / (k (k + 1)), which sums up to alpha over any
number of looks, and streams share a look's part: an honest sequence of any length is stopped with probability alpha at
most, as long as its labels come from the distribution of the trusted ones.

Answers: label flips, dirty-label backdoors and a source gone bad, spread over batches. Does not answer: clean-label poison,
which no model denies; a change in the world that is honest, which looks the same and is for a person to judge; poison that
was in the trusted rows. Source: Mantel 1963, "Chi-square tests with one degree of freedom"; Lan, DeMets 1983 for the spending of
alpha over looks.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from itertools import pairwise
from typing import Any

import numpy as np

from hauberk.core.errors import InvalidInput
from hauberk.core.progress import Quiet, Task
from hauberk.data.reading.dataset import Dataset, Doubles, Labels, Mask

ALPHA = 0.01
_FIRM = 10.0  # times as likely is another class: such a row is an event, and a suspect where its stream alarms
_EDGES = (1 / 3, 1.0, 3.0, 10.0, 30.0)  # of the strata, in odds against the given label
_WEIGHTS = np.array([1, 2, 3, 6, 18, 50])  # 1 + odds, about the middle of each: one over the chance of the label
_LEAST = 1e-3
_ROUNDING = 1e-15  # of the convolution
_FEWEST = 50
_FAMILIES = 4


@dataclass(frozen=True, slots=True)
class Stream:
    """One count, among the trusted rows and among those that came since.

    name: "all rows", "labelled 'cat'", "labelled 'cat', seen as 'dog'", "from 'east'". trusted_events of trusted_rows, events of
    rows: those that the models firmly contradict, ten to one, up to batch number `look`: the one that raised the alarm, else the
    last. p: of as much contradiction or more by chance (one-sided; exact below 2 %). limit: what that look may spend on this
    stream.
    """

    name: str
    look: int
    trusted_events: int
    trusted_rows: int
    events: int
    rows: int
    p: float
    limit: float

    @property
    def alarm(self) -> bool:
        """Whether honest rows would contradict as much less often than the limit."""
        return self.p < self.limit


@dataclass(frozen=True, slots=True, eq=False)
class Drip:
    """What the rows since the trusted state look like.

    streams: the least likely first. suspects: one (n,) mask a batch, the events of the streams that alarm. events: of each
    batch. seen: one (n,) a batch, the class that the trusted history sees in each row.
    """

    streams: tuple[Stream, ...]
    suspects: tuple[Mask, ...]
    events: tuple[int, ...]
    seen: tuple[Labels, ...]

    @property
    def alarms(self) -> tuple[Stream, ...]:
        """The streams that honest rows do not explain."""
        return tuple(stream for stream in self.streams if stream.alarm)

    def to_json(self, most: int = 20) -> dict[str, Any]:
        """Return the counts, without rows."""
        return {
            "alarms": len(self.alarms),
            "suspects": sum(int(mask.sum()) for mask in self.suspects),
            "events": list(self.events),
            "streams": [asdict(stream) | {"alarm": stream.alarm} for stream in self.streams[:most]],
        }


def drip(
    trusted: Dataset,
    batches: Sequence[Dataset],
    *,
    alpha: float = ALPHA,
    seed: int = 0,
    task: Task | None = None,
) -> Drip:
    """Compare every row that came since the trusted state with the trusted rows, all batches together.

    batches: in the order they came, with the columns and classes of `trusted`; rows that were set aside later belong in
    them, since what was sent is what is judged. What was an alarm after an earlier batch stays one. Raises InvalidInput for
    fewer than 50 trusted rows, or one class. Cost: five small models of the trusted rows, some seconds for ten thousand.
    """
    if len(trusted) < _FEWEST or len(np.unique(trusted.y)) < 2:
        raise InvalidInput(
            f"a history of {len(trusted)} rows and {len(np.unique(trusted.y))} classes is no measure for what comes: "
            f"{_FEWEST} rows of two classes are the least."
        )
    if not (0 < alpha < 1):
        raise InvalidInput(f"alpha is a probability between 0 and 1, found {alpha}.")
    if not batches:
        return Drip((), (), (), ())
    whole = stacked([trusted, *batches])
    old = np.arange(len(whole)) < len(trusted)
    from hauberk.data.poison.detectors._folds import by_trusted

    probabilities = by_trusted(whole, old, seed=seed, task=task or Quiet())
    each = np.arange(len(whole))
    others = probabilities.copy()
    others[each, whole.y] = 0
    seen = others.argmax(axis=1).astype(np.int64)
    event = _odds(others[each, seen], probabilities[each, whole.y]) >= _FIRM
    edges = np.cumsum([len(trusted), *map(len, batches)])
    part = np.repeat(np.arange(len(edges)), np.diff(edges, prepend=0))
    streams, suspects = [], np.zeros(len(whole), np.bool_)
    for asked in _asked(whole, old, probabilities, seen, event):
        stream = _watched(asked, part, alpha / (_FAMILIES * asked.tests))
        streams.append(stream)
        if stream.alarm:
            suspects |= asked.events & asked.counted & ~old
    streams.sort(key=lambda stream: stream.p / stream.limit)
    parts = [slice(start, end) for start, end in pairwise(edges.tolist())]
    return Drip(
        tuple(streams),
        tuple(suspects[rows] for rows in parts),
        tuple(int(event[rows].sum()) for rows in parts),
        tuple(seen[rows] for rows in parts),
    )


def stacked(sides: Sequence[Dataset]) -> Dataset:
    """Return the rows of several sides with the same meaning as one; group numbers and rows stay as they are."""
    first = sides[0]
    for side in sides[1:]:
        if side.classes != first.classes or [c.name for c in side.columns] != [c.name for c in first.columns]:
            raise InvalidInput("rows with other columns or classes cannot be put together.")
    groups = [side.groups for side in sides]
    sources = [side.sources for side in sides]
    return Dataset(
        first.kind,
        np.concatenate([side.x for side in sides]),
        np.concatenate([side.y for side in sides]),
        first.classes,
        first.columns,
        np.concatenate([side.rows for side in sides]),
        None if any(one is None for one in groups) else np.concatenate([one for one in groups if one is not None]),
        None if any(one is None for one in sources) else np.concatenate([s for s in sources if s is not None]),
    )


@dataclass(frozen=True, slots=True, eq=False)
class _Asked:
    """What a stream asks.

    tests: so many share the family's limit. All (n,): counted: its rows. given: whether the label is one that is asked about.
    odds: against that, by the models, whatever label was given. events: of the rows with such a label.
    """

    name: str
    tests: int
    counted: Mask
    given: Mask
    odds: Doubles
    events: Mask


def _odds(one: Doubles, other: Doubles) -> Doubles:
    return (one + _LEAST) / (other + _LEAST)


def _asked(side: Dataset, old: Mask, probabilities: Doubles, seen: Labels, event: Mask) -> Iterator[_Asked]:
    """Yield every stream, family by family: all rows, by label, by pair of labels, by source. seen, event: as `drip` has them."""
    everything, names, known = np.ones(len(side), np.bool_), side.classes, len(side.classes)
    top = probabilities.max(axis=1)
    denied, firmness = side.y != probabilities.argmax(axis=1), _odds(top, 1 - top)
    yield _Asked("all rows", 1, everything, denied, firmness, event)
    own = [side.y == label for label in range(known)]
    for rows, name, likely in zip(own, names, probabilities.T, strict=True):
        yield _Asked(f"labelled {name!r}", known, everything, rows, _odds(1 - likely, likely), event & rows)
    # All pairs share the limit, also those that no row is of: which occur is not known before the rows are.
    for label, other in np.unique(np.stack([side.y[~old], seen[~old]]), axis=1).T.tolist():
        name = f"labelled {names[label]!r}, seen as {names[other]!r}"
        against = _odds(probabilities[:, other], probabilities[:, label])
        events = event & own[label] & (seen == other)
        yield _Asked(name, known * (known - 1), own[label] | own[other], own[label], against, events)
    if side.sources is None:
        return
    # Held against all trusted rows, for a source may be new; the share of one does not depend on those that come after.
    for place, sender in enumerate(dict.fromkeys(side.sources[~old].tolist()), start=1):
        rows = old | (side.sources == sender)
        yield _Asked(f"from {sender!r}", place * (place + 1), rows, denied, firmness, event)


def _watched(asked: _Asked, part: Labels, alpha: float) -> Stream:
    """Return the stream at the first look that alarms, or at the last one. part: (n,) 0 for trusted rows, else the batch."""
    looks, strata = int(part.max()), len(_WEIGHTS)
    cell = (part * strata + np.digitize(asked.odds, _EDGES)) * 2 + asked.given
    counts = np.bincount(cell[asked.counted], minlength=(looks + 1) * strata * 2).reshape(looks + 1, strata, 2)
    rows, events = counts.sum(axis=(1, 2)), np.bincount(part[asked.counted & asked.events], minlength=looks + 1)
    for look in range(1, looks + 1):
        upto = slice(1, look + 1)
        p, limit = chance(counts[0], counts[upto].sum(axis=0)), alpha / (look * (look + 1))
        stream = Stream(
            asked.name,
            look,
            int(events[0]),
            int(rows[0]),
            int(events[upto].sum()),
            int(rows[upto].sum()),
            p,
            limit,
        )
        if stream.alarm:
            break
    return stream


def chance(trusted: Labels, new: Labels) -> float:
    """Return how likely as large a weighted number of given labels or larger is among the new rows, if they are as the trusted.

    trusted, new: (6, 2) rows of each stratum, without and with the label that is asked about. Exact where it is below about
    2 %: strata are independent given their sums, and each is hypergeometric; a normal tail where it is more.
    """
    from scipy.signal import fftconvolve
    from scipy.stats import hypergeom, norm

    found, given, drawn = (trusted + new).sum(axis=1), (trusted + new)[:, 1], new.sum(axis=1)
    share = given / np.maximum(found, 1)
    spread = drawn * share * (1 - share) * (found - drawn) / np.maximum(found - 1, 1)
    excess, deviation = _WEIGHTS @ (new[:, 1] - drawn * share), np.sqrt(_WEIGHTS**2 @ spread)
    if excess <= 2 * deviation:
        return float(norm.sf(excess / deviation)) if deviation else 1.0
    sums = np.ones(1)
    for weight, of, hits, taken in zip(_WEIGHTS, found, given, drawn, strict=True):
        if not (hits and taken):
            continue  # nothing of it can come
        counts = np.arange(min(hits, taken) + 1)
        likely = np.zeros(weight * counts[-1] + 1)
        likely[::weight] = hypergeom.pmf(counts, of, hits, taken)
        sums = fftconvolve(sums, likely)
    return float(np.clip(sums[_WEIGHTS @ new[:, 1] :].sum(), _ROUNDING, 1.0))
