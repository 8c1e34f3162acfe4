"""Every poisoner keeps to its share, says which rows it touched, and leaves the victim as it was."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.datasets import load_digits

from hauberk.attacks.poisoning import POISONERS, Victim
from hauberk.core.columns import Column, ColumnKind
from hauberk.core.errors import InvalidInput
from hauberk.core.progress import Quiet


def pictures() -> Victim:
    digits = load_digits()
    x = (digits.images[:600, None] / 16).astype(np.float32).repeat(2, axis=2).repeat(2, axis=3)
    return Victim(x, digits.target[:600].astype(np.int64), 10)


def table() -> Victim:
    rng = np.random.default_rng(5)
    y = rng.integers(0, 2, 600).astype(np.int64)
    numbers = rng.normal(size=(600, 3)) + y[:, None]
    codes = rng.integers(0, 4, (600, 2))
    columns = tuple(Column(f"n{i}", ColumnKind.NUMBER, -5.0, 5.0) for i in range(3)) + tuple(
        Column(f"c{i}", ColumnKind.CATEGORY, 0.0, 3.0, ("a", "b", "c", "d")) for i in range(2)
    )
    return Victim(np.concatenate([numbers, codes], axis=1).astype(np.float32), y, 2, columns)


VICTIMS = {"image": pictures, "table": table}
CASES = [(entry.name, kind) for entry in POISONERS for kind in entry.kinds if kind in VICTIMS]


def poisoned(name, kind, seed=0, **values):
    entry = POISONERS[name]
    victim = VICTIMS[kind]()
    return victim, entry.run(victim, entry.make(values), rng=np.random.default_rng(seed), task=Quiet())


@pytest.mark.parametrize(("name", "kind"), CASES)
def test_the_victim_is_left_as_it_was_and_the_answers_are_true(name, kind):
    victim, found = poisoned(name, kind)
    again = VICTIMS[kind]()
    assert np.array_equal(victim.x, again.x)
    assert np.array_equal(victim.y, again.y)
    assert len(found.x) == len(found.y) == len(found.poison) == len(found.origin)
    honest = ~found.poison
    assert np.array_equal(found.x[honest], victim.x[found.origin[honest]])
    assert np.array_equal(found.y[honest], victim.y[found.origin[honest]])
    assert found.x.dtype == np.float32
    assert np.isfinite(found.x).all()
    assert found.y.min() >= 0
    assert found.y.max() < victim.classes
    if kind == "image":
        assert found.x.min() >= 0
        assert found.x.max() <= 1


@pytest.mark.parametrize(("name", "kind"), CASES)
def test_the_share_is_kept_and_the_seed_decides(name, kind):
    for share in (0.01, 0.04):
        _, found = poisoned(name, kind, share=share)
        assert 0 < found.poison.mean() <= share * 1.1 + 2 / len(found.y)
    one, other = (poisoned(name, kind, seed=7)[1] for _ in range(2))
    assert np.array_equal(one.x, other.x)
    assert np.array_equal(one.poison, other.poison)
    assert not np.array_equal(one.x, poisoned(name, kind, seed=8)[1].x) or not np.array_equal(
        one.y, poisoned(name, kind, seed=8)[1].y
    )


@pytest.mark.parametrize(("name", "kind"), CASES)
def test_a_trigger_gives_what_the_poisoned_rows_hold(name, kind):
    victim, found = poisoned(name, kind)
    if found.trigger is None:
        return
    before = victim.x[found.origin[found.poison]].copy()
    after = found.trigger(before)
    assert np.allclose(after, found.x[found.poison], atol=1e-6)
    assert np.array_equal(before, victim.x[found.origin[found.poison]])
    assert not np.array_equal(before, after)


@pytest.mark.parametrize(("name", "kind"), CASES)
@pytest.mark.parametrize("share", [0.0, 0.5, 1.5, float("nan")])
def test_an_impossible_share_is_refused(name, kind, share):
    with pytest.raises(InvalidInput, match="share"):
        poisoned(name, kind, share=share)


@pytest.mark.parametrize("name", ["patch", "blend", "warp"])
def test_dirty_labels_are_the_targets_and_clean_ones_stay(name):
    victim, found = poisoned(name, "image", target=3)
    assert (found.y[found.poison] == 3).all()
    assert (victim.y[found.poison] != 3).all()
    with pytest.raises(InvalidInput, match="target 10"):
        poisoned(name, "image", target=10)


@pytest.mark.parametrize("name", ["sinusoid", "clean-label-patch"])
def test_clean_label_poison_changes_no_label(name):
    victim, found = poisoned(name, "image", share=0.2)
    assert np.array_equal(found.y, victim.y)
    assert len(np.unique(found.y[found.poison])) == 1
    assert found.poison.sum() <= (victim.y == found.target).sum() / 2


def test_flips_move_labels_as_they_say():
    victim, found = poisoned("pair-flips", "table", share=0.1)
    assert (found.y[found.poison] == (victim.y[found.poison] + 1) % 2).all()
    victim, found = poisoned("symmetric-flips", "image", share=0.2)
    assert (found.y[found.poison] != victim.y[found.poison]).all()
    assert len(np.unique((found.y - victim.y)[found.poison] % 10)) == 9


def test_pictures_are_asked_for_where_they_are_needed():
    entry = POISONERS["patch"]
    with pytest.raises(InvalidInput, match="pictures"):
        entry.run(table(), entry.make({}), rng=np.random.default_rng(0), task=Quiet())
