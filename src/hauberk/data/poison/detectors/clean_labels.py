"""Clean labels: rows of one class that all carry something which no other class has, and which is not content.

Poison with right labels contradicts nothing, so it is looked for as a second kind of rows inside a class. 1. Rows are
measured in units of how rows of the other classes vary (whitening): a faint fixed pattern, which natural pictures
hardly contain, becomes large. 2. Independent components (Hyvarinen, FastICA, 1999) of the class are searched for the
one that parts it best into two. 3. The smaller part, or the one that other classes' rows are farther from, is poison
only if it is spread over what the pictures show: a part that is one kind of shoe, or one film, is content.

Answers: clean-label triggers that are added to a picture (stripes, faint patterns, patches) and dirty-label ones of
that kind. Does not answer: triggers that are not the same pattern each time, feature collisions of a few rows, or
fewer than about a twentieth of a class. Related: Hayase et al., "SPECTRE" (ICML 2021) whitens a network's features by a
robust estimate of the class itself; other classes serve here, which the poison cannot have touched.
Cost: one decomposition a class of at most 1,024 dimensions; seconds for ten thousand pictures.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass

import numpy as np

from hauberk.core.errors import InvalidInput
from hauberk.core.extras import need
from hauberk.core.progress import Task
from hauberk.data.poison.detectors import DETECTORS, Rows, Suspicion
from hauberk.data.poison.neighbours import pooled
from hauberk.data.reading.dataset import Doubles, Floats, Labels, Mask

_SIDE = 32  # pixels; larger pictures are averaged down
_COMPONENTS = 40
_LEADING = 8  # directions of largest variance that are tried as they are
_RIDGE = 1e-3
_CLUSTERS = 8
_PER_CLUSTER = 12


@dataclass(frozen=True, slots=True)
class Params:
    """parted: distance of the two means over the sum of the deviations from which a class has two parts.

    share: least part of a class, above 0 and below a half. content: Cramer's V with what the pictures show up to which a
    part is not content. fewest: rows of a class that is looked at. contradiction: natural log odds from which a blind look
    contradicts a label.
    """

    parted: float = 3.0
    share: float = 0.1
    content: float = 0.5
    fewest: int = 40
    contradiction: float = 2.0

    def __post_init__(self) -> None:
        if self.parted <= 0 or not 0 < self.share < 0.5 or not 0 < self.content <= 1 or self.fewest < 20:
            raise InvalidInput(
                "expected parted > 0, share in (0, 0.5), content in (0, 1] and fewest >= 20, found "
                f"{self.parted}, {self.share}, {self.content}, {self.fewest}."
            )


@dataclass(frozen=True, slots=True, eq=False)
class Parted:
    """A class in two parts. values: (m,) of its rows. upper: (m,) the rows of the upper part. distance: as `parted`."""

    values: Doubles
    upper: Mask
    distance: float
    others: Doubles


@DETECTORS.register(
    "clean-labels",
    practice="1a",
    threats=("poisoning",),
    summary="a part of one class that carries a pattern which is not content",
    params=Params,
    kinds=("image",),
)
def run(rows: Rows, params: Params, *, rng: np.random.Generator, task: Task) -> Suspicion:
    """Return a score for each row of a part that is poison; zeros where no class has such a part."""
    flat, against = _flat(rows.side.x), rows.contradiction[0]
    centred, spread = flat.copy(), {}
    labels = np.unique(rows.y)
    for label in labels:
        own = rows.y == label
        centred[own] -= flat[own].mean(axis=0)
        spread[int(label)] = centred[own].T @ centred[own]
    total = sum(spread.values())
    score = np.zeros(len(rows))
    reasons: dict[int, str] = {}
    notes: list[str] = []
    for number, label in enumerate(labels.tolist()):
        task.update(number / len(labels), text=rows.side.classes[label])
        own = np.flatnonzero(rows.y == label)
        if len(own) < params.fewest or len(own) > len(rows) - params.fewest:
            continue
        beyond = rng.permutation(np.flatnonzero(rows.y != label))[:2000]
        covariance = (total - spread[label]) / (len(rows) - len(own))
        found = parted(centred[own], centred[beyond], covariance, share=params.share, seed=rows.seed)
        if found.distance < params.parted:
            continue
        part = strange(found)
        # A side whose labels are mostly contradicted is foreign, however near it is to the classes that it came from.
        foreign = [float((against[own[side]] > params.contradiction).mean()) for side in (part, ~part)]
        if foreign[1] > max(0.5, foreign[0]):
            part = ~part
        depends = _content(part, rows.side.x[own], rows.seed)
        name = rows.side.classes[label]
        if depends > params.content:
            continue
        notes.append(
            f"{int(part.sum())} of {len(own)} rows labelled {name!r} carry a pattern that the others lack "
            f"({found.distance:.1f} deviations apart), whatever they show (Cramer's V {depends:.2f})."
        )
        score[own] = _scores(found, part)
        for row in own[part]:
            reasons[int(row)] = (
                f"carries a faint pattern that {part.mean():.0%} of the rows labelled {name!r} share"
            )
    return Suspicion(score, {r: why for r, why in reasons.items() if score[r] >= 2}, None, tuple(notes))


def parted(own: Doubles, others: Doubles, covariance: Doubles, *, share: float, seed: int) -> Parted:
    """Return the best parting of a class in two along one direction.

    own: (m, d) rows of the class, its mean taken off. others: (o, d) the same of other classes. covariance: (d, d) within
    other classes. share: least part of either side.
    """
    from scipy.linalg import cholesky, solve_triangular

    ridge = _RIDGE * np.trace(covariance) / len(covariance) * np.eye(len(covariance))
    factor = cholesky(covariance + ridge, lower=True)
    white = solve_triangular(factor, own.T, lower=True).T
    away = solve_triangular(factor, others.T, lower=True).T
    length = np.linalg.norm(white, axis=1, keepdims=True)
    # A few strange rows must not choose the directions.
    held = white * np.minimum(1, 1.5 * np.median(length) / np.maximum(length, 1e-12))
    leading = np.linalg.svd(held - held.mean(axis=0), full_matrices=False)[2]
    size = max(2, min(_COMPONENTS, len(own) // 8))
    reduced, reduced_away = held @ leading[:size].T, away @ leading[:size].T
    ica = need("sklearn.decomposition").FastICA(
        size, whiten="unit-variance", max_iter=100, tol=1e-3, random_state=seed
    )
    with warnings.catch_warnings():
        # It need not converge: its directions are only proposals.
        warnings.simplefilter("ignore")
        components = ica.fit_transform(reduced)
    values = np.concatenate([components, reduced[:, :_LEADING]], axis=1)
    theirs = np.concatenate([ica.transform(reduced_away), reduced_away[:, :_LEADING]], axis=1)
    distance, place = split(values, share=share)
    best = int(distance.argmax())
    column = values[:, best]
    upper = np.zeros(len(own), np.bool_)
    upper[np.argsort(column, kind="stable")[place[best] :]] = True
    return Parted(column, upper, float(distance[best]), theirs[:, best])


def split(values: Doubles, *, share: float) -> tuple[Doubles, Labels]:
    """Return, for each column, the largest distance of two parts' means over the sum of their deviations, and where.

    values: (m, c). share: least part of either side. The place is the number of rows in the lower part.
    """
    ordered = np.sort(values, axis=0)
    count = len(values)
    sums, squares = np.cumsum(ordered, axis=0), np.cumsum(ordered**2, axis=0)
    low = max(8, int(share * count))
    if count < 2 * low + 2:
        return np.zeros(values.shape[1]), np.full(values.shape[1], low)
    at = np.arange(low, count - low)
    lower, upper = at[:, None], (count - at)[:, None]
    first, second = sums[at - 1] / lower, (sums[-1] - sums[at - 1]) / upper
    first_var = np.maximum(squares[at - 1] / lower - first**2, 1e-12)
    second_var = np.maximum((squares[-1] - squares[at - 1]) / upper - second**2, 1e-12)
    distance = (second - first) / (np.sqrt(first_var) + np.sqrt(second_var))
    best = distance.argmax(axis=0)
    # Best at the very edge is the tail of one kind of rows, not a second kind.
    inner = max(1, low // 10)
    edge = (best < inner) | (best >= len(at) - inner)
    distance[:, edge] = 0
    return distance[best, np.arange(values.shape[1])], at[best]


def strange(found: Parted) -> Mask:
    """Return the rows of the part that the other classes' rows are farther from."""
    middle = float(np.median(found.others))
    ends = [abs(float(np.median(found.values[side])) - middle) for side in (found.upper, ~found.upper)]
    return found.upper if ends[0] > ends[1] else ~found.upper


