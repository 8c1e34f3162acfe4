"""Prove that a row was, or was not, among those that a model was trained on: the owner's side.

The proof is one JSON file that holds all that a verifier needs but the keys: the row, what its numbers mean, the claim
with its tree proofs (`custody.rowtree`), the signed event that ties the tree's root to the model, and the event's
inclusion in the ledger. `checking` verifies it, offline.

A row without a label is claimed for every class: "this person is not in the set, whatever was said of them".
"""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from hauberk.core.errors import InvalidInput, NotProven
from hauberk.custody import sealing
from hauberk.custody.rows import Schema, UnknownCategoryError
from hauberk.custody.rowtree import Commitment, RowTree
from hauberk.lifecycle.main.lineage import SIDES, tree_context
from hauberk.records import lineage
from hauberk.records.lineage import Transaction
from hauberk.records.workshop import SEALING, SIGNING, Workshop

TYPE = "https://hauberk.dev/row-proof/v1"


@dataclass(frozen=True, slots=True)
class Row:
    """A row in question: values by column, or a picture as base64 of float32; label "" where it is left open."""

    values: Mapping[str, Any] | str
    label: str = ""


def trainings(workshop: Workshop) -> list[Transaction]:
    """Return the training events on record, the newest first."""
    known = lineage.transactions(workshop.ledger, workshop.artifacts, workshop.keys.publics(SIGNING))
    return [one for one in known if one.event == lineage.USED][::-1]


def chosen(known: Sequence[Transaction], model: str = "") -> Transaction:
    """Return the training of a model: named by its role, its ledger entry or the beginning of its digest; "" the newest.

    Raises InvalidInput when nothing, or more than one model, is meant.
    """
    if not known:
        raise InvalidInput("no model was trained under this ledger. Run `hauberk protect` first.")
    if not model:
        return known[0]
    for one in known:
        if model in (one.details["role"], str(one.index)):
            return one
    meant = [
        one for one in known if len(model) >= 6 and any(s.sha256.startswith(model.lower()) for s in one.outputs)
    ]
    if len({one.outputs for one in meant}) != 1:
        told = ", ".join(f"{one.details['role']} (entry {one.index})" for one in known[:10])
        raise InvalidInput(f"{model[:80]!r} names {len(meant)} trainings, expected one of: {told}.")
    return meant[0]


def tree_of(workshop: Workshop, event: Transaction, side: str = "train") -> RowTree:
    """Return the row tree behind a training event. Raises NotProven when it is not the one that was committed to."""
    told = event.details["rows"][side]
    commitment = Commitment.read(told)
    sealed = workshop.artifacts.get(str(told["tree"]))
    what = f"the row tree of entry {event.index}"
    data = sealing.unseal_bytes(sealed, workshop.keys, SEALING, associated=tree_context(commitment.root), what=what)
    tree = RowTree.read(data)
    if tree.commitment != commitment:
        raise NotProven(f"{what} is another than the event committed to.")
    return tree


def prove(workshop: Workshop, row: Row, *, event: Transaction, side: str = "train") -> dict[str, Any]:
    """Return the proof document about one row of a training.

    side: "train" or "test". Raises InvalidInput for a row that does not have the set's columns.
    """
    if side not in SIDES:
        raise InvalidInput(f"a set has the sides {' and '.join(SIDES)}, found {side!r}.")
    tree = tree_of(workshop, event, side)
    document: dict[str, Any] = {
        "_type": TYPE,
        "side": side,
        "schema": dict(tree.schema.value),
        "event": base64.b64encode(workshop.artifacts.get(event.envelope)).decode("ascii"),
        "logged": workshop.ledger.tlog_proof(event.index).decode("utf-8"),
    }
    try:
        features = tree.schema.features(row.values)
    except UnknownCategoryError as error:
        # No row under the committed schema can have this value: that is the proof.
        return document | {"row": _asked(tree.schema, row), "claims": [], "unknown": error.column}
    claims = [
        {"label": name, **tree.prove(tree.schema.row_digest(features, tree.schema.class_index(name)))}
        for name in labels(tree.schema, row.label)
    ]
    return document | {"row": tree.schema.named(features), "claims": claims, "unknown": None}


def labels(schema: Schema, label: str) -> list[str]:
    """Return the classes that a claim is about: the one named, or all when none is, or one that the set calls otherwise."""
    return [label] if label in schema.classes else schema.classes


def _asked(schema: Schema, row: Row) -> Mapping[str, Any]:
    assert isinstance(row.values, Mapping)
    return {column["name"]: row.values[column["name"]] for column in schema.value["columns"]}
