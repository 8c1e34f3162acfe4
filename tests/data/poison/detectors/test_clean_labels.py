"""Clean labels: stripes on right labels are found and honest classes are left alone, whatever kinds they hold."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.datasets import load_digits

from hauberk.attacks.poisoning import POISONERS, Victim
from hauberk.core.progress import Quiet
from hauberk.data.poison.detectors import DETECTORS, Rows
from hauberk.data.poison.detectors.clean_labels import cramers_v, split
from hauberk.data.reading.dataset import Dataset


@pytest.fixture(scope="module")
def digits():
    found = load_digits()
    x = np.kron(found.images, np.ones((2, 2)))[:, None] / 16
    return Victim(x.astype(np.float32), found.target.astype(np.int64), 10)


def asked(x, y):
    side = Dataset("image", x, y, tuple(map(str, range(10))), (), np.arange(len(y)))
    entry = DETECTORS["clean-labels"]
    return entry.run(Rows("image", side), entry.make({}), rng=np.random.default_rng(0), task=Quiet())


@pytest.mark.parametrize("attack", ["sinusoid", "clean-label-patch"])
def test_clean_label_poison_is_found_row_by_row(digits, attack):
    entry = POISONERS[attack]
    values = {"share": 0.05} | ({"delta": 0.12, "frequency": 4} if attack == "sinusoid" else {"side": 3})
    poisoned = entry.run(digits, entry.make(values), rng=np.random.default_rng(1), task=Quiet())
    found = asked(poisoned.x, poisoned.y)
    assert (found.score[poisoned.poison] > 2).mean() > 0.85
    assert (found.score[~poisoned.poison] > 2).mean() < 0.005
    assert "carry a pattern" in found.notes[0]


def test_honest_digits_are_left_alone(digits):
    assert not asked(digits.x, digits.y).score.any()


def test_a_split_is_the_best_of_all_places_as_a_plain_loop_finds_it():
    rng = np.random.default_rng(3)
    values = np.concatenate([rng.normal(0, 1, (60, 3)), rng.normal(5, 1, (40, 3))])
    distance, place = split(values, share=0.1)
    for column in range(3):
        ordered = np.sort(values[:, column])
        best = max(
            ((ordered[i:].mean() - ordered[:i].mean()) / (ordered[i:].std() + ordered[:i].std()), i)
            for i in range(10, 90)
        )
        assert distance[column] == pytest.approx(best[0])
        assert place[column] == best[1]


def test_one_kind_of_rows_is_not_parted_at_its_tail():
    values = np.random.default_rng(4).standard_t(2, (400, 5))
    assert (split(values, share=0.1)[0] < 3).all()


def test_dependence_on_content_is_told_from_chance():
    rng = np.random.default_rng(5)
    cluster = rng.integers(0, 6, 3000)
    assert cramers_v(cluster == 2, cluster) > 0.95
    assert cramers_v(rng.random(3000) < 0.3, cluster) < 0.1


def test_the_rows_of_a_class_are_not_taken_for_the_strange_ones_beside_foreign_rows(digits):
    """Where most rows of a class are others' pictures with its label, its own are the few that stand apart."""
    entry = POISONERS["patch"]
    found = entry.run(digits, entry.make({"share": 0.2, "target": 3}), rng=np.random.default_rng(1), task=Quiet())
    side = Dataset("image", found.x, found.y, tuple(map(str, range(10))), (), np.arange(len(found.y)))
    rows = Rows("image", side)
    rows.__dict__["contradiction"] = np.where(found.y == digits.y, -3.0, 3.0), digits.y
    detector = DETECTORS["clean-labels"]
    said = detector.run(rows, detector.make({}), rng=np.random.default_rng(0), task=Quiet())
    own = (found.y == 3) & ~found.poison
    assert (said.score[own] > 2).mean() < 0.05
