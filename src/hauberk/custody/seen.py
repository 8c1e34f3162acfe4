"""The newest checkpoint that this machine has seen of each ledger, so that a roll-back or a fork is noticed.

A ledger that was rolled back, and a release older than one already verified, are both internally consistent; only a
memory outside of what is verified reveals them.

    PLACE/sha256-of-the-origin.json   one record an origin, replaced atomically
    PLACE/.lock                       held while a record is compared and replaced

Any number of processes may record at once: a record never moves back to an older checkpoint.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from hauberk.core import canonical
from hauberk.core.disk import Disk, explain
from hauberk.core.errors import InvalidInput, NotProven
from hauberk.custody import locks
from hauberk.custody.ledger import notes
from hauberk.custody.ledger.notes import Checkpoint

_TYPE, _VERSION = "hauberk.seen", 1
_WAIT_S = 10.0


def default_place() -> Path:
    """Return the folder that HAUBERK_STATE names, or `hauberk/seen` under the XDG state folder."""
    named = os.environ.get("HAUBERK_STATE")
    if named:
        return Path(named)
    base = os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state"
    return Path(base) / "hauberk" / "seen"


class Seen:
    """Origin to the newest checkpoint note seen of it. A missing record means that nothing was seen."""

    def __init__(self, place: Path | None = None, *, disk: Disk | None = None) -> None:
        self.place = place or default_place()
        self._disk = disk or Disk()

    def get(self, origin: str) -> bytes | None:
        """Return the checkpoint last recorded for a ledger, or None. Raises InvalidInput for a damaged record."""
        path = self._record(origin)
        try:
            data = path.read_bytes()
        except FileNotFoundError:
            return None
        except OSError as error:
            raise InvalidInput(
                f"cannot read {path}: {error.strerror}. Name another folder with HAUBERK_STATE."
            ) from error
        return _note_of(canonical.decode(data, what=str(path)), origin, path)

    def record(self, origin: str, checkpoint: bytes) -> None:
        """Remember a signed checkpoint, unless a newer one is recorded. O(1), two synced writes.

        The caller has verified the checkpoint, and that it extends what `get` returned before. Raises NotProven when
        another process recorded a different root for the same size meanwhile (a fork), and when this is no checkpoint;
        Unavailable when the lock is not free for 10 s or the disk is full; InvalidInput for a damaged record and a
        folder that cannot be written.
        """
        fresh = _checkpoint(checkpoint)
        try:
            self._disk.make_folder(self.place)
        except OSError as error:
            raise explain(error, self.place) from error
        lock = self.place / ".lock"
        busy = f"another process has held {lock} for {_WAIT_S:g} s. Find it with `lslocks`, and end it if it hangs."
        with locks.held(lock, wait=_WAIT_S, busy=busy):
            known = self.get(origin)
            if known is not None and not _newer(fresh, _checkpoint(known), origin):
                return
            value = {"type": _TYPE, "version": _VERSION, "origin": origin, "checkpoint": checkpoint.decode("utf-8")}
            self._disk.write(self._record(origin), canonical.encode(value), mode=0o600)

    def _record(self, origin: str) -> Path:
        # An origin may hold slashes; its digest is a file name everywhere.
        return self.place / f"{canonical.sha256(origin.encode())}.json"


def _note_of(value: Any, origin: str, path: Path) -> bytes:  # noqa: ANN401 - JSON
    if isinstance(value, dict) and (value.get("type"), value.get("version")) == (_TYPE, _VERSION):
        note = value.get("checkpoint")
        if value.get("origin") == origin and isinstance(note, str):
            return note.encode("utf-8")
    raise InvalidInput(
        f"{path} is not the record of {origin!r}: expected type {_TYPE}, version {_VERSION}. Restore it from a backup; "
        "or move it away, and the next checkpoint is accepted as the first one seen."
    )


def _checkpoint(note: bytes) -> Checkpoint:
    return notes.parse_checkpoint(notes.unverified_text(note))


def _newer(fresh: Checkpoint, known: Checkpoint, origin: str) -> bool:
    if fresh.size == known.size and fresh.root != known.root:
        raise NotProven(
            f"fork: two checkpoints of {origin!r} with {fresh.size} entries have different roots. Keep both: together "
            "they prove it."
        )
    return fresh.size > known.size
