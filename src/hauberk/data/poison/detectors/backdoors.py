"""Backdoors in pictures: rows whose label contradicts their content, and that share a trigger which explains the label.

1. A network that cannot see fine detail predicts each row's content (`_views.blind`). Rows whose label it contradicts are
   suspects.
2. For the suspects of each class, and then for all remaining suspects together (an all-to-all backdoor has no single
   target class), `_signature.transfers` tests whether a mark learned from some suspects recognises suspects of other
   content. On honest data, and with labels flipped at random, it recognises almost none.
3. Where it recognises many, every row is scored for the mark (`_signature.spread`).

Answers: dirty-label backdoors with a trigger that a small network can learn (patches, blended patterns, warps), with one
target class or all-to-all. Does not answer: clean-label poison (`clean_labels`), fewer than about twenty poisoned rows, a
trigger that needs a larger network, or a trigger that differs from row to row.
Cost: about four small trainings, a minute for ten thousand pictures of 28 x 28 on one core.
Related: Gao et al., "STRIP" (ACSAC 2019) and Li et al., "Anti-Backdoor Learning" (NeurIPS 2021) also contrast what is
learned from a trigger with what is learned from content; neither tests whether the mark transfers.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from hauberk.core.errors import InvalidInput
from hauberk.core.progress import Task
from hauberk.data.poison.detectors import DETECTORS, Rows, Suspicion, _nets, _signature
from hauberk.data.reading.dataset import Doubles, Labels

_HONEST = -0.5  # natural log odds against the label; below it a row is treated as honest
_PROVEN = 2.0  # score of a row with a mark that transferred, before its own rarity is added
_DOUBTED = (
    2.3  # highest score of a row that carries the mark with a probability below one half, before that probability
)
_COMMON = 0.1  # if this share of honest rows carries the mark as clearly, the row scores 0


@dataclass(frozen=True, slots=True)
class Params:
    """Settings of the detector.

    contradiction: natural log odds against the label above which a row is a suspect. fewest: smallest number of suspects
    that is tested, >= 8. transfer: share of suspects, in (0, 1], that must be recognised by other suspects' mark; compared
    with the lower end of the share's 99.7 % confidence interval. classes: number of classes, those with the most suspects,
    that are tested one by one before the rest is tested together, >= 1.
    """

    contradiction: float = field(
        default=2.0, metadata={"help": "natural log odds against the label that make a row a suspect"}
    )
    fewest: int = field(default=30, metadata={"help": "suspects that are tested, at least"})
    transfer: float = field(
        default=0.15, metadata={"help": "share of suspects that other suspects' mark must recognise"}
    )
    classes: int = field(
        default=4, metadata={"help": "classes that are tested one by one before the rest is tested together"}
    )

    def __post_init__(self) -> None:
        if self.fewest < 8 or not 0 < self.transfer <= 1 or self.classes < 1:
            raise InvalidInput(
                f"expected fewest >= 8, 0 < transfer <= 1 and classes >= 1, found {self.fewest}, {self.transfer}, "
                f"{self.classes}."
            )


@DETECTORS.register(
    "backdoors",
    practice="1a",
    threats=("poisoning",),
    summary="pictures with a wrong label and a shared mark that explains it",
    params=Params,
    kinds=("image",),
)
def run(rows: Rows, params: Params, *, rng: np.random.Generator, task: Task) -> Suspicion:
    """Return a score for every row that carries a mark which transferred between contents; zeros if none did."""
    against, looks = rows.contradiction
    suspects = np.flatnonzero(against > params.contradiction)
    suspects = suspects[np.argsort(-against[suspects], kind="stable")]
    honest = against < _HONEST
    score = np.zeros(len(rows))
    reasons: dict[int, str] = {}
    notes: list[str] = []
    pictures = _nets.tensor(rows.side.x)
    scopes = _scopes(rows.y, suspects, params)
    proven: list[int] = []
    for number, scope in enumerate(scopes):
        task.update(number / len(scopes), text="testing suspects for a shared mark")
        own = suspects[~np.isin(rows.y[suspects], proven)] if scope is None else suspects[rows.y[suspects] == scope]
        if len(own) < params.fewest:
            continue
        others = suspects[:0] if scope is None else suspects[rows.y[suspects] != scope]
        recognised, tested = _signature.transfers(
            pictures, rows.y, suspects=own, others=others, looks=looks, honest=honest, rng=rng, seed=rows.seed
        )
        if not tested or _at_least(len(recognised), tested) < params.transfer:
            continue
        if scope is not None:
            proven.append(scope)
        name = "several classes" if scope is None else repr(rows.side.classes[scope])
        notes.append(
            f"{len(own)} suspects in {name}; {len(recognised) / tested:.0%} are recognised by the mark of the others."
        )
        within = np.arange(len(rows)) if scope is None else np.flatnonzero(rows.y == scope)
        # In one class, learn from all suspects: honest ones drop out. Over many classes most suspects are honest, so learn
        # from the recognised ones only.
        seeds = recognised if scope is None else own
        marked = _marked(rows, pictures, seeds, np.flatnonzero(honest), within, rng)
        for row in within[marked > score[within]]:
            shows = rows.side.classes[looks[row]]
            reasons[int(row)] = (
                f"carries a mark that rows labelled {rows.side.classes[rows.y[row]]!r} share whatever they show; it "
                f"looks like {shows!r} to a network that cannot see the mark"
            )
        score[within] = np.maximum(score[within], marked)
    suggested = np.where(score >= _PROVEN, looks, -1)
    return Suspicion(score, {r: why for r, why in reasons.items() if score[r] >= _PROVEN}, suggested, tuple(notes))


def _at_least(count: int, total: int) -> float:
    """Return the lower end of a share's 99.7 % interval (Wilson 1927), because few suspects may match by chance."""
    from scipy.stats import binomtest

    return float(binomtest(count, total).proportion_ci(confidence_level=0.997, method="wilson").low)


