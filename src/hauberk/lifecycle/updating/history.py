"""History: which release is the champion, which rows it was trained on, and which of these rows are trusted.

Everything is linked by digests. The champion's manifest names its data set. A data set that an update made is the output of
a `data.extended` event, which names the declared data and the added batches. A `data.trusted` event records that a person
vouched for a data set. Batches that no one vouched for are on probation: they are screened again with each further batch.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from hauberk.core import canonical
from hauberk.core.errors import InvalidInput, NotProven
from hauberk.core.evidence import Subject
from hauberk.custody import sealing
from hauberk.custody.seen import Seen
from hauberk.data.poison.drip import stacked
from hauberk.data.reading.dataset import Dataset, Split
from hauberk.data.reading.loading import load
from hauberk.lifecycle.controls.training import ONNX
from hauberk.lifecycle.main.job import DATA
from hauberk.lifecycle.main.models import Trained
from hauberk.lifecycle.releasing import releases
from hauberk.lifecycle.releasing.releases import Made
from hauberk.lifecycle.updating.batches import SHIFT, Batch, offered, transactions_of
from hauberk.project import Project
from hauberk.records import lineage
from hauberk.records.lineage import Transaction
from hauberk.records.workshop import MODELS, Workshop
from hauberk.release import bundle, verification
from hauberk.release.bundle import Manifest

CHAMPION, ANCHOR = "champion", "trusted"


@dataclass(frozen=True, slots=True, eq=False)
class History:
    """The state before an update.

    champion: the served release; anchor: the release trained on the trusted rows alone (`_anchor`). base: the declared data
    after the main job. learned: the batches that the champion was trained on; a person vouched for the first `trusted` of
    them. aside: row numbers excluded when those were vouched for. offered: every batch ever offered. since: the ledger entry
    at which the trusted state begins.
    """

    champion: Made
    manifest: Manifest
    anchor: Made
    base: Split
    base_digest: str
    learned: tuple[Batch, ...]
    trusted: int
    aside: tuple[int, ...]
    offered: tuple[Batch, ...]
    since: int
    transactions: tuple[Transaction, ...]

    @property
    def vouched(self) -> Dataset:
        """Every row of the trusted state, held out or not."""
        sides = [self.base.train, self.base.test, *(batch.side for batch in self.learned[: self.trusted])]
        whole = stacked(sides)
        return whole.take(~np.isin(whole.rows, [row for row in self.aside if row >> SHIFT]))

    @property
    def probation(self) -> tuple[Batch, ...]:
        """The batches that the champion was trained on and that no one vouched for."""
        return self.learned[self.trusted :]

    def watched(self, new: Sequence[Batch]) -> tuple[Batch, ...]:
        """Return every batch offered since the trusted state, refused batches included: an attack is visible in what was sent."""
        known = [batch for batch in self.offered if batch.entry > self.since]
        return (*known, *(batch for batch in new if batch.digest not in {one.digest for one in known}))

    def split(self, new: Sequence[Batch]) -> Split:
        """Return the rows that a challenger may train on and the held-out rows, new batches included."""
        batches = [*self.learned, *new]
        train = stacked([self.base.train, *(batch.train for batch in batches)])
        test = stacked([self.base.test, *(batch.test for batch in batches)])
        gone = [row for row in self.aside if row >> SHIFT]
        return Split(train.take(~np.isin(train.rows, gone)), test, self.base.files)


def read_history(project: Project, workshop: Workshop, *, seen: Seen | None = None) -> History:
    """Return the verified history of the served release. seen: this machine's memory of checkpoints.

    Raises InvalidInput without a release and when the declared data differ from the data that it was trained on, NotProven
    when release, ledger or a batch was tampered with.
    """
    place = project.folder / releases.FOLDER
    known = releases.releases(workshop.records)
    champion = releases.served(workshop.records, place, known)
    failed = verification.check(place, key=workshop.signer.public, keys=workshop.keys, seen=seen).failed
    if failed is not None:
        raise NotProven(
            f"the served release does not verify: step {failed.number} ({failed.name}): {failed.detail} "
            "`hauberk rollback --to N` replaces it by one that verifies."
        )
    transactions = transactions_of(workshop)
    manifest, _ = releases.manifest_of(workshop.records, champion)
    extended = {_output(one): one for one in transactions if one.event == lineage.EXTENDED}
    told = extended.get(manifest.about[DATA])
    base_digest = str(told.details["base"]) if told else manifest.about[DATA]
    base = _declared(project, workshop, transactions, base_digest)
    every = offered(workshop, transactions, base.train)
    by_digest = {batch.digest: batch for batch in every}
    learned = tuple(by_digest[str(digest)] for digest in (told.details["batches"] if told else ()))
    state, vouched_at = _trusted(transactions, extended, base_digest, [batch.digest for batch in learned])
    vouched = extended.get(state)
    anchor = _anchor(workshop, known, champion, state)
    return History(
        champion,
        manifest,
        anchor,
        base,
        base_digest,
        learned,
        len(vouched.details["batches"]) if vouched else 0,
        tuple(vouched.details["aside"]) if vouched else (),
        tuple(every),
        anchor.entry if vouched_at is None else vouched_at,
        transactions,
    )


def trained(workshop: Workshop, place: Path, made: Made, *, role: str) -> Trained:
    """Return a released model as a trained model of this run, its files in the store. Raises InvalidInput when they are lost."""
    outputs = {subject.name: subject.sha256 for subject in made.models}
    for name, digest in outputs.items():
        if not workshop.artifacts.has(digest):
            key = MODELS if made.details.get("sealed") else None
            workshop.artifacts.put(_from_folder(workshop, place, name, digest), key=key)
    return Trained(role, outputs)


def _from_folder(workshop: Workshop, place: Path, name: str, digest: str) -> bytes:
    sealed, plain = place / (name + bundle.SEALED_SUFFIX), place / name
    data = b""
    if sealed.is_file():
        data = sealing.unseal_bytes(sealed.read_bytes(), workshop.keys, associated=bundle.sealed_context(name))
    elif plain.is_file():
        data = plain.read_bytes()
    if canonical.sha256(data) != digest:
        what = "the champion's model" if name == ONNX else "the champion's weights"
        raise InvalidInput(
            f"{what} ({name}, {digest[:16]}) are neither in the store nor in {place}: restore .hauberk/store from a backup"
            + ("." if name == ONNX else ", or train anew with --cold.")
        )
    return data


def _declared(project: Project, workshop: Workshop, transactions: Sequence[Transaction], digest: str) -> Split:
    """Return the declared data with this digest: as loaded, or without the rows that were set aside."""
    split = load(project.data, seed=project.seed)
    found = split_digest(split)
    if found == digest:
        return split
    for one in transactions:
        names = {subject.name: subject.sha256 for subject in one.outputs}
        if one.event != lineage.REPAIRED or names.get("dataset") != digest or "quarantine.json" not in names:
            continue
        if found in {subject.sha256 for subject in one.inputs}:
            listed = canonical.decode(workshop.artifacts.get(names["quarantine.json"]), what="quarantine.json")
            rows = [int(entry["row"]) for entry in listed["rows"]]
            left = Split(split.train.take(~np.isin(split.train.rows, rows)), split.test, split.files)
            if split_digest(left) == digest:
                return left
    raise InvalidInput(
        "the declared data differ from the data that the served release was trained on. New rows belong in files of their own: "
        "restore the declared files and name the new ones with --data; or run `hauberk protect` to start again with these."
    )


def split_digest(split: Split) -> str:
    """Return the digest of a split, as evidence and manifests carry it."""
    return canonical.digest([split.train.digest(), split.test.digest()])


def _trusted(
    transactions: Sequence[Transaction], extended: Mapping[str, Transaction], base: str, learned: Sequence[str]
) -> tuple[str, int | None]:
    """Return the newest vouched-for data set that the learned data begin with, and the ledger entry of its `data.trusted`."""
    for one in reversed(transactions):
        if one.event != lineage.TRUSTED:
            continue
        state = _output(one)
        told = extended.get(state)
        batches: Sequence[Any] = told.details["batches"] if told else ()
        same = told is None or told.details["base"] == base
        if same and list(batches) == list(learned[: len(batches)]) and (told is not None or state == base):
            return state, one.index
    return base, None


def _anchor(workshop: Workshop, known: Sequence[Made], champion: Made, state: str) -> Made:
    """Return the newest release that the main job made from this data set, else the first release trained on it.

    A person ran the main job and so vouched for its result. Updates on known rows train on the same data set; with one of
    them as the anchor, small losses could add up.
    """
    same = [made for made in known if releases.manifest_of(workshop.records, made)[0].about[DATA] == state]
    main = [made for made in same if made.made_by == "protect"]
    return main[-1] if main else same[0] if same else champion


def _output(one: Transaction) -> str:
    return next(subject.sha256 for subject in one.outputs if subject.name == "dataset")


def dataset(digest: str) -> Subject:
    """Return the subject that names a data set in events."""
    return Subject("dataset", digest)
