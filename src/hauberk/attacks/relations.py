"""Relations on rows: what a column follows, and whether rows hold what was declared, judged in float64.

`holds` goes term by term and shares nothing with `repair`, whose rows it judges.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from graphlib import CycleError, TopologicalSorter

import numpy as np
from numpy.typing import NDArray

from hauberk.core.columns import Column, ColumnKind
from hauberk.core.errors import InvalidInput
from hauberk.core.relations import Among, Claim, Linear, Relation

SLACK = 1e-6  # of the sum of a relation's terms by size: float32 rounding of a few of them


def check(relation: Relation, known: Mapping[str, Column]) -> None:
    """Raise InvalidInput for a column or category that is not there, or one that is used as what it is not."""
    for claim in (*relation.when, relation.then):
        for name in claim.columns:
            if name not in known:
                raise InvalidInput(
                    f"relation {relation.text!r}: no column is named {name!r}; known: {', '.join(known)}."
                )
            category = known[name].kind is ColumnKind.CATEGORY
            if category and isinstance(claim, Linear):
                raise InvalidInput(
                    f"relation {relation.text!r}: {name!r} is a category, which has no size: compare it with one in quotes."
                )
            if not category and isinstance(claim, Among):
                raise InvalidInput(f"relation {relation.text!r}: {name!r} is a number and is compared with text.")
        if isinstance(claim, Among) and claim.value not in known[claim.column].categories:
            listed = ", ".join(known[claim.column].categories)
            raise InvalidInput(
                f"relation {relation.text!r}: {claim.column!r} has no category {claim.value!r}; known: {listed}."
            )


def following(
    relations: Sequence[Relation], columns: Sequence[Column], moved: Collection[str]
) -> dict[int, Relation]:
    """Return the places of columns that follow moved ones, each with the relation that defines it, in order.

    A column follows when it stands alone on the left of an equality, is not moved itself, and something on the right
    is moved or follows; the first such relation defines it. Raises InvalidInput for columns that define each other.
    """
    place = {column.name: index for index, column in enumerate(columns) if column.kind is not ColumnKind.CATEGORY}
    made: dict[str, Relation] = {}
    grown = True
    while grown:
        grown = False
        for relation in relations:
            name = relation.defines
            if name in place and name not in moved and name not in made and {*moved, *made} & {*relation.columns}:
                made[name] = relation
                grown = True
    graph = {name: [c for c in relation.columns if c != name and c in made] for name, relation in made.items()}
    try:
        return {place[name]: made[name] for name in TopologicalSorter(graph).static_order()}
    except CycleError as error:
        names = ", ".join(dict.fromkeys(error.args[1]))
        raise InvalidInput(f"the relations define {names} by each other: state one the other way round.") from None


def holds(
    relation: Relation, columns: Sequence[Column], x: NDArray[np.float32], origin: NDArray[np.float32]
) -> NDArray[np.bool_]:
    """Return (n,): whether each row keeps the relation, or breaks it by no more than its origin did."""
    place = {column.name: index for index, column in enumerate(columns)}
    after, slack = broken_by(relation, columns, x, place)
    before, _ = broken_by(relation, columns, origin, place)
    return np.asarray(after <= np.maximum(before, 0.0) + slack, dtype=np.bool_)


def broken_by(
    relation: Relation, columns: Sequence[Column], x: NDArray[np.float32], place: Mapping[str, int]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return (n,) how far each row breaks the relation, 0 where its conditions are not met, and (n,) the slack."""
    met = np.ones(len(x), dtype=np.bool_)
    for claim in relation.when:
        distance, _ = _distance(claim, columns, x, place)
        strict = isinstance(claim, Linear) and claim.sign == "<"
        met &= (distance < 0) if strict else (distance <= 0)
    distance, slack = _distance(relation.then, columns, x, place)
    return np.where(met, distance, 0.0), slack


def _distance(
    claim: Claim, columns: Sequence[Column], x: NDArray[np.float32], place: Mapping[str, int]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return how far each row is from the claim (at most 0: it holds) and what rounding may account for."""
    none = np.zeros(len(x), dtype=np.float64)
    if isinstance(claim, Among):
        index = place[claim.column]
        same = x[:, index] == columns[index].categories.index(claim.value)
        return (same != claim.equal).astype(np.float64), none
    total, size = none + claim.constant, none + abs(claim.constant)
    for name, weight in claim.terms:
        term = weight * x[:, place[name]].astype(np.float64)
        total, size = total + term, size + np.abs(term)
    return (np.abs(total) if claim.sign == "=" else total), SLACK * size
