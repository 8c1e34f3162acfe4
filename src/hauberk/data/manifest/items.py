"""The files of a data set as they were listed, and the port through which local and remote ones are read."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from hauberk.core.errors import InvalidInput


@dataclass(frozen=True, slots=True)
class Item:
    """A file as it was listed: its name in the set, where it is, its size, and what the file system says of it."""

    name: str
    path: str
    size: int
    state: str


class ChangedError(InvalidInput):
    """Files were written to, came or went while they were read: not a state that anybody left the set in."""


class Reader(Protocol):
    """Reads listed files; safe in threads."""

    threads: int

    def chunks(self, item: Item, ranges: Sequence[tuple[int, int]]) -> Iterator[Iterator[Any]]:
        """Give the bytes of each range, in pieces. Raises InvalidInput when the file is not as it was listed."""

    def read(self, item: Item, start: int, end: int) -> bytes:
        """Return a short range."""


def changed(item: Item) -> ChangedError:
    """Return the error for a file that somebody wrote to while it was being read."""
    return ChangedError(
        f"{item.name} changed while it was being read. Wait until its writer is done, then run the same command again."
    )
