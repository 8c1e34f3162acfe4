"""Prove that a row was, or was not, in the training set of a model: the owner's side of `hauberk data prove`.

The proof is one JSON file with everything that a verifier needs except the keys: the row, the meaning of its numbers, the
claim with its tree proofs (`custody.rowtree`), the signed event that ties the tree's root to the model, and the event's
inclusion in the ledger. `checking` verifies it, offline.

A row without a label is claimed for every class: "this person is not in the set, under any label".
"""

from __future__ import annotations

import base64
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hauberk.core.errors import InvalidInput, NotProven
from hauberk.custody import sealing
from hauberk.custody.keys import KeyService
from hauberk.custody.rows import Schema, UnknownCategoryError
from hauberk.custody.rowtree import Commitment, RowTree
from hauberk.custody.seen import Seen
from hauberk.data.reading.onerow import one_row
from hauberk.lifecycle.main.lineage import SIDES, tree_context
from hauberk.project.opening import HOME, open_project_keys
from hauberk.records import lineage
from hauberk.records.lineage import Transaction
from hauberk.records.reader import Records, open_records
from hauberk.records.workshop import SEALING

TYPE = "https://hauberk.dev/row-proof/v1"


@dataclass(frozen=True, slots=True)
class Row:
    """A row in question: values by column, or a picture as base64 of float32; label "" when every class is asked about."""

    values: Mapping[str, Any] | str
    label: str = ""


@dataclass(frozen=True, slots=True)
class Asked:
    """A row as a caller names it: row `number` (from 0) of `files`, or `values`. label: its class, "" for the row's own.

    Raises InvalidInput when a row is named in neither way, or in both.
    """

    files: tuple[str, ...] = ()
    number: int | None = None
    values: Mapping[str, Any] | None = None
    label: str = ""

    def __post_init__(self) -> None:
        if (self.values is None) == (not self.files) or (self.files and self.number is None):
            raise InvalidInput(
                "name a row: a file and the row's number in it (--data FILE --row N), or --values JSON."
            )

    def row(self, schema: Schema) -> Row:
        """Return the row in the columns of a set. Raises InvalidInput for a row that the files do not have."""
        said, target = schema.value, schema.value["target"]
        if self.values is not None:
            named = self.values.get(target)
            return Row(self.values, self.label or ("" if named is None else str(named)))
        assert self.number is not None
        columns = [column["name"] for column in said["columns"]]
        row, found = one_row(
            self.files, self.number, kind=said["kind"], shape=said["shape"], target=target, columns=columns
        )
        return Row(row, self.label or found)


@dataclass(frozen=True, slots=True)
class Proof:
    """A proof about one row. document: the file that `checking` verifies. event: the training that it is about.

    claims: class to "present" or "absent". everywhere: whether every class was asked about, or no row of the set can
    have these values.
    """

    document: Mapping[str, Any]
    event: Transaction
    side: str
    claims: Mapping[str, str]
    everywhere: bool

    @property
    def present(self) -> bool:
        """Whether the row is in the set, in some class."""
        return "present" in self.claims.values()

    def to_json(self) -> dict[str, Any]:
        """Return the document of `hauberk data prove --json`, without the name of its output."""
        return {
            "present": self.present,
            "everywhere": self.everywhere,
            "claims": dict(self.claims),
            "unknown": self.document["unknown"],
            "entry": self.event.index,
            "role": self.event.details["role"],
            "side": self.side,
        }


def prove_row(
    folder: Path,
    asked: Asked,
    *,
    model: str = "",
    side: str = "train",
    passphrase: Callable[[], bytes] | None = None,
) -> Proof:
    """Return the proof about one row of a project's training; model as in `chosen`.

    Reads the ledger without its lock and writes nothing. The row tree is sealed, since with it anyone could list
    the set: the project's keys are opened for it, and for nothing else.
    Raises InvalidInput where there is no ledger, training, row or key, NotProven when a record does not hold.
    """
    records = open_records(folder / HOME, seen=Seen(), check_seen=True)
    event = chosen(trainings(records), model)
    try:
        keys = open_project_keys(folder, passphrase=passphrase)
    except InvalidInput as error:
        raise InvalidInput(
            f"the row tree of entry {event.index} is sealed under the key {SEALING!r}, which did not open: {error} "
            "A proof that was made before is checked without keys: `hauberk data prove --check PROOF`."
        ) from error
    tree = tree_of(records, keys, event, side)
    document = prove(records, tree, asked.row(tree.schema), event=event, side=side)
    claims = {claim["label"]: claim["claim"] for claim in document["claims"]}
    everywhere = document["unknown"] is not None or claims.keys() == set(tree.schema.classes)
    return Proof(document, event, side, claims, everywhere)


def trainings(records: Records) -> list[Transaction]:
    """Return the training events on record, the newest first."""
    return list(lineage.transactions(records, lineage.USED))[::-1]


def chosen(known: Sequence[Transaction], model: str = "") -> Transaction:
    """Return the training of a model; "" is the newest.

    model: its role, its ledger entry, or the first 6 or more digits of its digest.
    Raises InvalidInput when no model, or more than one, has this name.
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
        some = ", ".join(f"{one.details['role']} (entry {one.index})" for one in known[:10])
        raise InvalidInput(f"{model[:80]!r} names {len(meant)} trainings, expected one of: {some}.")
    return meant[0]


def tree_of(records: Records, keys: KeyService, event: Transaction, side: str = "train") -> RowTree:
    """Return the row tree of a training's side, "train" or "test". keys: they open the sealed tree.

    Raises NotProven when it is not the tree that the event committed to.
    """
    if side not in SIDES:
        raise InvalidInput(f"a set has the sides {' and '.join(SIDES)}, found {side!r}.")
    said = event.details["rows"][side]
    commitment = Commitment.read(said)
    sealed = records.artifacts.get(str(said["tree"]))
    what = f"the row tree of entry {event.index}"
    data = sealing.unseal_bytes(sealed, keys, SEALING, associated=tree_context(commitment.root), what=what)
    tree = RowTree.read(data)
    if tree.commitment != commitment:
        raise NotProven(f"{what} is not the one that the event committed to: the store was changed.")
    return tree


def prove(records: Records, tree: RowTree, row: Row, *, event: Transaction, side: str = "train") -> dict[str, Any]:
    """Return the proof document about one row of a training. tree: as `tree_of` gives it for this event and side.

    Raises InvalidInput for a row that does not have the set's columns.
    """
    document: dict[str, Any] = {
        "_type": TYPE,
        "side": side,
        "schema": dict(tree.schema.value),
        "event": base64.b64encode(records.artifacts.get(event.envelope)).decode("ascii"),
        "logged": records.ledger.tlog_proof(event.index).decode("utf-8"),
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
    """Return the classes that a claim covers: the named one, or all when none is named or the set does not have it."""
    return [label] if label in schema.classes else schema.classes


def _asked(schema: Schema, row: Row) -> Mapping[str, Any]:
    assert isinstance(row.values, Mapping)
    return {column["name"]: row.values[column["name"]] for column in schema.value["columns"]}
