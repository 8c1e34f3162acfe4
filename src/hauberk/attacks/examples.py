"""Examples of an attack: inputs beside their adversarial versions, as one JSON artifact for reports."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hauberk.attacks.budget import ColumnBox, Region
from hauberk.attacks.pictures import difference, picture
from hauberk.core import canonical
from hauberk.core.columns import Column, ColumnKind
from hauberk.models.port import Floats, Labels, Model

_MOST = 6


def examples(  # noqa: PLR0913, PLR0917 - both inputs, their labels, and the budget
    model: Model,
    before: Floats,
    after: Floats,
    y: Labels,
    fell: NDArray[np.intp],
    budget: Region,
    classes: Sequence[str],
    *,
    numbers: NDArray[np.int64] | None = None,
) -> bytes:
    """Return canonical JSON of up to six rows among `fell` (right before, wrong after), spread over the classes.

    numbers: (n,) row numbers to show, such as indices in a file; by default the indices in `before`.
    """
    rows = _spread(fell, y)
    image = before.ndim == 4
    predicted = [_predictions(model, values[rows], classes) if len(rows) else [] for values in (before, after)]
    listed: list[dict[str, Any]] = []
    for place, row in enumerate(rows):
        example: dict[str, Any] = {
            "row": int(row if numbers is None else numbers[row]),
            "label": classes[y[row]],
            "before": predicted[0][place],
            "after": predicted[1][place],
        }
        if image:
            _add_pictures(example, before[row], after[row])
        else:
            assert isinstance(budget, ColumnBox)
            example["changes"], example["cost"] = _changes(before[row], after[row], budget)
        listed.append(example)
    shape = {"shape": list(before.shape[1:])} if image else {}
    return canonical.encode({"kind": "image" if image else "table", "examples": listed} | shape)


def _spread(fell: NDArray[np.intp], y: Labels) -> list[int]:
    """Return rows such that each class appears once before any class appears twice."""
    seen: dict[int, int] = {}
    ranked: list[tuple[int, int]] = []
    for row in fell.tolist():
        ranked.append((seen.get(int(y[row]), 0), row))
        seen[int(y[row])] = seen.get(int(y[row]), 0) + 1
    return [row for _, row in sorted(ranked)[:_MOST]]


def _predictions(model: Model, x: Floats, classes: Sequence[str]) -> list[dict[str, Any]]:
    scores = model.scores(x).astype(np.float64)
    odds = np.exp(scores - scores.max(axis=1, keepdims=True))
    shares = odds / odds.sum(axis=1, keepdims=True)
    best = scores.argmax(axis=1)
    return [
        {"prediction": classes[choice], "confidence": float(row[choice])}
        for choice, row in zip(best, shares, strict=True)
    ]


def _add_pictures(example: dict[str, Any], before: Floats, after: Floats) -> None:
    change = after.astype(np.float64) - before.astype(np.float64)
    example["before"]["png"] = picture(before)
    example["after"]["png"] = picture(after)
    example["difference"] = {
        "png": difference(before, after),
        "linf": float(np.abs(change).max()),
        "l2": float(np.sqrt((change**2).sum())),
    }


def _changes(before: Floats, after: Floats, box: ColumnBox) -> tuple[list[dict[str, Any]], float]:
    changes: list[dict[str, Any]] = []
    for index, column, budget in box.movable:
        if before[index] != after[index]:
            moved = abs(float(after[index]) - float(before[index]))
            cost = budget.cost * (1.0 if column.kind is ColumnKind.CATEGORY else moved)
            change = {
                "column": column.name,
                "from": _value(before[index], column),
                "to": _value(after[index], column),
            }
            changes.append(change | {"cost": cost})
    for index in box.following:
        if before[index] != after[index]:
            column = box.columns[index]
            ends = {"from": _value(before[index], column), "to": _value(after[index], column)}
            changes.append({"column": column.name, **ends, "cost": 0.0})
    return changes, float(box.price(after[None], before[None])[0])


def _value(value: np.float32, column: Column) -> str:
    if column.kind is ColumnKind.CATEGORY:
        return column.categories[int(value)]
    return f"{float(value):.6g}"