def cramers_v(part: Mask, cluster: Labels) -> float:
    """Return how much a part depends on the cluster, from 0 (not at all) to 1, corrected for chance (Bergsma 2013)."""
    table = np.stack([np.bincount(cluster[part == side], minlength=cluster.max() + 1) for side in (False, True)])
    table = table[:, table.sum(axis=0) > 0].astype(np.float64)
    count = table.sum()
    expected = table.sum(axis=1, keepdims=True) @ table.sum(axis=0, keepdims=True) / count
    if table.shape[1] < 2 or (expected == 0).any():
        return 0.0
    phi = float(((table - expected) ** 2 / expected).sum() / count)
    columns = table.shape[1]
    corrected = max(0.0, phi - (columns - 1) / (count - 1))
    return float(corrected**0.5)


def _scores(found: Parted, part: Mask) -> Doubles:
    """Return (m,) scores: 2 for the proof and how much nearer a row is to the strange part than to the other."""
    inside, outside = found.values[part], found.values[~part]
    near = ((found.values - inside.mean()) / inside.std()) ** 2
    far = ((found.values - outside.mean()) / outside.std()) ** 2
    odds = (far - near) / 2 + np.log(outside.std() / inside.std()) + np.log(len(inside) / len(outside))
    # Decimal, and capped: far tails of a normal curve are not to be believed.
    return np.where(odds > 0, 2.0 + np.clip(odds / np.log(10), 0, 4), 0.0)


