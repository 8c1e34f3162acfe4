"""Relation: a constraint between the columns of one row, parsed from text. No text is executed.

    total = premium + tax              an equality of linear sums
    loan_amount <= 5 * income          an inequality: <= or >=
    base = "liability" => excess = 0   an implication: conditions joined with `and`, then the consequence
    `months as customer` <= 12 * age   a name with other characters is written in backticks

A sum adds and subtracts numbers, columns, and a number times a column (or a column divided by a number). A
condition may also use < and >, and != for categories; a relation itself includes its boundary (<= or >=).
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

from hauberk.core.errors import InvalidInput

_TOKEN = re.compile(
    r"\s*(?:(?P<number>(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?)|(?P<name>[^\W\d]\w*)|`(?P<quoted>[^`]+)`"
    r"|(?P<text>\"[^\"]*\"|'[^']*')|(?P<sign>=>|<=|>=|==|!=|[-+*/<>=])|(?P<end>$))"
)
_COMPARISONS = ("<=", ">=", "=", "<", ">", "!=")
_LONGEST = 1000  # characters


@dataclass(frozen=True, slots=True)
class Linear:
    """`sum of weight * column + constant`, compared with 0. sign: "<=", "=", or "<" in a condition."""

    terms: tuple[tuple[str, float], ...]
    constant: float
    sign: str

    @property
    def columns(self) -> tuple[str, ...]:
        """The columns it uses."""
        return tuple(name for name, _ in self.terms)


@dataclass(frozen=True, slots=True)
class Among:
    """A category column equals `value`, or differs from it when `equal` is False."""

    column: str
    value: str
    equal: bool

    @property
    def columns(self) -> tuple[str, ...]:
        """The column it uses."""
        return (self.column,)


Claim = Linear | Among


@dataclass(frozen=True, slots=True)
class Relation:
    """In every row that satisfies all of `when`, `then` must hold. text: the source text.

    defines: the column that is alone on the left of an unconditional equality; "" for other relations.
    """

    text: str
    when: tuple[Claim, ...]
    then: Claim
    defines: str = ""

    @property
    def columns(self) -> tuple[str, ...]:
        """The columns it uses, each once."""
        return tuple(dict.fromkeys(name for claim in (*self.when, self.then) for name in claim.columns))


def parse(text: str) -> Relation:
    """Return the relation in `text`. Raises InvalidInput with the position of the error and what is expected there."""
    if len(text) > _LONGEST:
        raise InvalidInput(f"a relation has at most {_LONGEST} characters, found {len(text)}.")
    reader = _Reader(text)
    first = reader.claim()
    when: list[Claim] = []
    claim = first
    while reader.take("and"):
        when.append(claim)
        claim = reader.claim()
    if reader.take("=>"):
        when.append(claim)
        claim = reader.claim()
    elif when:
        raise reader.unexpected("`=>` and what must hold, after conditions joined with `and`")
    reader.close()
    if isinstance(claim, Linear) and claim.sign == "<":
        raise InvalidInput(
            f"relation {text!r}: what must hold has a border that belongs to it: write <= or >= (for whole numbers, one more)."
        )
    defines = "" if when else reader.defines
    return Relation(text, tuple(when), claim, defines)


class _Word(NamedTuple):
    kind: str
    value: str
    place: int


class _Reader:
    """The tokens of one relation, read from left to right."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.words = list(_words(text))
        self.at = 0
        self.defines = ""

    @property
    def word(self) -> _Word:
        return self.words[self.at]

    def take(self, *values: str) -> str:
        """Return and consume the next token if it is one of `values`, else return ""."""
        word = self.word
        if word.kind in ("sign", "name") and word.value in values:
            self.at += 1
            return word.value
        return ""

    def unexpected(self, expected: str) -> InvalidInput:
        found = repr(self.word.value) if self.word.kind != "end" else "the end"
        return InvalidInput(
            f"relation {self.text!r}: found {found} at character {self.word.place + 1}, expected {expected}."
        )

    def close(self) -> None:
        if self.word.kind != "end":
            raise self.unexpected("the end, `and`, or `=>`")

    def claim(self) -> Claim:
        """Read `sum sign sum`, or `column = "category"`."""
        start = self.at
        left, constant = self.sum()
        alone = self.words[start].value if self.at == start + 1 and len(left) == 1 else ""
        sign = self.take(*_COMPARISONS, "==")
        if not sign:
            raise self.unexpected("one of <=, >=, =")
        sign = "=" if sign == "==" else sign
        if self.word.kind == "text":
            return self.among(alone, sign)
        if sign == "!=":
            raise self.unexpected("a category in quotes: != is for categories")
        right, other = self.sum()
        if sign in (">=", ">"):
            left, right, constant, other = right, left, other, constant
            sign = "<=" if sign == ">=" else "<"
        terms = {name: left.get(name, 0.0) - right.get(name, 0.0) for name in (*left, *right)}
        kept = tuple((name, weight) for name, weight in terms.items() if weight)
        if not kept:
            raise InvalidInput(
                f"relation {self.text!r}: {'no column is' if not terms else 'its columns cancel, none is'} left to hold."
            )
        self.defines = alone if sign == "=" and alone not in right else ""
        return Linear(kept, constant - other, sign)

    def among(self, column: str, sign: str) -> Among:
        if not column or sign not in ("=", "!="):
            raise self.unexpected('a number or a column: a category is compared as column = "value"')
        value = self.word.value[1:-1]
        self.at += 1
        return Among(column, value, equal=sign == "=")

    def sum(self) -> tuple[dict[str, float], float]:
        """Read terms joined by + and -; return weights by column, and the constant."""
        weights: dict[str, float] = {}
        constant = 0.0
        sign = -1.0 if self.take("-") else 1.0
        while True:
            name, factor = self.term()
            if name:
                weights[name] = weights.get(name, 0.0) + sign * factor
            else:
                constant += sign * factor
            joined = self.take("+", "-")
            if not joined:
                return weights, constant
            sign = 1.0 if joined == "+" else -1.0

    def term(self) -> tuple[str, float]:
        """Read `number`, `column`, `number * column`, `column * number` or `column / number`."""
        name, factor = self.atom()
        while sign := self.take("*", "/"):
            other, value = self.atom()
            if sign == "/" and (other or not value):
                raise self.unexpected("a number other than 0 after `/`: relations are linear")
            if name and other:
                raise InvalidInput(
                    f"relation {self.text!r}: {name} times {other} is not linear: multiply by numbers."
                )
            name = name or other
            factor = factor / value if sign == "/" else factor * value
        return name, factor

    def atom(self) -> tuple[str, float]:
        word = self.word
        if word.kind == "number":
            self.at += 1
            return "", float(word.value)
        if word.kind == "quoted" or (word.kind == "name" and word.value != "and"):
            self.at += 1
            return word.value, 1.0
        raise self.unexpected("a number or the name of a column")


def _words(text: str) -> Iterator[_Word]:
    at = 0
    while True:
        found = _TOKEN.match(text, at)
        if found is None:
            place = at + len(text[at:]) - len(text[at:].lstrip())
            raise InvalidInput(
                f"relation {text!r}: {text[place]!r} at character {place + 1} is not allowed here. Expected a number, a "
                "column (between backticks when it has blanks or signs), + - * / <= >= = =>, or a category in quotes."
            )
        kind = str(found.lastgroup)
        yield _Word(kind, found[kind], found.start(kind))
        if kind == "end":
            return
        at = found.end()
