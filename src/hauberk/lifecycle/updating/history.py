"""History: which release is the champion, which rows it learned from, and which of these are trusted.

Told by digests alone: the champion's manifest names its data set; a data set that an update made is the output of a
`data.extended` event, which names the declared data that it began with and the batches that came; a `data.trusted` event says
that a person vouched for a data set. What nobody vouched for, beyond the data that the main job was given, is on
probation for as long as it takes: it is screened again with every further batch.
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
    """What an update begins with.

    champion: the served release; anchor: the one that stands for the trusted rows alone (`_anchor`). base: the declared
    data as the main job left them. learned: the batches that the champion learned from, of which the first `trusted` are
    vouched for. aside: row numbers that were set aside when those were vouched for. offered: every batch ever offered.
    since: the ledger entry that the trusted state begins with.
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
        """The batches that the champion learned from and that nobody vouched for."""
        return self.learned[self.trusted :]

    def watched(self, new: Sequence[Batch]) -> tuple[Batch, ...]:
        """Return every batch that came since the trusted state, refused ones too: what was sent is what is judged."""
        known = [batch for batch in self.offered if batch.entry > self.since]
        return (*known, *(batch for batch in new if batch.digest not in {one.digest for one in known}))

    def split(self, new: Sequence[Batch]) -> Split:
        """Return all rows that a challenger may learn from, and all that are held out, of these batches too."""
        batches = [*self.learned, *new]
        train = stacked([self.base.train, *(batch.train for batch in batches)])
        test = stacked([self.base.test, *(batch.test for batch in batches)])
        gone = [row for row in self.aside if row >> SHIFT]
        return Split(train.take(~np.isin(train.rows, gone)), test, self.base.files)


def read_history(project: Project, workshop: Workshop, *, seen: Seen | None = None) -> History:
    """Return the history of the served release, everything in it verified. seen: this machine's memory of checkpoints.

    Raises InvalidInput without a release and when the declared data are not those that it learned from, NotProven when
    release, ledger or a batch was tampered with.
    """
    place = project.folder / releases.FOLDER
    known = releases.releases(workshop.records)
    champion = releases.served(workshop.records, place, known)
    failed = verification.check(place, key=workshop.signer.public, keys=workshop.keys, seen=seen).failed
    if failed is not None:
        raise NotProven(
            f"the served release does not verify: step {failed.number} ({failed.name}): {failed.detail} "
            "`hauberk rollback --to N` puts one that does in its place."
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
    """Return a released model as one of this run's, its files in the store. Raises InvalidInput when they are nowhere."""
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
    """Return the declared data in the state that `digest` names: as loaded, or without the rows that were set aside."""
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
        "the declared data are not those that the served release learned from. New rows belong in files of their own: restore "
        "the declared ones and name the new ones with --data; or run `hauberk protect` to begin anew with what is there now."
    )


def split_digest(split: Split) -> str:
    """Return the digest that a split is known by in evidence and manifests."""
    return canonical.digest([split.train.digest(), split.test.digest()])


def _trusted(
    transactions: Sequence[Transaction], extended: Mapping[str, Transaction], base: str, learned: Sequence[str]
) -> tuple[str, int | None]:
    """Return the newest data set that was vouched for and that what was learned begins with, and who says so."""
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
    """Return the newest release that the main job made from this state, else the first one that learned from it.

    A person ran the main job, and vouched with it for what it made. Updates on known rows learn from the same state, and would
    let small losses add up; whether a person asked for them is not known.
    """
    same = [made for made in known if releases.manifest_of(workshop.records, made)[0].about[DATA] == state]
    main = [made for made in same if made.made_by == "protect"]
    return main[-1] if main else same[0] if same else champion


def _output(one: Transaction) -> str:
    return next(subject.sha256 for subject in one.outputs if subject.name == "dataset")


def dataset(digest: str) -> Subject:
    """Return a data set as events name it."""
    return Subject("dataset", digest)
