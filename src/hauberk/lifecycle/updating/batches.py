"""Batches: new files, coded with the champion's columns and classes, kept sealed, and identified by digest.

A model reads numbers: the code of a category, the index of a class. So new rows are coded with the columns and classes that
the champion learned, not with their own. Rows with a value that the champion does not know are left out, with the reason. A
keyed hash of the inputs decides for each row whether it is held out: equal rows are on the same side, across batches and
against the declared data, so that no row is both trained and tested on.
"""

from __future__ import annotations

import hashlib
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from hauberk.core.columns import Column, ColumnKind
from hauberk.core.errors import InvalidInput, NotProven
from hauberk.core.evidence import Subject
from hauberk.custody import sealing
from hauberk.data.reading.dataset import Dataset, Labels, Mask, Split
from hauberk.data.reading.loading import DataSpec, load_whole
from hauberk.records import lineage
from hauberk.records.lineage import Transaction
from hauberk.records.workshop import SEALING, Workshop

SHIFT = 32  # a row of batch b has the number (b << 32) + its place in the batch's files
_SHOWN = 5


@dataclass(frozen=True, slots=True, eq=False)
class New:
    """New rows, coded with the champion's columns and classes. unread: row number in the files to the reason it is left out."""

    side: Dataset
    unread: Mapping[int, str]
    files: tuple[Subject, ...]


@dataclass(frozen=True, slots=True, eq=False)
class Batch:
    """Rows that were offered together. number: from 1. digest: of the rows. held: (n,) mask of the held-out rows."""

    number: int
    digest: str
    entry: int
    time: str
    side: Dataset
    held: Mask

    @property
    def train(self) -> Dataset:
        """The training rows."""
        return self.side.take(~self.held)

    @property
    def test(self) -> Dataset:
        """The held-out rows."""
        return self.side.take(self.held)

    @property
    def subject(self) -> Subject:
        """The batch, as events name it."""
        return Subject(f"batch {self.number}", self.digest)


def where(row: int) -> str:
    """Return a row's place in words, from its number: "batch 3 row 17"."""
    number, place = row >> SHIFT, row & ((1 << SHIFT) - 1)
    return f"batch {number} row {place}" if number else f"row {place}"


def read_new(spec: DataSpec, files: Sequence[str], base: Dataset) -> New:
    """Return the rows of new files, coded with the columns and classes of `base`, the data that the champion learned from.

    spec: how the project's own files are read. Raises InvalidInput for files that cannot be read, are empty, hold one class
    only, or have other columns, kinds of columns or sizes of pictures.
    """
    shipped = spec.kind == "table" and any(name.startswith("sklearn:") for name in spec.files)
    target = spec.target or ("target" if shipped else "")
    own = replace(spec, files=tuple(files), test_files=(), target=target, labels=(), limit=None)
    whole = load_whole(own)
    side = whole.side
    names = ", ".join(Path(name).name for name in files)
    if side.x.shape[1:] != base.x.shape[1:] and base.kind == "image":
        raise InvalidInput(
            f"{names}: the pictures are {side.x.shape[1:]} (channels, height, width), and the model reads {base.x.shape[1:]}."
        )
    classes = load_whole(replace(spec, labels=(), limit=None)).side.classes if spec.labels else base.classes
    unread: dict[int, str] = {}
    y = _coded(side.y, side.classes, classes)
    for row in np.flatnonzero(y < 0).tolist():
        unread[row] = f"class {side.classes[side.y[row]]!r} is new: the model cannot name it"
    x = side.x if base.kind == "image" else _columns(side, base.columns, names, unread)
    good = np.ones(len(side), np.bool_)
    good[list(unread)] = False
    if not good.any():
        raise InvalidInput(
            f"{names}: none of the {len(side)} rows can be read by the model: {next(iter(unread.values()))}."
        )
    read = Dataset(base.kind, x, np.maximum(y, 0), base.classes, base.columns, side.rows, side.groups, side.sources)
    if (base.sources is None) != (side.sources is None):
        raise InvalidInput(f"{names}: only one of the new and the declared data say who sent a row.")
    return New(read.take(good), unread, whole.files)


