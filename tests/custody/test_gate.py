from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hauberk.core.errors import InvalidInput
from hauberk.custody.gate import Exhibit, Rule
from hauberk.custody.gate import evaluate as evaluate_for

MODEL, DATA, OTHER = "aa" * 32, "dd" * 32, "00" * 32
ABOUT = {"hardened": MODEL, "plain": OTHER, "data": DATA}


def evaluate(rules, exhibits, *, about):
    return evaluate_for(rules, exhibits, about=about, released="hardened")


RULE = Rule.parse("robust_accuracy", ">= 0.6")


def exhibit(value: float, *, role: str = "hardened", subject: str = MODEL, name: str = "e1") -> Exhibit:
    predicate = {"role": role, "metrics": {"robust_accuracy": value}}
    return Exhibit(digest=name, subjects=frozenset({subject}), predicate=predicate)


def test_a_rule_that_holds_names_value_and_evidence():
    verdict = evaluate([RULE], [exhibit(0.71)], about={"hardened": MODEL})
    assert verdict.allowed
    ruling = verdict.rulings[0].to_json()
    assert (ruling["value"], ruling["evidence"], ruling["rule"]) == (0.71, "e1", "robust_accuracy >= 0.6")


def test_missing_evidence_fails_closed():
    verdict = evaluate([RULE], [], about=ABOUT)
    assert not verdict.allowed
    assert verdict.rulings[0].reason == "no evidence"


def test_no_rules_is_no_release():
    assert not evaluate([], [exhibit(1.0)], about=ABOUT).allowed


def test_evidence_about_another_model_is_no_evidence():
    assert not evaluate([RULE], [exhibit(0.99, subject=OTHER)], about={"hardened": MODEL}).allowed


def test_the_plain_model_cannot_stand_in_for_the_hardened_one():
    assert not evaluate([RULE], [exhibit(0.99, role="plain", subject=OTHER)], about=ABOUT).allowed


def test_the_worst_of_several_measurements_decides():
    verdict = evaluate([RULE], [exhibit(0.9), exhibit(0.4, name="weak"), exhibit(0.5)], about={"hardened": MODEL})
    assert not verdict.allowed
    assert (verdict.rulings[0].value, verdict.rulings[0].evidence) == (0.4, "weak")


def test_a_role_before_the_dot_is_read_from_that_role_alone():
    rule = Rule.parse("plain.robust_accuracy", "< 0.5")
    exhibits = [exhibit(0.9), exhibit(0.1, role="plain", subject=OTHER)]
    assert evaluate([rule], exhibits, about=ABOUT).allowed


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize("op", [">=", "<=", ">", "<", "=="])
def test_what_is_not_finite_never_holds(value, op):
    assert not Rule("m", op, 0.0).holds(value)


@pytest.mark.parametrize("text", ["", "0.6", ">=", "=> 0.6", ">= nan", ">= inf", ">= 60%", "!= 1", ">= 0.6 0.7"])
def test_what_is_no_rule_says_how_to_write_one(text):
    with pytest.raises(InvalidInput, match=r"write robust_accuracy = \">= 0.60\""):
        Rule.parse("robust_accuracy", text)


@given(
    st.lists(st.floats(0, 1), min_size=1, max_size=6),
    st.floats(0, 1),
    st.sampled_from([">=", ">", "<=", "<", "=="]),
)
def test_the_verdict_is_the_conjunction_over_all_evidence(values, limit, op):
    rule = Rule("robust_accuracy", op, limit)
    verdict = evaluate([rule], [exhibit(v) for v in values], about={"hardened": MODEL})
    assert verdict.allowed == all(rule.holds(v) for v in values)
