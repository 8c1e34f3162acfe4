"""The gate: declared rules over evidence, and a verdict that names each rule, its value and where it came from.

Pure: reads predicates that were verified before, and decides; opens, signs and writes nothing. A rule without
evidence does not hold (fail closed); evidence about another model or other data does not count.

A rule is written `metric = "OP LIMIT"` in `[gate]`, such as `robust_accuracy = ">= 0.60"`. The metric may name
a role, as in `plain.clean_accuracy`; without one it is read from evidence about the data and about the model to be
released.
"""

from __future__ import annotations

import math
import operator
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from hauberk.core.errors import InvalidInput

_OPERATORS: dict[str, Callable[[float, float], bool]] = {
    ">=": operator.ge,
    "<=": operator.le,
    "==": operator.eq,
    ">": operator.gt,
    "<": operator.lt,
}
_RULE = re.compile(r"\s*(>=|<=|==|>|<)\s*(\S+)\s*")
_METRIC = re.compile(r"[A-Za-z0-9_-]+(\.[A-Za-z0-9_-]+)?")


@dataclass(frozen=True, slots=True)
class Rule:
    """`metric` (with or without a role before a dot) compared by `op` with `limit`, a finite number."""

    metric: str
    op: str
    limit: float

    @classmethod
    def parse(cls, metric: str, text: str) -> Rule:
        """Read one line of `[gate]`. Raises InvalidInput with the form that is expected."""
        if not _METRIC.fullmatch(metric):
            raise InvalidInput(f"{metric!r} is not a metric name: write `metric` or `role.metric`.")
        found = _RULE.fullmatch(text)
        example = f'write {metric} = ">= 0.60", with one of {", ".join(_OPERATORS)}'
        if found is None:
            raise InvalidInput(f"the rule {metric} = {text!r} cannot be read: {example}.")
        try:
            limit = float(found[2])
        except ValueError:
            limit = math.nan
        if not math.isfinite(limit):
            raise InvalidInput(
                f"the rule {metric} = {text!r} does not have a finite number as its limit: {example}."
            )
        return cls(metric, found[1], limit)

    @classmethod
    def read(cls, ruling: Mapping[str, Any]) -> Rule:
        """Return the rule of a ruling's JSON form. Raises InvalidInput."""
        return cls.parse(str(ruling.get("metric")), f"{ruling.get('op')} {ruling.get('limit')}")

    def __str__(self) -> str:
        return f"{self.metric} {self.op} {self.limit:g}"

    def holds(self, value: float) -> bool:
        """Whether a finite `value` satisfies the rule; NaN and infinity never do."""
        return math.isfinite(value) and _OPERATORS[self.op](value, self.limit)


@dataclass(frozen=True, slots=True)
class Exhibit:
    """Evidence as the gate sees it: SHA-256 of its envelope, digests of its subjects, and its predicate."""

    digest: str
    subjects: frozenset[str]
    predicate: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Ruling:
    """One rule applied: the deciding value and the envelope that it was read from, or None and why."""

    rule: Rule
    holds: bool
    value: float | None
    evidence: str | None
    reason: str

    def to_json(self) -> dict[str, Any]:
        """Return the JSON form that the verdict's attestation carries."""
        return {
            "rule": str(self.rule),
            "metric": self.rule.metric,
            "op": self.rule.op,
            "limit": self.rule.limit,
            "value": self.value,
            "holds": self.holds,
            "evidence": self.evidence,
            "reason": self.reason,
        }


@dataclass(frozen=True, slots=True)
class Verdict:
    """Every rule's ruling; the release is allowed when all hold, and never without a rule."""

    rulings: tuple[Ruling, ...]

    @property
    def allowed(self) -> bool:
        """Whether there may be a release."""
        return bool(self.rulings) and all(ruling.holds for ruling in self.rulings)


def evaluate(
    rules: Sequence[Rule], exhibits: Sequence[Exhibit], *, about: Mapping[str, str], released: str
) -> Verdict:
    """Apply each rule to the evidence about these subjects.

    about: role to the SHA-256 of its artifact, such as {"data": ..., "plain": ..., "hardened": ...}; released: the
    role that would be released. A rule without a role reads from `released` and "data". Evidence counts for a
    role only when it names that role and that digest is among its subjects, so a good result of another
    model does not count. When several pieces of evidence have one metric (two threats, say) the worst value decides.
    Answers: a release on missing, foreign or cherry-picked evidence. Does not answer: rules that are too weak.
    """
    return Verdict(tuple(_rule(rule, exhibits, about, released) for rule in rules))


def _rule(rule: Rule, exhibits: Sequence[Exhibit], about: Mapping[str, str], released: str) -> Ruling:
    role, _, metric = rule.metric.rpartition(".")
    wanted = {name: about[name] for name in ([role] if role else ["data", released]) if name in about}
    values: list[tuple[float, str]] = []
    for exhibit in exhibits:
        subject = wanted.get(str(exhibit.predicate.get("role")))
        if subject is None or subject not in exhibit.subjects:
            continue
        value = exhibit.predicate.get("metrics", {}).get(metric)
        if isinstance(value, int | float) and not isinstance(value, bool):
            values.append((float(value), exhibit.digest))
    if not values:
        return Ruling(rule, holds=False, value=None, evidence=None, reason="no evidence")
    failing = [pair for pair in values if not rule.holds(pair[0])]
    worst = min if rule.op in (">=", ">") else max
    value, digest = worst(failing or values, key=lambda pair: pair[0])
    reason = f"{value:.4g} {'satisfies' if not failing else 'does not satisfy'} {rule.op} {rule.limit:g}"
    return Ruling(rule, holds=not failing, value=value, evidence=digest, reason=reason)
