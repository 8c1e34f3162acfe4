"""The newest checkpoint that this machine has seen of each ledger, so that an older or another history is noticed.

A ledger that was rolled back, and a release made before one that was already verified, are both internally
consistent; only memory tells. The memory is one small file outside of what is being verified.
"""

from __future__ import annotations

import os
from pathlib import Path

from hauberk.core import canonical
from hauberk.core.disk import Disk
from hauberk.core.errors import InvalidInput


def default_place() -> Path:
    """Return the file that HAUBERK_STATE names, or `hauberk/seen.json` under the XDG state folder."""
    named = os.environ.get("HAUBERK_STATE")
    if named:
        return Path(named)
    base = os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state"
    return Path(base) / "hauberk" / "seen.json"


class Seen:
    """Origin to the newest checkpoint note seen of it. A missing file means that nothing was seen."""

    def __init__(self, place: Path | None = None, *, disk: Disk | None = None) -> None:
        self.place = place or default_place()
        self._disk = disk or Disk()

    def get(self, origin: str) -> bytes | None:
        """Return the checkpoint last recorded for a ledger, or None. Raises InvalidInput for a damaged file."""
        note = self._read().get(origin)
        return None if note is None else note.encode("utf-8")

    def record(self, origin: str, checkpoint: bytes) -> None:
        """Remember a checkpoint. The caller has verified that it extends the one before."""
        known = self._read()
        text = checkpoint.decode("utf-8")
        if known.get(origin) != text:
            self._disk.write(self.place, canonical.encode(known | {origin: text}), mode=0o600)

    def _read(self) -> dict[str, str]:
        try:
            data = self.place.read_bytes()
        except FileNotFoundError:
            return {}
        except OSError as error:
            raise InvalidInput(
                f"cannot read {self.place}: {error.strerror}. Name another with HAUBERK_STATE."
            ) from error
        known = canonical.decode(data, what=str(self.place))
        if not isinstance(known, dict) or not all(isinstance(note, str) for note in known.values()):
            raise InvalidInput(f"{self.place} does not hold checkpoints by origin. Move it away to start anew.")
        return known
