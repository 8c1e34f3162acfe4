"""Splitting rows into a training and a test side, stratified by class, with no group on both sides.

Frames of one film, or visits of one patient, on both sides would make a model look better than it is. Groups are assigned
greedily, the largest first, each to the side where it brings the class shares closer to the requested ones (the idea of
scikit-learn's StratifiedGroupKFold, for one split instead of k folds).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from hauberk.core.errors import InvalidInput
from hauberk.data.reading.dataset import Labels


def split_rows(
    y: Labels, groups: Labels | None, *, share: float, classes: Sequence[str], rng: np.random.Generator
) -> tuple[Labels, Labels]:
    """Return (training rows, test rows): sorted row numbers; each row is in exactly one of them.

    y: (n,) in [0, len(classes)). groups: (n,) or None. share: share of test rows, in (0, 1), met in each class as closely as
    rows and groups allow. Every class is on both sides. Raises InvalidInput naming a class for which that is impossible.
    """
    if not 0 < share < 1:
        raise InvalidInput(f"expected a share of test rows above 0 and below 1, found {share}.")
    test = _by_class(y, share, classes, rng) if groups is None else _by_group(y, groups, share, classes, rng)
    return np.flatnonzero(~test), np.flatnonzero(test)


def sample_rows(y: Labels, count: int, *, rng: np.random.Generator) -> Labels:
    """Return at most `count` row numbers, sorted, with the class shares of y and at least one row of each class."""
    if count >= len(y):
        return np.arange(len(y))
    present, sizes = np.unique(y, return_counts=True)
    if count < len(present):
        raise InvalidInput(f"a sample of {count} rows cannot hold {len(present)} classes: raise the limit.")
    wanted = np.maximum(1, np.floor(sizes * count / len(y)).astype(np.int64))
    while wanted.sum() > count:
        wanted[np.argmax(wanted)] -= 1
    for index in np.argsort(wanted - sizes * count / len(y), kind="stable")[: count - int(wanted.sum())]:
        wanted[index] += 1
    chosen = [
        rng.permutation(np.flatnonzero(y == label))[:size] for label, size in zip(present, wanted, strict=True)
    ]
    return np.sort(np.concatenate(chosen))


def _by_class(y: Labels, share: float, classes: Sequence[str], rng: np.random.Generator) -> np.ndarray:
    test = np.zeros(len(y), bool)
    for label, name in enumerate(classes):
        rows = rng.permutation(np.flatnonzero(y == label))
        if len(rows) < 2:
            raise InvalidInput(
                f"class {name!r} has {len(rows)} row(s) and cannot be on both sides of a split: remove the class, merge it "
                "with another, or name test files."
            )
        test[rows[: min(len(rows) - 1, max(1, round(share * len(rows))))]] = True
    return test


def _by_group(
    y: Labels, groups: Labels, share: float, classes: Sequence[str], rng: np.random.Generator
) -> np.ndarray:
    names, member = np.unique(groups, return_inverse=True)
    counts = np.zeros((len(names), len(classes)))
    np.add.at(counts, (member, y), 1)
    for label, name in enumerate(classes):
        if np.count_nonzero(counts[:, label]) < 2:
            raise InvalidInput(
                f"class {name!r} is in one group only and cannot be on both sides while groups are kept together: remove the "
                "class, choose another group, or name test files."
            )
    weights = 1 / counts.sum(axis=0)  # so that rare classes count as much as frequent ones
    shuffled = rng.permutation(len(names))
    order = shuffled[np.argsort(-counts[shuffled].sum(axis=1), kind="stable")]
    missing = np.full(len(classes), share)  # for each class, the share of its rows that the test side still lacks
    chosen = np.zeros(len(names), bool)
    for group in order:
        gain = counts[group] * weights
        if gain @ (2 * missing - gain) > 0:  # the squared distance to the requested shares decreases
            chosen[group], missing = True, missing - gain
    _repair(chosen, counts, classes)
    return chosen[member]


def _repair(chosen: np.ndarray, counts: np.ndarray, classes: Sequence[str]) -> None:
    """Move the smallest groups needed to have each class on both sides; changes `chosen` in place."""
    for side in (True, False, True, False):
        for label in range(len(classes)):
            if counts[chosen == side, label].any():
                continue
            movable = [
                group
                for group in np.flatnonzero((chosen != side) & (counts[:, label] > 0))
                if (counts[(chosen != side), :].sum(axis=0) - counts[group] > 0)[counts[group] > 0].all()
            ]
            if movable:
                chosen[min(movable, key=lambda group: (counts[group].sum(), group))] = side
    for label, name in enumerate(classes):
        for side, word in ((True, "test"), (False, "training")):
            if not counts[chosen == side, label].any():
                raise InvalidInput(
                    f"class {name!r} cannot be on the {word} side without splitting a group: remove the class, choose "
                    "another group, or name test files."
                )
