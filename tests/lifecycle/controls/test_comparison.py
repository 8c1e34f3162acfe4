"""Which comparisons are made, on which rows, and what counts as a regression."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from hauberk.core.progress import Quiet
from hauberk.lifecycle.controls import CONTROLS
from hauberk.lifecycle.controls.comparison import CURRENT, DOCUMENT, HELD, SINCE, Answers, Rivals, read

ROWS = 400


def answers(wrong: int = 0, broken: int = 0) -> Answers:
    """A model that is wrong on the first `wrong` rows, and broken by the attack on the first `broken` attacked ones."""
    predicted = np.zeros(ROWS, np.int64)
    predicted[:wrong] = 1
    robust = np.ones(100, np.bool_)
    robust[:broken] = False
    return Answers(predicted, {"pixels": robust})


def rivals(challenger: Answers, champion: Answers, **changes) -> Rivals:
    values = {
        "anchor": None,
        "y": np.zeros(ROWS, np.int64),
        "current": np.arange(ROWS) >= 200,
        "attacked": np.arange(100),
        "groups": {},
    }
    return Rivals(challenger, champion, **values | changes)


def run(inputs: Rivals, **params):
    entry = CONTROLS["comparison"]
    found = entry.run(inputs, entry.make(params), rng=np.random.default_rng(1), task=Quiet())
    return found, read(found.outputs[DOCUMENT])


def test_equal_models_regress_nowhere_and_the_error_is_shared_by_all_comparisons():
    found, compared = run(rivals(answers(20, 10), answers(20, 10)), confidence=0.94)
    assert found.metrics["regressions"] == 0
    assert {(one.metric, one.rows) for one in compared} == {
        ("accuracy", HELD),
        ("robust accuracy: pixels", HELD),
        ("accuracy", CURRENT),
    }
    assert [one.confidence for one in compared] == pytest.approx([1 - 0.06 / 3] * 3)


def test_a_loss_on_one_kind_of_rows_is_a_regression_there_alone():
    found, compared = run(rivals(answers(40), answers(0)))
    assert [(one.metric, one.rows) for one in compared if one.regressed] == [("accuracy", HELD)]
    assert (found.metrics["regressions"], len(found.findings)) == (1.0, 1)


def test_a_loss_under_attack_alone_is_a_regression():
    _, compared = run(rivals(answers(broken=30), answers()))
    assert [one.metric for one in compared if one.regressed] == ["robust accuracy: pixels"]


def test_small_losses_that_add_up_are_seen_against_the_trusted_release():
    champion, anchor = answers(9), answers(0)
    _, compared = run(rivals(answers(12), champion, anchor=anchor))
    assert [(one.metric, one.rows) for one in compared if one.regressed] == [("accuracy", SINCE)]


def test_a_gap_between_groups_is_compared_and_small_groups_are_named():
    group = np.arange(ROWS) % 2
    unfair = answers()
    unfair.predicted[(group == 1) & (np.arange(ROWS) < 120)] = 1
    inputs = rivals(unfair, answers(), groups={"sex": group, "rare": (np.arange(ROWS) == 3).astype(np.int64)})
    found, compared = run(replace(inputs, favoured=0))
    assert {one.metric for one in compared if one.regressed} >= {"accuracy gap: sex", "selection gap: sex"}
    assert found.metrics["comparisons_left_out"] == 4  # two gaps of "rare", on the held-out and on the current rows
    assert all("rare" in note for note in found.notes)
