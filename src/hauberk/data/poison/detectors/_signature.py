# ruff: noqa: ANN401 - as in `_nets`
"""Signatures: do some suspects share a mark that honest rows lack, and which other rows carry it?

The question of `transfers` is asked so that content cannot answer it: a network is shown suspects that look like some
classes, beside honest rows of those classes and typical rows of the suspects' own, and is then asked about suspects
that look like other classes. Rows that are merely hard, or wrongly labelled, have nothing in common across what they
show; rows that carry one trigger do.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from hauberk.core.extras import need
from hauberk.data.poison.detectors import _nets
from hauberk.data.poison.neighbours import pooled
from hauberk.data.reading.dataset import Doubles, Labels, Mask

_PARTS = 3
_BATCH = 64
_STEPS = 120
_SPREAD_STEPS = 200
_WIDTHS = (16, 32)
_MOST = 300  # suspects, the clearest first, that the question is asked about
_COARSE, _ALIKE = 8, 0.97  # pixels a side, and the correlation from which two pictures are nearly alike
_ALARMS = 0.01  # of the honest rows may look like suspects while suspects are counted
_HARD_ALARMS = 0.1  # of other classes' suspects, among whom there may be poison too


def transfers(  # noqa: PLR0913 - what is asked about, and against what
    pictures: Any,
    y: Labels,
    *,
    suspects: Labels,
    others: Labels,
    looks: Labels,
    honest: Mask,
    rng: np.random.Generator,
    seed: int,
) -> tuple[Labels, int]:
    """Return the suspects that are known by others' mark alone, and how many were asked.

    Known is who carries it more than 99 of 100 honest rows, and than 9 of 10 of the `others`: suspects of other classes, as
    hard as these, who tell a mark from hardness. pictures: (n, c, h, w). suspects: rows, the clearest first. looks: (n,) the
    class that each row seems to be of. honest: (n,) rows above suspicion. Of pictures nearly alike one is asked about: frames of
    one film know each other without any mark. Few of many where there is no common mark; none of
    none where it cannot be asked.
    """
    suspects = _apart(pictures, suspects)[:_MOST]
    part = _by_content(looks[suspects])
    rows, parts = [suspects], [part]
    for label in np.unique(looks[suspects]):
        alike = looks[suspects] == label
        found = rng.permutation(np.flatnonzero((y == label) & honest))[: max(10, 2 * int(alike.sum()))]
        rows.append(found)
        parts.append(np.full(len(found), part[alike][0]))
    typical = rng.permutation(np.flatnonzero(np.isin(y, np.unique(y[suspects])) & honest))[: 3 * len(suspects)]
    rows.append(typical)
    parts.append(rng.integers(0, _PARTS, len(typical)))
    learned = sum(len(each) for each in rows)
    rows.append(rng.permutation(others)[:_MOST])
    parts.append(rng.integers(0, _PARTS, len(rows[-1])))
    every, place = np.concatenate(rows), np.concatenate(parts)
    marked = np.arange(len(every)) < len(suspects)
    said = np.full(len(every), np.nan)
    for number in range(_PARTS):
        fit, ask = np.flatnonzero(place[:learned] != number), np.flatnonzero(place == number)
        if marked[fit].sum() < 8 or not len(ask) or (~marked[fit]).sum() < 8:
            continue
        net = _told(pictures, every[fit[marked[fit]]], every[fit[~marked[fit]]], steps=_STEPS, seed=seed + number)
        said[ask] = _nets.ask(net, _at(pictures, every[ask]))[:, 1]
    asked = ~np.isnan(said)
    free = said[len(suspects) : learned][asked[len(suspects) : learned]]
    if not (asked & marked).any() or len(free) < 20:
        return suspects[:0], 0
    bar = float(np.quantile(free, 1 - _ALARMS))
    hard = said[learned:][asked[learned:]]
    if len(hard) >= 20:
        bar = max(bar, float(np.quantile(hard, 1 - _HARD_ALARMS)))
    known = asked & marked & (said > bar)
    return every[known], int((asked & marked).sum())


def spread(  # noqa: PLR0913 - as above
    pictures: Any,
    *,
    suspects: Labels,
    honest: Labels,
    scope: Labels,
    seed: int,
    rng: np.random.Generator,
) -> Doubles:
    """Return (len(scope),) how much each row carries the suspects' mark, by networks that did not learn from it.

    Twice: what the first round finds is what the second learns from, so suspects who were honest drop out and rows
    that were missed come in.
    """
    said = np.zeros(len(scope))
    for turn in range(2):
        part = rng.integers(0, _PARTS, int(max(scope.max(), suspects.max(), honest.max())) + 1)
        fresh = np.zeros(len(scope))
        for number in range(_PARTS):
            positive, negative = suspects[part[suspects] != number], honest[part[honest] != number]
            if len(positive) < 4 or len(negative) < 4:
                return said
            net = _told(pictures, positive, negative, steps=_SPREAD_STEPS, seed=seed + 10 * turn + number)
            ask = part[scope] == number
            fresh[ask] = _nets.ask(net, _at(pictures, scope[ask]))[:, 1]
        said = fresh
        carries, free = scope[said > 0.9], scope[said < 0.1]
        if turn == 0 and len(carries) >= 8:
            suspects = carries
            honest = np.union1d(np.setdiff1d(honest, carries), free)
    return said


def _told(pictures: Any, positive: Labels, negative: Labels, *, steps: int, seed: int) -> Any:
    """Return a network that tells the positive rows from the negative ones."""
    torch = need("torch")
    marked = torch.zeros(len(pictures), dtype=torch.int64, device=pictures.device)
    marked[torch.from_numpy(positive)] = 1
    return _nets.learn(
        pictures,
        marked,
        classes=2,
        batches=_nets.balanced(positive, negative, _BATCH),
        steps=steps,
        seed=seed,
        widths=_WIDTHS,
        smoothing=0.0,
    )


def _at(pictures: Any, rows: Labels) -> Any:
    return pictures[need("torch").from_numpy(rows)]


def _apart(pictures: Any, rows: Labels) -> Labels:
    """Return the rows that are not nearly alike one before them, in their order."""
    grey = pooled(_at(pictures, rows).mean(1, keepdim=True).cpu().numpy(), _COARSE).reshape(len(rows), -1)
    grey = grey - grey.mean(axis=1, keepdims=True)
    grey /= np.linalg.norm(grey, axis=1, keepdims=True) + 1e-9
    kept: list[int] = []
    for row in range(len(rows)):
        if not kept or (grey[kept] @ grey[row]).max() < _ALIKE:
            kept.append(row)
    return rows[kept]


def _by_content(looks: Labels) -> Labels:
    """Return (n,) a part for each row, so that what looks alike is in one part and parts are about equally large."""
    classes, counts = np.unique(looks, return_counts=True)
    load = np.zeros(_PARTS)
    part_of: dict[int, int] = {}
    for index in np.argsort(-counts, kind="stable"):
        part_of[int(classes[index])] = int(load.argmin())
        load[load.argmin()] += counts[index]
    return np.array([part_of[int(look)] for look in looks], np.int64)
