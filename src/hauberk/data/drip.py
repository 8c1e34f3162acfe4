"""Slow-drip poisoning: batches of which each passes and whose sequence does not, held against a trusted history.

Models that learned from the trusted rows alone are asked about every row, each trusted row by a model that did not see it.
A row of which they make another label ten, or thirty, times as likely as the given one is an *event*. Honest batches have
events as often as the trusted rows; a poisoner who stays below the alarm in each batch has a few more of them each time, in
one class, one pair of classes or from one source, and they add up. So the counts of all batches since the trusted state are
compared with those of the trusted rows, in several streams, by Fisher's exact test.

The test is repeated with each batch. Look number k may spend alpha / (k (k + 1)), which sums up to alpha over any
number of looks, and streams share a look's part: an honest sequence of any length is stopped with probability alpha at
most, as long as its rows come from the distribution of the trusted ones.

Answers: label flips, dirty-label backdoors and a source gone bad, spread over batches. Does not answer: clean-label poison,
which no model denies; a change in the world that is honest, which looks the same and is for a person to judge; poison that
was in the trusted rows. Source: Fisher 1935 (exact test); Lan, DeMets 1983 for the spending of alpha over looks.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from itertools import pairwise, product
from typing import Any

import numpy as np

from hauberk.core.errors import InvalidInput
from hauberk.core.progress import Quiet, Task
from hauberk.data.dataset import Dataset, Doubles, Labels, Mask

ALPHA = 0.01
_ODDS = (10.0, 30.0)  # so many times as likely is another class: where classes overlap, the firmer tells more
_LEAST = 1e-3
_FEWEST = 50
_FAMILIES = 4


@dataclass(frozen=True, slots=True)
class Stream:
    """One count, among the trusted rows and among those that came since.

    name: "all rows", "labelled 'cat'", "labelled 'cat', seen as 'dog'", "from 'east'". odds: so many times as likely as the
    given label is another one in an event. trusted_events of trusted_rows, events of rows, up to batch number `look`: the
    one that raised the alarm, else the last. p: of as many events or more by chance (one-sided). limit: what that look may
    spend on this stream.
    """

    name: str
    odds: float
    look: int
    trusted_events: int
    trusted_rows: int
    events: int
    rows: int
    p: float
    limit: float

    @property
    def alarm(self) -> bool:
        """Whether honest rows would give as many events less often than the limit."""
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
    from hauberk.data.poisoning._folds import by_trusted

    probabilities = by_trusted(whole, old, seed=seed, task=task or Quiet())
    contradiction, seen = _contradiction(whole, probabilities)
    event = contradiction >= _ODDS[0]
    edges = np.cumsum([len(trusted), *map(len, batches)])
    streams, suspects = [], np.zeros(len(whole), np.bool_)
    for family in _families(whole, old, seen):
        for (name, rows, tests), odds in product(family, _ODDS):
            marked = (contradiction >= odds) & rows.marked
            share = alpha / (_FAMILIES * len(_ODDS) * tests)
            stream = _watched(name, odds, marked, rows.counted, edges, share)
            streams.append(stream)
            if stream.alarm:
                suspects |= marked & ~old
    streams.sort(key=lambda stream: stream.p / stream.limit)
    parts = [slice(start, end) for start, end in pairwise(edges.tolist())]
    return Drip(
        tuple(streams),
        tuple(suspects[part] for part in parts),
        tuple(int(event[part].sum()) for part in parts),
        tuple(seen[part] for part in parts),
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
class _Counted:
    """counted: (n,) the rows of a stream. marked: (n,) those of them whose event counts."""

    counted: Mask
    marked: Mask


def _contradiction(side: Dataset, probabilities: Doubles) -> tuple[Doubles, Labels]:
    """Return (n,) how many times as likely the best other class is as the given one, and that class."""
    each = np.arange(len(side))
    others = probabilities.copy()
    others[each, side.y] = 0
    best = others.argmax(axis=1)
    return (others[each, best] + _LEAST) / (probabilities[each, side.y] + _LEAST), best.astype(np.int64)


def _families(side: Dataset, old: Mask, seen: Labels) -> Iterator[list[tuple[str, _Counted, int]]]:
    """Yield the families of streams: name, rows, and how many share the limit of the family."""
    everything, names, known = np.ones(len(side), np.bool_), side.classes, len(side.classes)
    yield [("all rows", _Counted(everything, everything), 1)]
    own = [side.y == label for label in range(known)]
    yield [(f"labelled {name!r}", _Counted(rows, rows), known) for name, rows in zip(names, own, strict=True)]
    pairs = np.unique(np.stack([side.y[~old], seen[~old]]), axis=1).T.tolist()
    # All pairs share the limit, also those that no row is of: which occur is not known before the rows are.
    yield [
        (
            f"labelled {names[label]!r}, seen as {names[other]!r}",
            _Counted(own[label], own[label] & (seen == other)),
            known * (known - 1),
        )
        for label, other in pairs
    ]
    senders = [] if side.sources is None else list(dict.fromkeys(side.sources[~old].tolist()))
    # Held against all trusted rows, for a source may be new; the share of one does not depend on those that come after.
    masks = [old | (side.sources == name) for name in senders]
    yield [
        (f"from {name!r}", _Counted(rows, rows), place * (place + 1))
        for place, (name, rows) in enumerate(zip(senders, masks, strict=True), start=1)
    ]


def _watched(  # noqa: PLR0913, PLR0917 - a stream, and what it may spend
    name: str, odds: float, event: Mask, counted: Mask, edges: Labels, alpha: float
) -> Stream:
    """Return the stream at the first look that alarms, or at the last one."""
    from scipy.stats import hypergeom

    sums = [np.concatenate([[0], np.cumsum(mask)])[edges] for mask in (event, counted)]
    (a, *events), (m, *rows) = (one.tolist() for one in sums)
    for look, (upto, seen) in enumerate(zip(events, rows, strict=True), start=1):
        b, n = upto - a, seen - m
        p = float(hypergeom.sf(b - 1, m + n, a + b, n)) if b else 1.0
        stream = Stream(name, odds, look, a, m, b, n, p, alpha / (look * (look + 1)))
        if stream.alarm:
            break
    return stream
