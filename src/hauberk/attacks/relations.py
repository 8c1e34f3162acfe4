"""Relations on rows: which columns are computed from others, and whether rows satisfy relations, in float64.

`holds` computes term by term and shares no code with `repair`, whose rows it judges.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from graphlib import CycleError, TopologicalSorter

import numpy as np
from numpy.typing import NDArray

from hauberk.core.columns import Column, ColumnKind
from hauberk.core.errors import InvalidInput
from hauberk.core.relations import Among, Claim, Linear, Relation

SLACK = 1e-6  # share of the sum of a relation's absolute terms that float32 rounding may explain


def check(relation: Relation, known: Mapping[str, Column]) -> None:
    """Raise InvalidInput for an unknown column or category, or a category used as a number, or the reverse."""
    for claim in (*relation.when, relation.then):
        for name in claim.columns:
            if name not in known:
                raise InvalidInput(
                    f"relation {relation.text!r}: no column is named {name!r}; known: {', '.join(known)}."
                )
            category = known[name].kind is ColumnKind.CATEGORY
            if category and isinstance(claim, Linear):
                raise InvalidInput(
                    f"relation {relation.text!r}: {name!r} is a category and not a number: compare it with a quoted category."
                )
            if not category and isinstance(claim, Among):
                raise InvalidInput(
                    f"relation {relation.text!r}: {name!r} is a number: compare it with a number, not with text."
                )
        if isinstance(claim, Among) and claim.value not in known[claim.column].categories:
            listed = ", ".join(known[claim.column].categories)
            raise InvalidInput(
                f"relation {relation.text!r}: {claim.column!r} has no category {claim.value!r}; known: {listed}."
            )


def following(
    relations: Sequence[Relation], columns: Sequence[Column], moved: Collection[str]
) -> dict[int, Relation]:
    """Return the indices of computed columns, each with the relation that defines it, in order of computation.

    moved: names of columns that the adversary may change. A column is computed if it is the left side of an equality, is
    not in `moved`, and the right side contains a moved or a computed column; the first such relation defines it. Raises
    InvalidInput for columns that define each other.
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
        raise InvalidInput(
            f"the relations define {names} by each other: rewrite one relation so that it does not."
        ) from None


def holds(
    relation: Relation, columns: Sequence[Column], x: NDArray[np.float32], origin: NDArray[np.float32]
) -> NDArray[np.bool_]:
    """Return (n,): whether each row satisfies the relation, or breaks it by no more than its origin does."""
    place = {column.name: index for index, column in enumerate(columns)}
    after, slack = broken_by(relation, columns, x, place)
    before, _ = broken_by(relation, columns, origin, place)
    return np.asarray(after <= np.maximum(before, 0.0) + slack, dtype=np.bool_)


def broken_by(
    relation: Relation, columns: Sequence[Column], x: NDArray[np.float32], place: Mapping[str, int]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return (n,) the violation of each row, 0 if the relation's conditions are not met, and (n,) the tolerance."""
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
    """Return (n,) the distance of each row from the claim (0 or below: it holds) and (n,) the tolerance for rounding."""
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
