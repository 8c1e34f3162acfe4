"""Writing to a log, from any number of processes: a lock, tiles, an intent, then the checkpoint.

A commit holds the log's lock; nothing holds it between commits. The order of a commit, each step durable before the
next begins:

1. the head on disk is compared with the one that this process knows; a newer one is read and verified, and must
   extend what this process has seen (a roll-back, a fork);
2. entry bundles and tiles, in files that no checkpoint covers yet;
3. `intent`, a signed note of the size and root that are about to be signed;
4. `checkpoint`, replaced in one step: the commit point;
5. partial files that wider ones replace are removed, which may be left undone.

A kill before 3 is finished leaves bytes that the next commit overwrites. After 3 the entries are whole on disk, and
the next writer to take the lock signs the very same head. So no two roots are ever signed for one size, whatever is
lost in between; only a folder restored from an older copy can lead to that, and `check_extends` detects it. The
intent is signed under another name than the checkpoint, so bytes in the folder alone cannot make a writer sign.

The lock is two files. A writer takes `turn`, waits for `lock`, and releases `turn` as soon as it has `lock`. A writer
that has just committed therefore queues behind the one that is already waiting, which waits for one commit only.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from pathlib import Path

from hauberk.core.disk import Disk, explain
from hauberk.core.errors import HauberkError, InvalidInput, NotProven, Unavailable
from hauberk.custody import locks
from hauberk.custody.keys.port import PublicKey, Signer
from hauberk.custody.ledger import heads, notes, tiles
from hauberk.custody.ledger.frontier import Frontier, Growth, extend
from hauberk.custody.ledger.heads import CHECKPOINT, Head
from hauberk.custody.ledger.notes import Checkpoint, VerifierKey
from hauberk.custody.ledger.tiles import WIDTH
from hauberk.custody.ledger.tree import Cache, Tree, load

INTENT = "intent"
LOCK = "lock"
TURN = "turn"
WAIT_S = 30.0
_FOLDERS_KNOWN = 4096


@contextmanager
def locked(folder: Path, *, wait: float = WAIT_S) -> Iterator[None]:
    """Hold the lock of the log in `folder` for a block. Raises Unavailable after `wait` seconds."""
    deadline = time.monotonic() + wait
    busy = (
        f"another process has held {folder / LOCK} for {wait:g} s; a commit takes milliseconds. Find the process "
        "with `lslocks`: if it hangs, end it, and the lock goes with it. Nothing was recorded. Reading needs no lock."
    )
    with locks.held(folder / TURN, wait=wait, busy=busy):
        lock = locks.take(folder / LOCK, wait=max(0.0, deadline - time.monotonic()), busy=busy)
    try:
        yield
    finally:
        locks.release(lock)


def prepare(folder: Path, disk: Disk) -> None:
    """Create the log's folder where it is missing, and make its entry durable."""
    try:
        disk.make_folder(folder)
        with suppress(PermissionError):  # a folder given to us inside one that we may not read existed before
            disk.sync_folder(folder.resolve().parent)
    except OSError as error:
        raise explain(error, folder) from error


