"""`Item`, a listed file of a data set, and `Reader`, the protocol by which local and remote files are read."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from hauberk.core.errors import InvalidInput


@dataclass(frozen=True, slots=True)
class Item:
    """A listed file. name: in the set. path: where it is. size: bytes. state: metadata that changes when the file does."""

    name: str
    path: str
    size: int
    state: str


class ChangedError(InvalidInput):
    """Files were written, added or removed while they were read, so what was read is no consistent state of the set."""


class Reader(Protocol):
    """Reads listed files; safe to use from several threads. threads: the number that suits the medium."""

    threads: int

    def chunks(self, item: Item, ranges: Sequence[tuple[int, int]]) -> Iterator[Iterator[Any]]:
        """Yield the bytes of each range [start, end) in pieces. Raises ChangedError if the file differs from the listed one."""

    def read(self, item: Item, start: int, end: int) -> bytes:
        """Return the bytes [start, end), which should be few. Raises as `chunks` does."""


def changed(item: Item) -> ChangedError:
    """Return the error for a file that was written while it was read."""
    return ChangedError(
        f"{item.name} changed while it was being read. Wait until its writer is done, then run the same command again."
    )
