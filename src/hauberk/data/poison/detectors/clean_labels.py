"""Clean-label poison in pictures: a part of one class carries a fixed pattern that is not content.

Poison with correct labels contradicts no model, so this detector looks for a second kind of rows inside each class.

1. Whiten each class's pixels by the covariance within the other classes. A faint fixed pattern, which natural pictures
   hardly contain, becomes large.
2. Among independent components (Hyvarinen, FastICA, 1999) and leading directions of the class, choose the direction that
   splits the class best into two parts.
3. The part that lies farther from the other classes is the candidate. It is poison only if it is nearly independent of
   what the pictures show; a part that is one kind of shoe, or one film, is content.

Answers: clean-label triggers added to a picture (stripes, faint patterns, patches), and dirty-label triggers of that kind.
Does not answer: triggers whose pattern differs from row to row, feature collisions of a few rows, or fewer than about a
twentieth of a class. Related: Hayase et al., "SPECTRE" (ICML 2021) whitens network features by a robust estimate of the
class itself; here the other classes are used, because poison in one class cannot have touched them.
Cost: one decomposition a class in at most 1,024 dimensions; seconds for ten thousand pictures.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass, field

import numpy as np

from hauberk.core.errors import InvalidInput
from hauberk.core.extras import need
from hauberk.core.progress import Task
from hauberk.data.poison.detectors import DETECTORS, Rows, Suspicion
from hauberk.data.poison.neighbours import pooled
from hauberk.data.reading.dataset import Doubles, Floats, Labels, Mask

_SIDE = 32  # pixels; larger pictures are averaged down
_COMPONENTS = 40  # independent components, at most
_LEADING = 8  # leading singular directions that are tried besides the independent components
_RIDGE = 1e-3  # added to the covariance's diagonal, as a share of the mean variance
_CLUSTERS = 8  # content clusters in a class, at most
_PER_CLUSTER = 12  # rows in a content cluster, on average, at least


@dataclass(frozen=True, slots=True)
class Params:
    """Settings of the detector.

    parted: a class has two parts if the distance of their means, divided by the sum of their standard deviations, is at
    least this; > 0. share: smallest part, as a share of the class, in (0, 0.5). content: a part counts as content if its
    Cramer's V with the content clusters is above this, in (0, 1]. fewest: classes with fewer rows are skipped, >= 20.
    contradiction: natural log odds against a label above which the blind network contradicts it.
    """

    parted: float = field(
        default=3.0, metadata={"help": "distance of a class's two parts, in sums of their deviations, at least"}
    )
    share: float = field(default=0.1, metadata={"help": "smallest part, as a share of the class"})
    content: float = field(
        default=0.5, metadata={"help": "Cramer's V with the content clusters above which a part is content"}
    )
    fewest: int = field(default=40, metadata={"help": "rows of a class that is looked at, at least"})
    contradiction: float = field(
        default=2.0, metadata={"help": "natural log odds against a label that contradict it"}
    )

    def __post_init__(self) -> None:
        if self.parted <= 0 or not 0 < self.share < 0.5 or not 0 < self.content <= 1 or self.fewest < 20:
            raise InvalidInput(
                "expected parted > 0, share in (0, 0.5), content in (0, 1] and fewest >= 20, found "
                f"{self.parted}, {self.share}, {self.content}, {self.fewest}."
            )


@dataclass(frozen=True, slots=True, eq=False)
class Parted:
    """A class split in two along one direction.

    values: (m,) the class's rows projected on the direction. upper: (m,) mask of the part with larger values. distance: of
    the parts' means over the sum of their standard deviations. others: (o,) other classes' rows on the same direction.
    """

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
    """Return a score for each row of a part that looks like poison; zeros if no class has such a part."""
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
        halves = _parted(centred[own], centred[beyond], covariance, share=params.share, seed=rows.seed)
        if halves.distance < params.parted:
            continue
        part = _strange(halves)
        # A part whose labels are mostly contradicted is the poison, even if it lies nearer to the other classes, which it
        # was taken from.
        foreign = [float((against[own[side]] > params.contradiction).mean()) for side in (part, ~part)]
        if foreign[1] > max(0.5, foreign[0]):
            part = ~part
        depends = _content(part, rows.side.x[own], rows.seed)
        name = rows.side.classes[label]
        if depends > params.content:
            continue
        notes.append(
            f"{int(part.sum())} of {len(own)} rows labelled {name!r} carry a pattern that the others lack "
            f"({halves.distance:.1f} deviations apart), whatever they show (Cramer's V {depends:.2f})."
        )
        score[own] = _scores(halves, part)
        for row in own[part]:
            reasons[int(row)] = (
                f"carries a faint pattern that {part.mean():.0%} of the rows labelled {name!r} share"
            )
    return Suspicion(score, {r: why for r, why in reasons.items() if score[r] >= 2}, None, tuple(notes))


def _parted(own: Doubles, others: Doubles, covariance: Doubles, *, share: float, seed: int) -> Parted:
    """Return the best split of a class in two along one direction.

    own: (m, d) rows of the class, minus the class mean. others: (o, d) rows of other classes, minus their class means.
    covariance: (d, d) within the other classes. share: smallest share of the class in either part.
    """
    from scipy.linalg import cholesky, solve_triangular

    ridge = _RIDGE * np.trace(covariance) / len(covariance) * np.eye(len(covariance))
    factor = cholesky(covariance + ridge, lower=True)
    white = solve_triangular(factor, own.T, lower=True).T
    away = solve_triangular(factor, others.T, lower=True).T
    length = np.linalg.norm(white, axis=1, keepdims=True)
    # Shorten long rows, so that a few outliers do not determine the directions.
    held = white * np.minimum(1, 1.5 * np.median(length) / np.maximum(length, 1e-12))
    leading = np.linalg.svd(held - held.mean(axis=0), full_matrices=False)[2]
    size = max(2, min(_COMPONENTS, len(own) // 8))
    reduced, reduced_away = held @ leading[:size].T, away @ leading[:size].T
    ica = need("sklearn.decomposition").FastICA(
        size, whiten="unit-variance", max_iter=100, tol=1e-3, random_state=seed
    )
    with warnings.catch_warnings():
        # Convergence is not needed: the components are only candidate directions.
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
    """Return (distance, place), each (c,): for each column the best split of its sorted values in two.

    values: (m, c). share: smallest share of rows in either part. distance: of the parts' means over the sum of their standard
    deviations; 0 where the best split lies at the smallest allowed part. place: number of rows in the lower part.
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
    # A best split at the smallest allowed part is the tail of one kind of rows, not a second kind.
    inner = max(1, low // 10)
    edge = (best < inner) | (best >= len(at) - inner)
    distance[:, edge] = 0
    return distance[best, np.arange(values.shape[1])], at[best]


def _strange(halves: Parted) -> Mask:
    """Return (m,) the mask of the part whose median lies farther from the other classes' median."""
    middle = float(np.median(halves.others))
    gaps = [abs(float(np.median(halves.values[side])) - middle) for side in (halves.upper, ~halves.upper)]
    return halves.upper if gaps[0] > gaps[1] else ~halves.upper


def cramers_v(part: Mask, cluster: Labels) -> float:
    """Return Cramer's V between a part (m,) and cluster numbers (m,), in [0, 1], corrected for bias (Bergsma 2013)."""
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


def _scores(halves: Parted, part: Mask) -> Doubles:
    """Return (m,) scores: 2 plus the decimal log odds, at most 4, that a row belongs to the part; 0 below even odds."""
    inside, outside = halves.values[part], halves.values[~part]
    to_part = ((halves.values - inside.mean()) / inside.std()) ** 2
    to_rest = ((halves.values - outside.mean()) / outside.std()) ** 2
    odds = (to_rest - to_part) / 2 + np.log(outside.std() / inside.std()) + np.log(len(inside) / len(outside))
    # Capped, because real data do not follow a normal distribution in its far tails.
    return np.where(odds > 0, 2.0 + np.clip(odds / np.log(10), 0, 4), 0.0)


def _flat(x: Floats) -> Doubles:
    """Return (n, d) grey pixels of pictures averaged down to 32 pixels a side, minus each picture's mean."""
    grey = pooled(x.mean(axis=1, keepdims=True), _SIDE).reshape(len(x), -1).astype(np.float64)
    grey -= grey.mean(axis=1, keepdims=True)
    return np.asarray(grey, np.float64)


def _content(part: Mask, x: Floats, seed: int) -> float:
    """Return the least Cramer's V between a part and content clusters over four coverings of one quarter.

    A patch trigger would itself form a cluster; the covering that hides the patch leaves only the content.
    """
    coarse = pooled(x.mean(axis=1, keepdims=True), 8)[:, 0]
    height, width = coarse.shape[1] // 2, coarse.shape[2] // 2
    dependences = []
    for rows in (slice(None, height), slice(height, None)):
        for columns in (slice(None, width), slice(width, None)):
            covered = coarse.copy()
            covered[:, rows, columns] = 0
            dependences.append(cramers_v(part, _clusters(covered.reshape(len(x), -1), seed)))
    return min(dependences)


def _clusters(coarse: Floats, seed: int) -> Labels:
    """Return (m,) content clusters of pictures (m, d), by k-means on their normalised shading."""
    shading = coarse - coarse.mean(axis=1, keepdims=True)
    shading /= shading.std(axis=1, keepdims=True) + 0.05
    count = max(2, min(_CLUSTERS, len(coarse) // _PER_CLUSTER))
    return np.asarray(
        need("sklearn.cluster").KMeans(count, n_init=2, random_state=seed).fit_predict(shading), np.int64
    )