@dataclass(slots=True)
class Writer:
    """Commits to one log. Not thread-safe: `log` admits one thread at a time. Call each method under `locked`.

    seen: the newest checkpoint that this process has verified; a head that does not extend it is refused.
    """

    folder: Path
    signer: Signer
    publics: tuple[PublicKey, ...]
    disk: Disk
    cache: Cache = field(default_factory=Cache)
    seen: Checkpoint | None = None
    _head: Head | None = None
    _intent: bytes = b""
    _frontier: Frontier = field(default_factory=Frontier)
    _durable: set[Path] = field(default_factory=set)

    def begin(self, origin: str) -> None:
        """Sign the empty log. Raises InvalidInput if a log exists, NotProven if only its remains do."""
        if (self.folder / CHECKPOINT).exists():
            raise InvalidInput(f"there is a ledger in {self.folder} already: open it.")
        if (self.folder / "tile").exists() or (self.folder / INTENT).exists():
            raise NotProven(f"{self.folder} has no checkpoint, yet a ledger was here: restore it from a copy.")
        self._write_checkpoint(Checkpoint(origin, 0, Frontier().root()))

    def settle(self) -> Head:
        """Read the log from disk, complete an interrupted commit, and be ready to append.

        Raises NotProven when the checkpoint is not signed by a known key, does not extend `seen`, or the right edge
        does not give the signed root: nothing is appended to a ledger that was tampered with.
        """
        self._head = None
        self._durable.clear()
        head = self._read_head()
        self._sweep()
        self._intent = self._read_intent()
        intended = self._intended(head)
        self._secure()
        if intended is not None:
            tree = load(self.folder, intended.size, intended.root, Cache())
            heads.check_extends(head.checkpoint, Head(b"", intended, tree))
            self._write_checkpoint(intended)
            head = self._read_head()
        elif not self._signed_by_current(head.note):
            # The key was rotated: the same head, now under the current key.
            self._write_checkpoint(head.checkpoint)
            head = self._read_head()
        self._frontier = head.tree.frontier()
        self._head = head
        return head

    def commit(self, entries: Sequence[bytes]) -> Head:
        """Append checked entries; durable when it returns.

        Raises Unavailable when the disk fails. Unless the message says that the entries are on disk, none of
        them was recorded. The log stays usable: the next commit reads it from disk first. Raises as `settle` when
        another process has changed the log.
        """
        head = self._head if self._head is not None and self._is_newest(self._head) else self.settle()
        self._head = None  # until this commit is through, only the disk knows the truth
        growth = extend(self._frontier, entries)
        intended = Checkpoint(head.checkpoint.origin, growth.frontier.size, growth.frontier.root())
        try:
            self._write_tiles(growth)
        except OSError as error:
            raise explain(error, self.folder) from error
        try:
            note = self._publish(intended)
        except HauberkError as error:
            raise Unavailable(
                f"{error} The {len(entries)} entries from {head.checkpoint.size} on may be on disk already; "
                "the next opening or append then completes them: look before you append them again."
            ) from error
        for level, index, tile in growth.tiles:
            if tile.width == WIDTH:
                self.cache.keep_tile(level, index, tile)
        tree = Tree(self.folder, intended.size, intended.root, growth.frontier.tiles, self.cache)
        self._frontier = growth.frontier
        self._head = Head(note, intended, tree)
        self.seen = intended
        self._tidy(growth)
        return self._head

    def saw(self, checkpoint: Checkpoint) -> None:
        """Remember a checkpoint that this process verified elsewhere: later heads have to extend it too."""
        if self.seen is None or checkpoint.size > self.seen.size:
            self.seen = checkpoint

    # -- what other processes did ---------------------------------------------------------------------------

    def _is_newest(self, head: Head) -> bool:
        # Both files: a process killed between its intent and its checkpoint leaves the old checkpoint. Two small
        # reads; a time stamp would be cheaper and too coarse to tell two commits apart.
        if self.seen != head.checkpoint:  # a refresh saw a newer head than this writer's
            return False
        return heads.read_note(self.folder) == head.note and self._read_intent() == self._intent

    def _read_head(self) -> Head:
        # With a cache of its own, so that tiles of a head that is then refused do not enter the writer's.
        head = heads.read_head(self.folder, self.publics, Cache())
        if self.seen is not None:
            heads.check_extends(self.seen, head)
        self.seen = head.checkpoint
        # What was verified under an older head is valid under one that extends it.
        return replace(head, tree=replace(head.tree, cache=self.cache))

    def _read_intent(self) -> bytes:
        try:
            return heads.read_small(self.folder / INTENT)
        except FileNotFoundError:
            return b""
        except OSError as error:
            raise explain(error, self.folder / INTENT) from error

    # -- the steps ------------------------------------------------------------------------------------------

    def _write_tiles(self, growth: Growth) -> None:
        files = [(self.folder / tiles.path(None, index, width), data) for index, width, data in growth.bundles]
        files += [
            (self.folder / tiles.path(level, index, tile.width), tile.data()) for level, index, tile in growth.tiles
        ]
        folders = {file.parent for file, _ in files}
        for folder in folders:
            self._ensure(folder)
        self.disk.fill(files)
        for folder in sorted(folders):
            self.disk.sync_folder(folder)

    def _ensure(self, folder: Path) -> None:
        # A process killed earlier may have created a folder without syncing its entry, so each is synced once here.
        if folder in self._durable or folder == self.folder:
            return
        self._ensure(folder.parent)
        self.disk.make_folder(folder)
        self.disk.sync_folder(folder.parent)
        if len(self._durable) >= _FOLDERS_KNOWN:
            self._durable.clear()
        self._durable.add(folder)

    def _publish(self, intended: Checkpoint) -> bytes:
        name = _intent_name(intended.origin)
        intent = notes.sign(Checkpoint(name, intended.size, intended.root).text(), name, self.signer)
        # Overwritten in place: the head that the old bytes announced is signed and durable by now.
        self.disk.fill([(self.folder / INTENT, intent)])
        self._intent = intent
        if self.folder not in self._durable:
            self._sync_entries()
        return self._write_checkpoint(intended)

    def _secure(self) -> None:
        # The process before us may have died between writing and syncing. What we read has to be on the disk
        # before the intent is overwritten, or a power cut could take back a head that somebody has seen.
        intent = self.folder / INTENT
        if not self._intent:
            return
        try:
            self.disk.sync_file(intent)
        except OSError as error:
            raise explain(error, intent) from error
        self._sync_entries()

    def _sync_entries(self) -> None:
        try:
            self.disk.sync_folder(self.folder)
        except OSError as error:
            raise explain(error, self.folder) from error
        self._durable.add(self.folder)

    def _write_checkpoint(self, checkpoint: Checkpoint) -> bytes:
        note = notes.sign(checkpoint.text(), checkpoint.origin, self.signer)
        self.disk.write(self.folder / CHECKPOINT, note)
        return note

    def _intended(self, head: Head) -> Checkpoint | None:
        # An intent that was torn by a kill does not verify, and then its head was never signed.
        name = _intent_name(head.checkpoint.origin)
        try:
            opened = notes.open_note(self._intent, [VerifierKey(name, public) for public in self.publics])
            found = notes.parse_checkpoint(opened.text)
        except NotProven:
            return None
        if found.origin != name or found.size <= head.checkpoint.size:
            return None
        return Checkpoint(head.checkpoint.origin, found.size, found.root)

    def _signed_by_current(self, note: bytes) -> bool:
        try:
            heads.open_checkpoint(note, (self.signer.public,), what=CHECKPOINT)
        except NotProven:
            return False
        return True

    # -- what may be left undone ----------------------------------------------------------------------------

    def _sweep(self) -> None:
        for left_over in self.folder.glob(f".{CHECKPOINT}.*.tmp"):
            with suppress(OSError):
                self.disk.remove(left_over)

    def _tidy(self, growth: Growth) -> None:
        with suppress(OSError):
            for level, index, tile in growth.tiles:
                self._tidy_partials(tiles.path(level, index), tile.width)
            for index, width, _ in growth.bundles:
                self._tidy_partials(tiles.path(None, index), width)

    def _tidy_partials(self, name: str, width: int) -> None:
        folder = self.folder / f"{name}.p"
        if not folder.is_dir():
            return
        for file in _others(folder, width):
            self.disk.remove(file)
        if width == WIDTH:
            self.disk.remove(folder)


def _intent_name(origin: str) -> str:
    return f"{origin}/intent"


def _others(folder: Path, width: int) -> Iterable[Path]:
    return [file for file in folder.iterdir() if file.name != str(width)]
