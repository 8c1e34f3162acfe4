"""The one writer of a log: tiles first, then an intent, then the checkpoint.

The order of a commit, each step durable before the next begins:

1. entry bundles and tiles, in files that no checkpoint covers yet;
2. `intent`, a signed note of the size and root that are about to be signed;
3. `checkpoint`, replaced in one step: the commit point;
4. partial files that wider ones replace are removed, which may be left undone.

A kill before 2 is finished leaves bytes that the next commit overwrites. After 2 the entries are whole on disk,
and opening the log signs the very same head again. So no two roots are ever signed for one size, whatever is
lost in between; only a folder put back from an older copy can lead to that, and `check_extends` detects it.
The intent is signed, and under another name than the checkpoint: bytes in the folder alone sign nothing.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from hauberk.core.disk import Disk, explain
from hauberk.core.errors import HauberkError, InvalidInput, NotProven, Unavailable
from hauberk.custody.keys.port import PublicKey, Signer
from hauberk.custody.ledger import heads, notes, tiles
from hauberk.custody.ledger.frontier import Frontier, Growth, extend
from hauberk.custody.ledger.heads import CHECKPOINT, Head
from hauberk.custody.ledger.notes import Checkpoint, VerifierKey
from hauberk.custody.ledger.tiles import WIDTH
from hauberk.custody.ledger.tree import Cache, Tree, load

INTENT = "intent"
LOCK = "lock"
_FOLDERS_KNOWN = 4096


def lock(folder: Path, disk: Disk) -> int:
    """Take the single-writer lock; the descriptor returned holds it. Raises Unavailable when another has it."""
    file = folder / LOCK
    try:
        disk.make_folder(folder)
        with suppress(PermissionError):  # a folder given to us within one that we may not read was there before
            disk.sync_folder(folder.resolve().parent)
        descriptor = os.open(file, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    except OSError as error:
        raise explain(error, file) from error
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        os.close(descriptor)
        raise Unavailable(
            f"another process is writing to this ledger: it holds {file}. Wait until it is done, or stop it; "
            "the lock goes with the process. Reading needs no lock."
        ) from error
    return descriptor


@dataclass(slots=True)
class Writer:
    """Commits to one log. Not safe for several threads by itself: `log` lets one in at a time."""

    folder: Path
    signer: Signer
    publics: tuple[PublicKey, ...]
    disk: Disk
    cache: Cache = field(default_factory=Cache)
    head: Head | None = None
    frontier: Frontier = field(default_factory=Frontier)
    _durable: set[Path] = field(default_factory=set)

    def found(self, origin: str) -> None:
        """Sign the empty log. Raises InvalidInput where there is one, NotProven where one was."""
        if (self.folder / CHECKPOINT).exists():
            raise InvalidInput(f"there is a ledger in {self.folder} already: open it.")
        if (self.folder / "tile").exists() or (self.folder / INTENT).exists():
            raise NotProven(f"{self.folder} has no checkpoint, yet a ledger was here: restore it from a copy.")
        self._write_checkpoint(Checkpoint(origin, 0, Frontier().root()))

    def settle(self) -> Head:
        """Read the log back from disk, finish what a kill interrupted, and be ready to append.

        Raises NotProven when the checkpoint is not this key's or the right edge does not give the signed root:
        nothing is appended to a ledger that was tampered with.
        """
        self.head = None
        self._durable.clear()
        head = heads.read_head(self.folder, self.publics, self.cache)
        self._sweep()
        intended = self._intended(head)
        self._secure()
        if intended is not None:
            tree = load(self.folder, intended.size, intended.root, Cache())
            heads.check_extends(head.checkpoint, Head(b"", intended, tree))
            self._write_checkpoint(intended)
            head = heads.read_head(self.folder, self.publics, self.cache)
        elif not self._signed_by_current(head.note):
            # The key was rotated: the same head, now under the current key.
            self._write_checkpoint(head.checkpoint)
            head = heads.read_head(self.folder, self.publics, self.cache)
        self.frontier = head.tree.frontier()
        self.head = head
        return head

    def commit(self, entries: Sequence[bytes]) -> Head:
        """Append checked entries; durable when it returns.

        Raises Unavailable when the disk fails. Unless the message says that the entries are on disk, none of
        them was recorded. The log stays usable: the next commit reads it back first.
        """
        head = self.head or self.settle()
        self.head = None  # until this commit is through, only the disk knows the truth
        growth = extend(self.frontier, entries)
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
        self.frontier = growth.frontier
        self.head = Head(note, intended, tree)
        self._tidy(growth)
        return self.head

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
        # A process killed earlier may have made a folder and not synced its entry; so each is synced once here.
        if folder in self._durable or folder == self.folder:
            return
        self._ensure(folder.parent)
        self.disk.make_folder(folder)
        self.disk.sync_folder(folder.parent)
        if len(self._durable) >= _FOLDERS_KNOWN:
            self._durable.clear()
        self._durable.add(folder)

    def _publish(self, intended: Checkpoint) -> bytes:
        text = Checkpoint(_intent_name(intended.origin), intended.size, intended.root).text()
        # Overwritten in place: the head that the old bytes announced is signed and durable by now.
        self.disk.fill([(self.folder / INTENT, notes.sign(text, _intent_name(intended.origin), self.signer))])
        if self.folder not in self._durable:
            self._sync_entries()
        return self._write_checkpoint(intended)

    def _secure(self) -> None:
        # The process before us may have died between writing and syncing. What we read has to be on the disk
        # before the intent is overwritten, or a power cut could take back a head that somebody has seen.
        intent = self.folder / INTENT
        if not intent.exists():
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
            note = (self.folder / INTENT).read_bytes()
            opened = notes.open_note(note, [VerifierKey(name, public) for public in self.publics])
            found = notes.parse_checkpoint(opened.text)
        except (FileNotFoundError, NotProven):
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