def _scopes(y: Labels, suspects: Labels, params: Params) -> list[int | None]:
    """Return the classes to test, the most suspects first, then None for all suspects of the other classes together."""
    if len(suspects) < params.fewest:
        return []
    labels, counts = np.unique(y[suspects], return_counts=True)
    order = np.argsort(-counts, kind="stable")[: params.classes]
    return [*(int(labels[index]) for index in order if counts[index] >= params.fewest), None]


def _marked(  # noqa: PLR0913, PLR0917 - one private caller
    rows: Rows, pictures: object, suspects: Labels, honest: Labels, within: Labels, rng: np.random.Generator
) -> Doubles:
    """Return (len(within),) scores: how rarely an honest row carries the mark as clearly, plus a bonus if it clearly does."""
    free = np.setdiff1d(honest, suspects)
    # Include honest rows of the suspects' classes, so that ordinary features of these classes are not learned as a mark.
    alike = rng.permutation(free[np.isin(rows.y[free], np.unique(rows.y[suspects]))])[:1500]
    others = rng.permutation(np.setdiff1d(free, alike))[:1500]
    known = np.union1d(alike, others)
    scope = np.union1d(within, known)
    carried = _signature.spread(pictures, suspects=suspects, honest=known, scope=scope, seed=rows.seed, rng=rng)
    # The reference is the honest rows of the tested scope. Its share is converted to a share of all rows, because the
    # false-alarm rate counts all rows.
    reference = np.sort(carried[np.isin(scope, np.intersect1d(within, known))])
    mine = carried[np.searchsorted(scope, within)]
    share = (len(reference) - np.searchsorted(reference, mine, side="left") + 1) / (len(reference) + 1)
    rare = np.where(share < _COMMON, -np.log10(share * len(within) / len(rows)), 0.0)
    # Only a probability above one half counts as carrying the mark. Lower ones are ranked but score below the default
    # flagging threshold, because rows that are hard for their class resemble the mark a little.
    scores: Doubles = np.where(mine > 0.5, _PROVEN + rare + mine, np.minimum(rare, _DOUBTED + mine))
    return scores
