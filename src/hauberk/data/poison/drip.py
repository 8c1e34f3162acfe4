"""Slow-drip poisoning: poison spread thinly over many batches, so that each batch passes on its own but the sequence does not.

Cross-fitted models, trained on trusted rows only, predict every row. The labels of honest batches contradict these models as
often, and as strongly, as the trusted labels do. An attacker who stays below the alarm in each batch adds a few
contradictions each time, in one class, one pair of classes or from one source, and they accumulate. So all batches since the
trusted state are compared with the trusted rows together, in several streams.

A stream counts how often its label (or labels) was given, within six strata of rows for which the models predict that label
with similar odds: from "predicted" to "another label is thirty times as likely". Within a stratum trusted and new rows are
exchangeable, so the count among the new rows is hypergeometric, whatever rows the batches contain. The counts of the strata
are summed with weights, each one over the probability of the label in the stratum. These are the most powerful weights
against a small share of flipped labels (the score test; without weights the sum is Mantel's of 1963). The tail probability
of the sum is computed exactly, by convolution. So where classes overlap, the many weak contradictions contribute as much as
the few strong ones.

The test is repeated at each batch (a "look"). Look k may spend alpha / (k (k + 1)), which sums to alpha over any number of
looks, and the streams share each look's part (Bonferroni). An honest sequence of any length therefore raises an alarm with
probability at most alpha, as long as its labels follow the distribution of the trusted ones.

Answers: label flips, dirty-label backdoors and a source that turns bad, spread over batches. Does not answer: clean-label
poison, which contradicts no model; an honest change of the labels' distribution, which looks the same and needs a person's
judgement; poison among the trusted rows.
Source: Mantel 1963, "Chi-square tests with one degree of freedom"; Lan, DeMets 1983 for spending alpha over looks.
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

ALPHA = 0.01  # default probability of a false alarm over all looks and streams
_FIRM = 10.0  # odds against the label from which a row is an event, and a suspect if its stream alarms
_EDGES = (1 / 3, 1.0, 3.0, 10.0, 30.0)  # edges of the six strata, in odds against the stream's label
_WEIGHTS = np.array(
    [1, 2, 3, 6, 18, 50]
)  # 1 + odds near the middle of each stratum: one over the label's probability
_LEAST = 1e-3  # added to probabilities before odds are taken
_ROUNDING = 1e-15  # smallest p-value: below it the convolution is rounding error
_FEWEST = 50  # trusted rows, at least
_FAMILIES = 4  # of streams: all rows, labels, pairs of labels, sources; each gets a quarter of alpha


@dataclass(frozen=True, slots=True)
class Stream:
    """One tested count, compared between the trusted rows and the rows that arrived since.

    name: "all rows", "labelled 'cat'", "labelled 'cat', seen as 'dog'", or "from 'east'". look: number of batches included:
    up to the first alarm, or all. trusted_events, events: number of rows, among the trusted and the new ones, whose label the
    models contradict with odds of at least ten to one. trusted_rows, rows: number of rows counted. p: one-sided p-value, exact
    below about 2 %. limit: part of alpha that this look may spend on this stream.
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
        """Whether p is below the limit."""
        return self.p < self.limit


@dataclass(frozen=True, slots=True, eq=False)
class Drip:
    """The result of `drip`.

    streams: all tested counts, the smallest p relative to its limit first. suspects: one (n,) mask a batch: the events of
    the streams that alarm. events: number of contradicted rows in each batch. seen: one (n,) array a batch: the most likely
    class of each row other than its label, by the models of the trusted rows.
    """

    streams: tuple[Stream, ...]
    suspects: tuple[Mask, ...]
    events: tuple[int, ...]
    seen: tuple[Labels, ...]

    @property
    def alarms(self) -> tuple[Stream, ...]:
        """The streams whose p is below their limit."""
        return tuple(stream for stream in self.streams if stream.alarm)

    def to_json(self, most: int = 20) -> dict[str, Any]:
        """Return the counts, and the first `most` streams, as JSON values; no rows."""
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
    """Test all rows that arrived since the trusted state, over all batches together, against the trusted rows.

    batches: in order of arrival, with the columns and classes of `trusted`; include rows that were quarantined later, because
    the test is about what was sent. An alarm after an earlier batch stays an alarm. alpha: probability of a false alarm over
    any number of batches, in (0, 1). Raises InvalidInput for fewer than 50 trusted rows, trusted rows of one class, or
    differing columns or classes. Cost: five small models of the trusted rows, some seconds for ten thousand.
    """
    if len(trusted) < _FEWEST or len(np.unique(trusted.y)) < 2:
        raise InvalidInput(
            f"the trusted history has {len(trusted)} rows of {len(np.unique(trusted.y))} classes, too few to judge new "
            f"batches: provide at least {_FEWEST} rows of two classes."
        )
    if not (0 < alpha < 1):
        raise InvalidInput(f"expected alpha in (0, 1), found {alpha}.")
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
    for question in _questions(whole, old, probabilities, seen, event):
        stream = _tested(question, part, alpha / (_FAMILIES * question.tests))
        streams.append(stream)
        if stream.alarm:
            suspects |= question.events & question.counted & ~old
    streams.sort(key=lambda stream: stream.p / stream.limit)
    parts = [slice(start, end) for start, end in pairwise(edges.tolist())]
    return Drip(
        tuple(streams),
        tuple(suspects[rows] for rows in parts),
        tuple(int(event[rows].sum()) for rows in parts),
        tuple(seen[rows] for rows in parts),
    )


