# ruff: noqa: ANN401 - as in `_nets`
"""Tests whether suspects share a mark (a trigger) that honest rows lack, and finds the other rows that carry it.

`transfers` separates a mark from picture content. It trains a network to tell suspects that look like some classes from
honest rows of those classes and honest rows with the suspects' label, and then applies it to suspects that look like
*other* classes. Rows that are merely hard or mislabelled have nothing in common across contents, so the network does not
recognise them; rows that carry the same trigger are recognised.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from hauberk.core.extras import need
from hauberk.data.poison.detectors import _nets
from hauberk.data.poison.neighbours import pooled
from hauberk.data.reading.dataset import Doubles, Labels, Mask

_PARTS = 3  # folds; content classes are distributed over them
_BATCH = 64  # rows
_STEPS = 120  # training steps of `transfers`
_SPREAD_STEPS = 200  # training steps of `spread`
_WIDTHS = (16, 32)
_MOST = 300  # suspects that are tested, the clearest first; more only cost time
_COARSE, _ALIKE = 8, 0.97  # pictures whose 8 x 8 shading correlates this much are near-duplicates
_ALARMS = 0.01  # share of honest rows that may pass as recognised
_HARD_ALARMS = 0.1  # share of other classes' suspects that may pass; larger, because some of them may be poison too


def transfers(  # noqa: PLR0913 - suspects, two reference groups and the seeds
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
    """Return the suspects that are recognised by a mark learned from other suspects, and the number of suspects tested.

    A suspect is recognised if its probability exceeds that of 99 % of the honest rows and of 90 % of `others`. Without a
    common mark, few suspects are returned. Returns ([], 0) when there are too few rows to train on.

    pictures: (n, c, h, w) tensor. y: (n,) labels. suspects: row numbers, the clearest first. others: row numbers of suspects
    with other labels; they are as hard as the suspects, so they separate a mark from mere hardness. looks: (n,) the class
    that each row appears to show. honest: (n,) mask of rows above suspicion. Only one of several near-duplicate pictures is
    tested, because frames of one film recognise each other without any mark.
    """
    suspects = _apart(pictures, suspects)[:_MOST]
    part = _by_content(looks[suspects])
    rows, parts = [suspects], [part]
    for label in np.unique(looks[suspects]):
        alike = looks[suspects] == label
        reference = rng.permutation(np.flatnonzero((y == label) & honest))[: max(10, 2 * int(alike.sum()))]
        rows.append(reference)
        parts.append(np.full(len(reference), part[alike][0]))
    typical = rng.permutation(np.flatnonzero(np.isin(y, np.unique(y[suspects])) & honest))[: 3 * len(suspects)]
    rows.append(typical)
    parts.append(rng.integers(0, _PARTS, len(typical)))
    learned = sum(len(each) for each in rows)
    rows.append(rng.permutation(others)[:_MOST])
    parts.append(rng.integers(0, _PARTS, len(rows[-1])))
    every, place = np.concatenate(rows), np.concatenate(parts)
    marked = np.arange(len(every)) < len(suspects)
    probability = np.full(len(every), np.nan)
    for number in range(_PARTS):
        fit, held_out = np.flatnonzero(place[:learned] != number), np.flatnonzero(place == number)
        if marked[fit].sum() < 8 or not len(held_out) or (~marked[fit]).sum() < 8:
            continue
        net = _trained(
            pictures, every[fit[marked[fit]]], every[fit[~marked[fit]]], steps=_STEPS, seed=seed + number
        )
        probability[held_out] = _nets.predict(net, _at(pictures, every[held_out]))[:, 1]
    tested = ~np.isnan(probability)
    free = probability[len(suspects) : learned][tested[len(suspects) : learned]]
    if not (tested & marked).any() or len(free) < 20:
        return suspects[:0], 0
    threshold = float(np.quantile(free, 1 - _ALARMS))
    hard = probability[learned:][tested[learned:]]
    if len(hard) >= 20:
        threshold = max(threshold, float(np.quantile(hard, 1 - _HARD_ALARMS)))
    recognised = tested & marked & (probability > threshold)
    return every[recognised], int((tested & marked).sum())


def spread(  # noqa: PLR0913 - suspects, reference rows, rows to score and the seeds
    pictures: Any,
    *,
    suspects: Labels,
    honest: Labels,
    scope: Labels,
    seed: int,
    rng: np.random.Generator,
) -> Doubles:
    """Return (len(scope),) out-of-fold probabilities that each row carries the suspects' mark.

    Two rounds: the second learns from the rows that the first recognised, so honest suspects drop out and missed rows come
    in. suspects, honest, scope: row numbers. Returns zeros, or the first round, when too few rows are left to train on.
    """
    probability = np.zeros(len(scope))
    for turn in range(2):
        part = rng.integers(0, _PARTS, int(max(scope.max(), suspects.max(), honest.max())) + 1)
        fresh = np.zeros(len(scope))
        for number in range(_PARTS):
            positive, negative = suspects[part[suspects] != number], honest[part[honest] != number]
            if len(positive) < 4 or len(negative) < 4:
                return probability
            net = _trained(pictures, positive, negative, steps=_SPREAD_STEPS, seed=seed + 10 * turn + number)
            held_out = part[scope] == number
            fresh[held_out] = _nets.predict(net, _at(pictures, scope[held_out]))[:, 1]
        probability = fresh
        carries, free = scope[probability > 0.9], scope[probability < 0.1]
        if turn == 0 and len(carries) >= 8:
            suspects = carries
            honest = np.union1d(np.setdiff1d(honest, carries), free)
    return probability


def _trained(pictures: Any, positive: Labels, negative: Labels, *, steps: int, seed: int) -> Any:
    """Return a network trained to separate the positive from the negative rows."""
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
    """Return the rows, in their order, without near-duplicates of an earlier row."""
    grey = pooled(_at(pictures, rows).mean(1, keepdim=True).cpu().numpy(), _COARSE).reshape(len(rows), -1)
    grey = grey - grey.mean(axis=1, keepdims=True)
    grey /= np.linalg.norm(grey, axis=1, keepdims=True) + 1e-9
    kept: list[int] = []
    for row in range(len(rows)):
        if not kept or (grey[kept] @ grey[row]).max() < _ALIKE:
            kept.append(row)
    return rows[kept]


def _by_content(looks: Labels) -> Labels:
    """Return (n,) fold numbers: rows that look like one class share a fold, and the folds are about equally large."""
    classes, counts = np.unique(looks, return_counts=True)
    load = np.zeros(_PARTS)
    part_of: dict[int, int] = {}
    for index in np.argsort(-counts, kind="stable"):
        part_of[int(classes[index])] = int(load.argmin())
        load[load.argmin()] += counts[index]
    return np.array([part_of[int(look)] for look in looks], np.int64)
