"""Backdoors in pictures: rows whose label contradicts what they show, and that share a mark which explains it.

1. A network that cannot see fine detail says what each row shows (`_views.blind`); rows that it contradicts are
   suspects. 2. For the suspects of each class, and then for all others together (an all-to-all backdoor has no one class), it
   is asked whether a mark that they share transfers to suspects of other content (`_signature.transfers`). On honest
   data, and with labels flipped at random, hardly any does. 3. Where many do, every row is asked for the mark.

Answers: dirty-label backdoors with any trigger that a small network can learn (patches, blended patterns, warps),
one target or all-to-all. Does not answer: clean-label poison (`clean_labels`), fewer than about twenty poisoned rows,
a trigger that needs a larger network than the one here, or one that differs from row to row.
Cost: some four small trainings, a minute for ten thousand pictures of 28 x 28 on one core.
Related: Gao et al., "STRIP" (ACSAC 2019) and Li et al., "Anti-Backdoor Learning" (NeurIPS 2021) also set what is
learned from a trigger against what is learned from content; neither asks whether the mark transfers.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from hauberk.core.errors import InvalidInput
from hauberk.core.progress import Task
from hauberk.data.poison.detectors import DETECTORS, Rows, Suspicion, _nets, _signature
from hauberk.data.reading.dataset import Doubles, Labels

_HONEST = -0.5  # contradiction (natural log odds) under which a row is above suspicion
_PROVEN = 2.0  # added to the score of a row whose mark was proven on others
_DOUBTED = 2.3
_COMMON = 0.1  # share of honest rows that carry as much, from which it says nothing


@dataclass(frozen=True, slots=True)
class Params:
    """contradiction: natural log odds from which a row is a suspect. fewest: suspects worth a question, 8 or more.

    transfer: the share of suspects known by others' mark from which it counts as one, above 0 and at most 1; the lower end of
    the share's interval (99.7 %) is held against it. classes: the classes with the most suspects that are asked about,
    beside all together.
    """

    contradiction: float = 2.0
    fewest: int = 30
    transfer: float = 0.15
    classes: int = 4

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
    """Return a score for every row that carries a proven mark; zeros where no mark is proven."""
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
        task.update(number / len(scopes), text="a mark that suspects share")
        own = suspects[~np.isin(rows.y[suspects], proven)] if scope is None else suspects[rows.y[suspects] == scope]
        if len(own) < params.fewest:
            continue
        others = suspects[:0] if scope is None else suspects[rows.y[suspects] != scope]
        known, asked = _signature.transfers(
            pictures, rows.y, suspects=own, others=others, looks=looks, honest=honest, rng=rng, seed=rows.seed
        )
        if not asked or _at_least(len(known), asked) < params.transfer:
            continue
        if scope is not None:
            proven.append(scope)
        name = "several classes" if scope is None else repr(rows.side.classes[scope])
        notes.append(
            f"{len(own)} suspects in {name}; {len(known) / asked:.0%} are known by the mark of the others."
        )
        within = np.arange(len(rows)) if scope is None else np.flatnonzero(rows.y == scope)
        # Of one class, all suspects are learned from, and who is honest drops out; of many classes, most are honest.
        found = _marked(rows, pictures, known if scope is None else own, np.flatnonzero(honest), within, rng)
        for row in within[found > score[within]]:
            shows = rows.side.classes[looks[row]]
            reasons[int(row)] = (
                f"carries a mark that rows labelled {rows.side.classes[rows.y[row]]!r} share whatever they show; it "
                f"looks like {shows!r} to a network that cannot see the mark"
            )
        score[within] = np.maximum(score[within], found)
    suggested = np.where(score >= _PROVEN, looks, -1)
    return Suspicion(score, {r: why for r, why in reasons.items() if score[r] >= _PROVEN}, suggested, tuple(notes))


def _at_least(known: int, asked: int) -> float:
    """Return the lower end of the interval of a share (Wilson 1927): among few suspects some are alike by chance."""
    from scipy.stats import binomtest

    return float(binomtest(known, asked).proportion_ci(confidence_level=0.997, method="wilson").low)


def _scopes(y: Labels, suspects: Labels, params: Params) -> list[int | None]:
    """Return the classes worth a question, the most suspects first, then None: all whose class has no mark of its own."""
    if len(suspects) < params.fewest:
        return []
    labels, counts = np.unique(y[suspects], return_counts=True)
    order = np.argsort(-counts, kind="stable")[: params.classes]
    return [*(int(labels[index]) for index in order if counts[index] >= params.fewest), None]


def _marked(  # noqa: PLR0913, PLR0917 - who is asked, and what the answer is held against
    rows: Rows, pictures: object, suspects: Labels, honest: Labels, within: Labels, rng: np.random.Generator
) -> Doubles:
    """Return (len(within),) scores: how rarely an honest row carries the mark as clearly, raised by the proof."""
    free = np.setdiff1d(honest, suspects)
    # Typical rows of the suspects' classes first: what tells these classes from others must not pass for a mark.
    alike = rng.permutation(free[np.isin(rows.y[free], np.unique(rows.y[suspects]))])[:1500]
    others = rng.permutation(np.setdiff1d(free, alike))[:1500]
    known = np.union1d(alike, others)
    scope = np.union1d(within, known)
    said = _signature.spread(pictures, suspects=suspects, honest=known, scope=scope, seed=rows.seed, rng=rng)
    # What a mark is held against are honest rows where it is looked for, as a share of all rows, which alarms are counted by.
    reference = np.sort(said[np.isin(scope, np.intersect1d(within, known))])
    mine = said[np.searchsorted(scope, within)]
    share = (len(reference) - np.searchsorted(reference, mine, side="left") + 1) / (len(reference) + 1)
    rare = np.where(share < _COMMON, -np.log10(share * len(within) / len(rows)), 0.0)
    # Half carried is not proof: that asks for a network that is sure. What is less is ranked, below what is flagged by
    # default: rows that are hard for their class carry a little of everything.
    found: Doubles = np.where(mine > 0.5, _PROVEN + rare + mine, np.minimum(rare, _DOUBTED + mine))
    return found