def _flat(x: Floats) -> Doubles:
    """Return (n, d) grey pictures of at most 32 pixels a side, without their brightness."""
    grey = pooled(x.mean(axis=1, keepdims=True), _SIDE).reshape(len(x), -1).astype(np.float64)
    grey -= grey.mean(axis=1, keepdims=True)
    return np.asarray(grey, np.float64)


def _content(part: Mask, x: Floats, seed: int) -> float:
    """Return how much a part depends on what pictures show, a quarter covered in turn: a patch is not content."""
    coarse = pooled(x.mean(axis=1, keepdims=True), 8)[:, 0]
    height, width = coarse.shape[1] // 2, coarse.shape[2] // 2
    found = []
    for rows in (slice(None, height), slice(height, None)):
        for columns in (slice(None, width), slice(width, None)):
            covered = coarse.copy()
            covered[:, rows, columns] = 0
            found.append(cramers_v(part, _clusters(covered.reshape(len(x), -1), seed)))
    return min(found)


def _clusters(coarse: Floats, seed: int) -> Labels:
    """Return (m,) which kind of content each picture shows, by its shading."""
    shading = coarse - coarse.mean(axis=1, keepdims=True)
    shading /= shading.std(axis=1, keepdims=True) + 0.05
    count = max(2, min(_CLUSTERS, len(coarse) // _PER_CLUSTER))
    found = need("sklearn.cluster").KMeans(count, n_init=2, random_state=seed).fit_predict(shading)
    return np.asarray(found, np.int64)
