"""Slow-drip poisoning: each batch passes alone, the sequence does not, and honest sequences do."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest

from hauberk.core.errors import InvalidInput
from hauberk.data.poison.detectors import Rows
from hauberk.data.poison.drip import _WEIGHTS, chance, drip, stacked
from hauberk.data.poison.screening import screen_rows
from hauberk.data.reading.loading import DataSpec, load_whole

BATCH, COUNT, TRUSTED = 80, 10, 900


@pytest.fixture(scope="module")
def digits():
    return load_whole(DataSpec("image", ("sklearn:digits",))).side


def sequence(side, seed, *, trusted=TRUSTED, size=BATCH, count=COUNT):
    order = np.random.default_rng(seed).permutation(len(side))
    edges = trusted + size * np.arange(count + 1)
    parts = [side.take(order[start:end]) for start, end in pairwise(edges)]
    return side.take(order[:trusted]), parts


def poisoned(batch, seed, *, rows, given, true):
    """Return the batch with `rows` rows of class `true` labelled `given`."""
    own = np.flatnonzero(batch.y == true)
    y = batch.y.copy()
    y[np.random.default_rng(seed).choice(own, min(rows, len(own)), replace=False)] = given
    return replace(batch, y=y)


@pytest.mark.parametrize(("seed", "alone"), [(0, 0), (1, 1), (2, 0), (3, 1)])
def test_two_wrong_labels_a_batch_pass_alone_and_add_up(digits, seed, alone):
    trusted, honest = sequence(digits, seed)
    batches = [poisoned(b, [seed, n], rows=2, given=7, true=1) for n, b in enumerate(honest)]
    # Two batches of these 16 have honest rows that look odd as well, and are caught alone.
    assert sum(bool(drip(trusted, [batch], seed=seed).alarms) for batch in batches[::3]) == alone
    found = drip(trusted, batches, seed=seed)
    assert found.alarms
    wrong = np.concatenate([b.y != h.y for b, h in zip(batches, honest, strict=True)])
    suspects = np.concatenate(found.suspects)
    assert (suspects & wrong).sum() / suspects.sum() > 0.9
    assert (suspects & wrong).sum() / wrong.sum() > 0.7
    assert any(stream.look > 1 for stream in found.alarms)


@pytest.mark.slow
def test_screening_lets_each_of_these_batches_pass(digits):
    """Each batch is screened beside the trusted rows, as an update does it: too few are flagged to be poison."""
    from scipy.stats import binom

    trusted, honest = sequence(digits, 0)
    for number, batch in enumerate(honest[:2]):
        side = stacked([trusted, poisoned(batch, [0, number], rows=2, given=7, true=1)])
        found = screen_rows(Rows("image", side, None, (), 0), detectors={"label-errors": {}})
        flagged = int(found.flags[TRUSTED:].sum())
        assert flagged == 0 or binom.sf(flagged - 1, BATCH, found.false_alarms) >= 1e-3


@pytest.mark.parametrize("seed", range(4))
def test_honest_sequences_pass(digits, seed):
    trusted, batches = sequence(digits, seed)
    found = drip(trusted, batches, seed=seed)
    assert not found.alarms
    assert not any(mask.any() for mask in found.suspects)


def test_an_alarm_stays_one_when_honest_batches_follow(digits):
    trusted, honest = sequence(digits, 2)
    batches = [poisoned(b, n, rows=3, given=7, true=1) if n < 6 else b for n, b in enumerate(honest)]
    early, late = drip(trusted, batches[:6], seed=2), drip(trusted, batches, seed=2)
    assert early.alarms
    assert {s.name for s in early.alarms} <= {s.name for s in late.alarms}
    # What is said of a row does not change with the batches behind it.
    assert [m.tolist() for m in early.seen] == [m.tolist() for m in late.seen[:6]]
    assert early.events == late.events[:6]


def test_a_source_that_goes_bad_slowly_is_named(digits):
    trusted, honest = sequence(digits, 1)

    def signed(side, seed):
        return replace(side, sources=np.random.default_rng(seed).choice(["north", "south", "east"], len(side)))

    rng = np.random.default_rng(5)
    batches = []
    for number, batch in enumerate(honest):
        one = signed(batch, number)
        wrong = rng.choice(np.flatnonzero(one.sources == "east"), 2, replace=False)
        y = one.y.copy()
        y[wrong] = (y[wrong] + rng.integers(1, 10, 2)) % 10
        batches.append(replace(one, y=y))
    found = drip(signed(trusted, 99), batches, seed=1)
    assert any("east" in stream.name for stream in found.alarms)
    assert not any("north" in s.name or "south" in s.name for s in found.alarms)


def test_a_history_that_cannot_be_a_measure_is_refused(digits):
    few = digits.take(np.arange(20))
    with pytest.raises(InvalidInput, match="history has 20 rows"):
        drip(few, [few])
    one = digits.take(np.flatnonzero(digits.y == 3))
    with pytest.raises(InvalidInput, match="1 classes"):
        drip(one, [one])
    with pytest.raises(InvalidInput, match="alpha"):
        drip(digits, [digits], alpha=0.0)
    assert drip(digits, []).streams == ()


def by_a_loop(trusted, new):
    """The chance of as large a weighted sum or larger, by trying every outcome of every stratum."""
    from itertools import product

    from scipy.stats import hypergeom

    margins = [(t.sum() + n.sum(), t[1] + n[1], n.sum()) for t, n in zip(trusted, new, strict=True)]
    told = sum(int(weight) * n[1] for weight, n in zip(_WEIGHTS, new, strict=True))
    total = 0.0
    for outcome in product(*(range(min(given, drawn) + 1) for _, given, drawn in margins)):
        if sum(int(w) * k for w, k in zip(_WEIGHTS, outcome, strict=True)) >= told:
            total += np.prod([hypergeom.pmf(k, *of) for k, of in zip(outcome, margins, strict=True)])
    return total


@pytest.mark.parametrize("seed", range(8))
def test_the_chance_is_what_trying_every_outcome_says(seed):
    rng = np.random.default_rng(seed)
    trusted = np.stack([rng.integers(15, 30, 6), [2, 2, 1, 1, 0, 0]], axis=1)
    new = np.stack([rng.integers(3, 10, 6), np.array([0, 0, 1, 1, 1, 1]) + rng.integers(0, 2, 6)], axis=1)
    expected = by_a_loop(trusted, new)
    assert expected < 0.02, "else a normal tail is enough"
    assert chance(trusted, new) == pytest.approx(expected, rel=1e-6)


def test_in_one_stratum_it_is_fishers_test_and_rows_that_are_alike_are_no_surprise():
    from scipy.stats import fisher_exact

    trusted, new = np.zeros((6, 2), int), np.zeros((6, 2), int)
    trusted[4], new[4] = [200, 2], [60, 7]
    assert chance(trusted, new) == pytest.approx(
        fisher_exact([[7, 60], [2, 200]], alternative="greater").pvalue, rel=1e-6
    )
    new[4] = [100, 1]
    assert chance(trusted, new) > 0.3
    assert chance(trusted, np.zeros((6, 2), int)) == 1.0


def test_what_kind_of_rows_comes_is_no_alarm(digits):
    """Batches of one digit alone are honest: how often a label is given is asked of rows that look alike."""
    trusted, _ = sequence(digits, 0)
    rest = digits.take(np.random.default_rng(0).permutation(len(digits))[TRUSTED:])
    ones = rest.take(np.flatnonzero(np.isin(rest.y, [1, 8])))
    batches = [ones.take(np.arange(start, start + 40)) for start in range(0, 120, 40)]
    assert not drip(trusted, batches, seed=0).alarms


@pytest.mark.slow
def test_adult_adds_up_too_where_classes_overlap(datasets):
    """2 % of wrong labels a batch, which no batch alone shows."""
    side = load_whole(
        DataSpec("table", (str(datasets / "adult.parquet"),), target="income", drop=("fnlwgt", "education"))
    ).side
    for seed in range(3):
        trusted, honest = sequence(side, seed, trusted=6000, size=200, count=20)
        assert not drip(trusted, honest, seed=seed).alarms
        batches = [poisoned(b, [seed, n], rows=4, given=0, true=1) for n, b in enumerate(honest)]
        assert drip(trusted, batches, seed=seed).alarms
        assert not any(drip(trusted, [batch], seed=seed).alarms for batch in batches[:3])