def stacked(sides: Sequence[Dataset]) -> Dataset:
    """Return several data sets with the same columns and classes as one; group and row numbers are kept as they are.

    Raises InvalidInput if columns or classes differ. Groups, and sources, are dropped unless every data set has them.
    """
    first = sides[0]
    for side in sides[1:]:
        if side.classes != first.classes or [c.name for c in side.columns] != [c.name for c in first.columns]:
            raise InvalidInput(
                "the data sets differ in columns or classes and cannot be joined: read them with one specification."
            )
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
class _Question:
    """One stream before it is tested.

    tests: number of tests that share the family's part of alpha. The rest are (n,): counted: mask of the rows that are
    counted. given: whether the row has the label, or one of the labels, that is counted. odds: the models' odds against that
    label, whatever label was given. events: rows with such a label that the models contradict.
    """

    name: str
    tests: int
    counted: Mask
    given: Mask
    odds: Doubles
    events: Mask


def _odds(one: Doubles, other: Doubles) -> Doubles:
    return (one + _LEAST) / (other + _LEAST)


def _questions(side: Dataset, old: Mask, probabilities: Doubles, seen: Labels, event: Mask) -> Iterator[_Question]:
    """Yield every stream, family by family: all rows, by label, by pair of labels, by source. seen, event: as in `drip`."""
    everything, names, known = np.ones(len(side), np.bool_), side.classes, len(side.classes)
    top = probabilities.max(axis=1)
    denied, firmness = side.y != probabilities.argmax(axis=1), _odds(top, 1 - top)
    yield _Question("all rows", 1, everything, denied, firmness, event)
    own = [side.y == label for label in range(known)]
    for rows, name, likely in zip(own, names, probabilities.T, strict=True):
        yield _Question(f"labelled {name!r}", known, everything, rows, _odds(1 - likely, likely), event & rows)
    # Bonferroni over all ordered label pairs, including pairs that do not occur, because which pairs occur depends on the data.
    for label, other in np.unique(np.stack([side.y[~old], seen[~old]]), axis=1).T.tolist():
        name = f"labelled {names[label]!r}, seen as {names[other]!r}"
        against = _odds(probabilities[:, other], probabilities[:, label])
        events = event & own[label] & (seen == other)
        yield _Question(name, known * (known - 1), own[label] | own[other], own[label], against, events)
    if side.sources is None:
        return
    # Each source is compared with all trusted rows, because it may be new. The k-th source gets 1 / (k (k + 1)) of the limit,
    # which does not depend on sources that arrive later.
    for place, sender in enumerate(dict.fromkeys(side.sources[~old].tolist()), start=1):
        rows = old | (side.sources == sender)
        yield _Question(f"from {sender!r}", place * (place + 1), rows, denied, firmness, event)


def _tested(question: _Question, part: Labels, alpha: float) -> Stream:
    """Return the stream at its first alarm, or at the last look. part: (n,) 0 for trusted rows, else the batch's number."""
    looks, strata, counted = int(part.max()), len(_WEIGHTS), question.counted
    cell = (part * strata + np.digitize(question.odds, _EDGES)) * 2 + question.given
    counts = np.bincount(cell[counted], minlength=(looks + 1) * strata * 2).reshape(looks + 1, strata, 2)
    rows, events = counts.sum(axis=(1, 2)), np.bincount(part[counted & question.events], minlength=looks + 1)
    for look in range(1, looks + 1):
        upto = slice(1, look + 1)
        p, limit = chance(counts[0], counts[upto].sum(axis=0)), alpha / (look * (look + 1))
        stream = Stream(
            question.name,
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
    """Return the one-sided p-value of the weighted number of labels among the new rows, if they are like the trusted rows.

    trusted, new: (6, 2) int64 counts of each stratum, without and with the label. Given its margins each stratum is
    hypergeometric, independent of the others. Exact below about 2 % (two standard deviations); a normal tail above.
    """
    from scipy.signal import fftconvolve
    from scipy.stats import hypergeom, norm

    total, given, drawn = (trusted + new).sum(axis=1), (trusted + new)[:, 1], new.sum(axis=1)
    share = given / np.maximum(total, 1)
    spread = drawn * share * (1 - share) * (total - drawn) / np.maximum(total - 1, 1)
    excess, deviation = _WEIGHTS @ (new[:, 1] - drawn * share), np.sqrt(_WEIGHTS**2 @ spread)
    if excess <= 2 * deviation:
        return float(norm.sf(excess / deviation)) if deviation else 1.0
    sums = np.ones(1)
    for weight, of, hits, taken in zip(_WEIGHTS, total, given, drawn, strict=True):
        if not (hits and taken):
            continue  # the stratum's count is 0 for certain
        counts = np.arange(min(hits, taken) + 1)
        likely = np.zeros(weight * counts[-1] + 1)
        likely[::weight] = hypergeom.pmf(counts, of, hits, taken)
        sums = fftconvolve(sums, likely)
    return float(np.clip(sums[_WEIGHTS @ new[:, 1] :].sum(), _ROUNDING, 1.0))
