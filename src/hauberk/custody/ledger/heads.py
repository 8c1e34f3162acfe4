"""From a log's `checkpoint` file to a verified view, and from two checkpoints to the verdict on the pair.

A reader takes no lock: it reads the checkpoint, then the files that it covers. When a writer replaces a partial file
in between, the checkpoint has changed too, and the reader starts again from the new one.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from hauberk.core.errors import InvalidInput, NotProven
from hauberk.custody.keys.port import PublicKey
from hauberk.custody.ledger import notes
from hauberk.custody.ledger.merkle import EMPTY_ROOT, verify_consistency
from hauberk.custody.ledger.notes import Checkpoint, VerifierKey
from hauberk.custody.ledger.tree import Cache, Tree, load

CHECKPOINT = "checkpoint"
_TRIES = 100
_ONE_READ = 4096


@dataclass(frozen=True, slots=True)
class Head:
    """The signed note as bytes, the checkpoint in it, and the tree that it covers."""

    note: bytes
    checkpoint: Checkpoint
    tree: Tree


def open_checkpoint(note: bytes, publics: Sequence[PublicKey], *, what: str) -> Checkpoint:
    """Return a checkpoint whose signature by one of `publics`, for the log that it names, was verified.

    Without keys the signature is not checked. `what` names the source in errors. Raises NotProven.
    """
    try:
        claimed = notes.parse_checkpoint(notes.unverified_text(note))
        if not publics:
            return claimed
        # The origin is part of the signed text and of the key's id, so one key may sign for several logs.
        keys = [VerifierKey(claimed.origin, public) for public in publics]
        return notes.parse_checkpoint(notes.open_note(note, keys).text)
    except NotProven as error:
        raise NotProven(
            f"{what} is not a checkpoint of this key: {error} Either it was altered or another key signs this "
            "ledger: compare the key with the one that was published, and keep the file as evidence."
        ) from error


def read_small(file: Path) -> bytes:
    """Return the bytes of a signed note's file, at most one more than a note may have. Raises OSError.

    Every commit reads two of these, so it does without the buffers of `open`: about 5 µs.
    """
    descriptor = os.open(file, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)  # a planted pipe must not hold us
    try:
        data = os.read(descriptor, _ONE_READ)
        while len(data) <= notes.MOST_BYTES and (more := os.read(descriptor, _ONE_READ)):
            data += more
        return data
    finally:
        os.close(descriptor)


def read_note(folder: Path) -> bytes:
    """Return the bytes of the checkpoint file. Raises InvalidInput when there is no ledger."""
    try:
        return read_small(folder / CHECKPOINT)
    except (FileNotFoundError, NotADirectoryError) as error:
        if (folder / "tile").is_dir():
            raise NotProven(
                f"{folder / CHECKPOINT} is missing, but tiles exist: it was removed. Restore it from a copy."
            ) from error
        raise InvalidInput(f"there is no ledger in {folder}: name its folder, or create one first.") from error
    except OSError as error:
        raise InvalidInput(f"cannot read {folder / CHECKPOINT}: {error.strerror}.") from error


def read_head(folder: Path, publics: Sequence[PublicKey], cache: Cache | None = None) -> Head:
    """Return the newest head, its signature checked against `publics` (if any) and its right edge verified."""
    note = read_note(folder)
    for _ in range(_TRIES):
        checkpoint = open_checkpoint(note, publics, what=str(folder / CHECKPOINT))
        try:
            return Head(note, checkpoint, load(folder, checkpoint.size, checkpoint.root, cache))
        except NotProven:
            before, note = note, read_note(folder)
            if note == before:
                raise
    raise NotProven(f"{folder} changes faster than it can be read: try again.")


def check_consistent(old: Checkpoint, new: Checkpoint, proof: Sequence[bytes]) -> None:
    """Raise NotProven unless `new` is the same log as `old`, at least as large, with `old` as its beginning.

    Both checkpoints were verified before; `proof` is the consistency proof between their sizes, empty when the sizes
    are equal or `old` is empty.
    """
    if old.origin != new.origin:
        raise NotProven(f"the checkpoints belong to two logs: {old.origin!r} and {new.origin!r}.")
    if old.size > new.size:
        raise NotProven(
            f"roll-back: a checkpoint of {old.size} entries was seen before, and this ledger has only {new.size}, "
            "fewer than seen. Entries were removed: keep both checkpoints, together they prove it."
        )
    if old.size == 0 and old.root == EMPTY_ROOT and not proof:
        return
    try:
        verify_consistency(old.size, new.size, proof, old.root, new.root)
    except NotProven as error:
        how = "a different root at the same size" if old.size == new.size else "not an extension"
        raise NotProven(
            f"fork: the checkpoint of {new.size} entries and the one of {old.size} seen before belong to two "
            f"histories ({how}). {error} Keep both checkpoints: together they prove it."
        ) from error


def check_extends(old: Checkpoint, head: Head) -> None:
    """Raise NotProven unless the log at `head` extends `old`. Builds the proof from tiles, then verifies it."""
    size = head.checkpoint.size
    proof = head.tree.consistency(old.size, size) if 0 < old.size < size else []
    check_consistent(old, head.checkpoint, proof)
