"""The ledger: an append-only Merkle log in a folder, for any number of writers and readers on one machine.

`append` may be called from many threads and from many processes. Threads share commits: the first commits for all
that wait (group commit), and each returns once its entry is durable. Processes take turns by a lock that is held for
one commit; between commits nobody holds it. Readers need no lock and no key; with a key they verify whose log it is.

Threats answered: an entry, tile or checkpoint altered, exchanged or removed afterwards; a log cut back or rewritten
since this process last saw it (`append`, `refresh`, `check_extends`); a kill or a full disk at any moment. Not
answered: what the key's holder chooses to write, and a holder who shows different logs to people who never compare
checkpoints.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import accumulate
from pathlib import Path
from types import TracebackType
from typing import Self

from hauberk.core.disk import Disk
from hauberk.core.errors import InvalidInput
from hauberk.core.progress import Quiet, Task
from hauberk.custody.group import GroupCommit
from hauberk.custody.keys.port import PublicKey, Signer
from hauberk.custody.ledger import heads, notes, tlogproof
from hauberk.custody.ledger.auditing import Audit, audit
from hauberk.custody.ledger.heads import Head
from hauberk.custody.ledger.tiles import check_entry
from hauberk.custody.ledger.tree import Cache
from hauberk.custody.ledger.writer import WAIT_S, Writer, locked, prepare

_DISK = Disk()


class Ledger:
    """An open log; made by `create` and `open`. Safe to share between threads, not across a fork."""

    def __init__(
        self,
        folder: Path,
        publics: tuple[PublicKey, ...],
        head: Head,
        writer: Writer | None,
        *,
        wait: float = WAIT_S,
    ) -> None:
        self.folder = folder
        self._publics = publics
        self._head = head
        self._writer = writer
        self._limit = wait
        self._process = os.getpid()
        self._swap = threading.Lock()
        self._group = GroupCommit(self._commit)

    @classmethod
    def create(
        cls, folder: Path, origin: str, signer: Signer, *, disk: Disk = _DISK, wait: float = WAIT_S
    ) -> Ledger:
        """Start an empty log and open it for writing.

        Args:
            folder: made if missing; other files in it are left alone.
            origin: the log's name, best a host and path that you own; it goes into every signature.
            signer: an Ed25519 key.
            disk: another disk, for tests.
            wait: as for `open`.

        Raises:
            InvalidInput: a ledger exists there, or the name or key cannot sign one.
            NotProven: there are tiles and no checkpoint.
            Unavailable: another process held the lock for `wait` seconds, or the disk fails.
        """
        folder = Path(folder)
        notes.vkey(origin, signer.public)
        prepare(folder, disk)
        with locked(folder, wait=wait):
            Writer(folder, signer, (signer.public,), disk).begin(origin)
        return cls.open(folder, signer, disk=disk, wait=wait)

    @classmethod
    def open(
        cls,
        folder: Path,
        signer: Signer | None = None,
        *,
        publics: Sequence[PublicKey] = (),
        disk: Disk = _DISK,
        wait: float = WAIT_S,
    ) -> Ledger:
        """Open a log: with a signer for writing, without one for reading.

        Opening for writing completes a commit that a kill interrupted, under the lock, and then releases the lock:
        any number of processes may have one log open for writing.

        Args:
            folder: where the log is.
            signer: the log's Ed25519 key, or None to read.
            publics: keys whose checkpoints are accepted: for a writer older versions of the signer's key, for a
                reader the log's key. A reader that names none trusts the folder's checkpoint unchecked.
            disk: another disk, for tests.
            wait: seconds to wait for the lock, here and at each append, while other processes commit.

        Raises:
            InvalidInput: there is no log.
            NotProven: the checkpoint is another key's, or a file at the right edge was altered or is missing.
            Unavailable: another process held the lock for `wait` seconds, or the disk fails.
        """
        folder = Path(folder)
        if signer is None:
            return cls(folder, tuple(publics), heads.read_head(folder, tuple(publics), Cache()), None)
        heads.read_note(folder)
        keys = (signer.public, *publics)
        prepare(folder, disk)
        writer = Writer(folder, signer, keys, disk)
        with locked(folder, wait=wait):
            head = writer.settle()
        return cls(folder, keys, head, writer, wait=wait)

    def close(self) -> None:
        """End writing. Nothing is pending: an append that returned is durable."""
        self._writer = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    # -- writing --------------------------------------------------------------------------------------------

    def append(self, entry: bytes) -> int:
        """Append one entry of at most 65,535 bytes; return its index once it is durable. See `append_many`."""
        return self.append_many([entry])[0]

    def append_many(self, entries: Sequence[bytes]) -> list[int]:
        """Append entries in one commit, all or none; return their indices, which are consecutive, once durable.

        Raises:
            InvalidInput: an entry is too large or not bytes, or the log is open for reading only.
            NotProven: the log on disk was tampered with, rolled back, or does not extend what this process saw.
            Unavailable: the lock was not free within the time limit (nothing was recorded), or the disk failed
                (`Writer.commit` says what then holds).
        """
        for entry in entries:
            check_entry(entry)
        if self._writer is None or self._process != os.getpid():
            raise InvalidInput(
                "this ledger is open for reading only, closed, or opened by another process: reopen it."
            )
        if not entries:
            return []
        first = self._group.submit(entries)
        return list(range(first, first + len(entries)))

    def _commit(self, batch: Sequence[Sequence[bytes]]) -> list[int]:
        writer = self._writer
        if writer is None:
            raise InvalidInput(
                "this ledger was closed while an append waited: open it again. Nothing was recorded."
            )
        with locked(self.folder, wait=self._limit):
            head = writer.commit(batch[0] if len(batch) == 1 else [entry for entries in batch for entry in entries])
        with self._swap:
            if head.checkpoint.size >= self._head.checkpoint.size:  # else a refresh has read a newer one
                self._head = head
        after = list(accumulate(len(entries) for entries in batch))
        first = head.checkpoint.size - after[-1]
        return [first + end - len(entries) for end, entries in zip(after, batch, strict=True)]

    # -- reading --------------------------------------------------------------------------------------------

    @property
    def origin(self) -> str:
        """The log's name."""
        return self._head.checkpoint.origin

    @property
    def size(self) -> int:
        """How many entries the log has, as of the last commit or refresh."""
        return self._head.checkpoint.size

    def refresh(self) -> int:
        """Read the newest checkpoint; return its size. Raises NotProven on a roll-back or a fork since the last."""
        known = self._head
        if heads.read_note(self.folder) == known.note:
            return known.checkpoint.size
        head = heads.read_head(self.folder, self._publics, Cache())
        heads.check_extends(known.checkpoint, head)
        with self._swap:
            # Another thread may have committed since; an older head must not replace its newer one.
            if head.checkpoint.size >= self._head.checkpoint.size:
                # The new head extends the old one, so what was verified under the old one is still valid.
                self._head = replace(head, tree=replace(head.tree, cache=self._head.tree.cache))
                if (writer := self._writer) is not None:
                    writer.saw(head.checkpoint)
        return self.size

    def checkpoint(self) -> bytes:
        """Return the signed checkpoint (tlog-checkpoint)."""
        return self._head.note

    def root(self, size: int | None = None) -> bytes:
        """Return the 32-byte root, of the log now or when it had `size` entries."""
        head = self._head
        return head.checkpoint.root if size is None else head.tree.root_at(size)

    def entry(self, index: int) -> bytes:
        """Return one entry, verified against the root. Raises InvalidInput (no such entry), NotProven (altered)."""
        return self._head.tree.entry(index)

    def entries(self, start: int = 0, stop: int | None = None) -> Iterator[bytes]:
        """Yield the entries from `start` to before `stop` (or the end), verified; later entries are not included."""
        tree = self._head.tree
        return tree.entries(max(0, start), tree.size if stop is None else min(stop, tree.size))

    def prove_inclusion(self, index: int, size: int | None = None) -> list[bytes]:
        """Return the proof that entry `index` is in the log (of `size` entries), leaf to root (RFC 6962 §2.1.1)."""
        tree = self._head.tree
        return tree.inclusion(index, tree.size if size is None else size)

    def prove_consistency(self, old: int, new: int | None = None) -> list[bytes]:
        """Return the proof that the log of `new` (or all) entries extends that of `old` (RFC 6962 §2.1.2)."""
        tree = self._head.tree
        return tree.consistency(old, tree.size if new is None else new)

    def tlog_proof(self, index: int) -> bytes:
        """Return the bytes of a file that proves entry `index` offline (c2sp.org/tlog-proof@v1)."""
        head = self._head
        return tlogproof.encode(index, head.tree.inclusion(index, head.tree.size), head.note)

    # -- judging --------------------------------------------------------------------------------------------

    def audit(self, public: PublicKey, *, origin: str | None = None, task: Task | None = None) -> Audit:
        """Read every byte on disk again and trace each entry to the root that `public` signed. See `auditing`."""
        return audit(self.folder, (public,), origin=origin, task=task or Quiet())

    def check_extends(self, old_checkpoint: bytes, public: PublicKey, *others: PublicKey) -> None:
        """Raise NotProven unless this log, read from disk now, extends a checkpoint of it that was seen before.

        The message names a roll-back (the log is smaller than it was) or a fork (another history). Both checkpoints
        have to be signed by `public` or one of `others` (older versions of the key).
        """
        publics = (public, *others)
        old = heads.open_checkpoint(old_checkpoint, publics, what="the checkpoint seen before")
        heads.check_extends(old, heads.read_head(self.folder, publics, Cache()))