def _coded(codes: Labels, own: Sequence[str], known: Sequence[str]) -> Labels:
    """Return codes into `known` for codes into `own`, -1 for a name that is not in `known`."""
    place = {name: index for index, name in enumerate(known)}
    table = np.array([place.get(name, -1) for name in own], np.int64)
    return table[codes]


def _columns(side: Dataset, known: Sequence[Column], names: str, unread: dict[int, str]) -> Any:  # noqa: ANN401 - Floats
    own = {column.name: index for index, column in enumerate(side.columns)}
    wanted = [column.name for column in known]
    missing, more = [n for n in wanted if n not in own], [n for n in own if n not in wanted]
    if missing or more:
        told = [f"without {', '.join(map(repr, missing[:_SHOWN]))}"] if missing else []
        told += [f"with {', '.join(map(repr, more[:_SHOWN]))} beside"] if more else []
        raise InvalidInput(
            f"{names}: other columns than the model reads: {'; '.join(told)}. Bring them to the form of the declared data, or "
            "run `hauberk protect` on data of the new form."
        )
    x = np.empty((len(side), len(known)), np.float32)
    for index, column in enumerate(known):
        found = side.columns[own[column.name]]
        values = side.x[:, own[column.name]]
        if (found.kind is ColumnKind.CATEGORY) != (column.kind is ColumnKind.CATEGORY):
            raise InvalidInput(
                f"{names}: column {column.name!r} holds a {found.kind}, and the model reads a {column.kind}."
            )
        if column.kind is ColumnKind.CATEGORY:
            codes = _coded(values.astype(np.int64), found.categories, column.categories)
            values = codes.astype(np.float32)
            for row in np.flatnonzero(codes < 0).tolist():
                value = found.categories[int(side.x[row, own[column.name]])]
                unread.setdefault(row, f"{column.name} {value!r} is new: the model does not know it")
        x[:, index] = values
    return x


def keys_of(side: Dataset, *, labels: bool = False) -> list[bytes]:
    """Return a digest of each row's inputs, and of the label with `labels`: equal rows have equal digests. 2 µs a row."""
    rows = np.ascontiguousarray(side.x.reshape(len(side), -1) + np.float32(0), dtype="<f4")
    found = [hashlib.blake2b(row.tobytes(), digest_size=16).digest() for row in rows]
    return (
        [key + bytes([y % 256, y // 256]) for key, y in zip(found, side.y.tolist(), strict=True)]
        if labels
        else found
    )


def hold_out(side: Dataset, known: Split, earlier: Sequence[Batch], *, share: float, seed: int) -> Mask:
    """Return (n,), the mask of held-out rows, about `share` of them; a group and equal rows stay on one side.

    A row that equals a recorded one is on the same side as that one. Raises InvalidInput when a side would be empty.
    """
    sides = {key: True for part in (known.test, *(b.test for b in earlier)) for key in keys_of(part)}
    sides |= {key: False for part in (known.train, *(b.train for b in earlier)) for key in keys_of(part)}
    own = keys_of(side)
    units = own if side.groups is None else [b"group %d" % group for group in side.groups.tolist()]
    held = np.array(
        [sides.get(key, _drawn(unit, seed) < share) for key, unit in zip(own, units, strict=True)], np.bool_
    )
    if held.all() or not held.any():
        raise InvalidInput(
            f"{len(side)} new rows are too few to split into training and held-out rows: wait until there are more."
        )
    return held


def _drawn(unit: bytes, seed: int) -> float:
    """Return a number in [0, 1) that depends on the row and the seed alone."""
    digest = hashlib.blake2b(unit, digest_size=8, key=b"hauberk held out %d" % seed).digest()
    return int.from_bytes(digest, "big") / 2**64


def known_share(side: Dataset, known: Split, earlier: Sequence[Batch]) -> float:
    """Return the share of rows that are on record already, label included."""
    parts = (known.train, known.test, *(batch.side for batch in earlier))
    on_record = {key for part in parts for key in keys_of(part, labels=True)}
    return sum(key in on_record for key in keys_of(side, labels=True)) / len(side)


def offered(workshop: Workshop, history: Sequence[Transaction], base: Dataset) -> list[Batch]:
    """Return every recorded batch, unsealed and checked against its digest. Raises NotProven."""
    return [_read(workshop, one, base) for one in history if one.event == lineage.OFFERED]


def digest_of(new: New, held: Mask) -> str:
    """Return the digest of a batch: over its rows, their numbers, and the mask of held-out rows."""
    return hashlib.sha256(f"{new.side.digest()} {np.packbits(held).tobytes().hex()}".encode()).hexdigest()


def offer(  # noqa: PLR0913 - the rows, and what is said of them
    workshop: Workshop, new: New, held: Mask, *, number: int, share: float, source: str = ""
) -> Batch:
    """Keep the rows sealed under the data key, and log the offer. share: of the rows, those on record already."""
    digest = digest_of(new, held)
    sealed = sealing.seal_bytes(_packed(new.side, held), workshop.keys, SEALING, associated=_context(digest))
    event = lineage.transaction(
        workshop,
        lineage.OFFERED,
        inputs=new.files,
        outputs=(Subject(f"batch {number}", digest),),
        source=source,
        number=number,
        rows=len(new.side),
        held=int(held.sum()),
        unread=len(new.unread),
        unread_reasons=[f"row {row}: {why}" for row, why in list(new.unread.items())[:_SHOWN]],
        known_share=share,
        kept=workshop.artifacts.put(sealed),
    )
    logged = workshop.attest(event)
    return Batch(number, digest, logged.index, workshop.now(), _numbered(new.side, number), held)


def _read(workshop: Workshop, one: Transaction, base: Dataset) -> Batch:
    (subject,) = one.outputs
    what, number = f"the rows of batch {one.details['number']}", int(one.details["number"])
    sealed = workshop.artifacts.get(str(one.details["kept"]))
    data = sealing.unseal_bytes(sealed, workshop.keys, SEALING, associated=_context(subject.sha256), what=what)
    with np.load(io.BytesIO(data), allow_pickle=False) as arrays:
        found = {name: arrays[name] for name in arrays.files}
    side = Dataset(
        base.kind,
        found["x"],
        found["y"],
        base.classes,
        base.columns,
        found["rows"],
        found.get("groups"),
        found.get("sources"),
    )
    held = found["held"]
    if digest_of(New(side, {}, ()), held) != subject.sha256:
        raise NotProven(
            f"{what} do not have the digest that entry {one.index} names, or the declared data changed since."
        )
    return Batch(number, subject.sha256, one.index, one.time, _numbered(side, number), held)


def transactions_of(workshop: Workshop) -> tuple[Transaction, ...]:
    """Return the transactions of an open workshop, each one verified."""
    return lineage.transactions(workshop.records)


def _numbered(side: Dataset, number: int) -> Dataset:
    groups = None if side.groups is None else side.groups + (number << SHIFT)
    return replace(side, rows=side.rows + (number << SHIFT), groups=groups)


def _packed(side: Dataset, held: Mask) -> bytes:
    arrays: dict[str, Any] = {"x": side.x, "y": side.y, "rows": side.rows, "held": held}
    if side.groups is not None:
        arrays["groups"] = side.groups
    if side.sources is not None:
        arrays["sources"] = side.sources
    buffer = io.BytesIO()
    np.savez_compressed(buffer, **arrays)
    return buffer.getvalue()


def _context(digest: str) -> bytes:
    return b"hauberk batch\0" + digest.encode("ascii")
