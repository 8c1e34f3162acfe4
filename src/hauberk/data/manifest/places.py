"""Lists the files of a set, in folders, by name, or on any fsspec target, and reads them range by range.

Hidden files (names that begin with a dot) are skipped, as data readers do. A link to a file counts as the file; a link to a
folder is refused, because it may lead anywhere.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from hauberk.core.errors import InvalidInput, Unavailable
from hauberk.data.manifest.items import ChangedError, Item, Reader, changed
from hauberk.data.manifest.remote import Remote

_CHUNK = 256 << 10  # bytes; fits into a core's own cache


def is_remote(place: str) -> bool:
    """Whether a place is a URL of an fsspec target."""
    return "://" in place and not place.startswith("file://")


def listed(places: Sequence[str]) -> tuple[list[Item], Reader]:
    """Return the files of a set in the order of their names, and their reader.

    For one folder, names are relative to it; for several places, names start with the place's own name. Raises InvalidInput
    for a place that is absent or holds no files, and for a mix of local files and URLs.
    """
    if not places:
        raise InvalidInput("no files are named: name the files or the folder of the data set.")
    remote = [is_remote(place) for place in places]
    if any(remote) and not all(remote):
        raise InvalidInput("local files and URLs are mixed: import them as two sets.")
    reader: Reader
    if any(remote):
        reader = remote_reader = Remote(places[0])
        listings = [remote_reader.listed(place) for place in places]
    else:
        reader = Local()
        listings = [list(_walk(Path(place.removeprefix("file://")))) for place in places]
    for place, items in zip(places, listings, strict=True):
        if not items:
            raise InvalidInput(f"{place} holds no files: name a place with at least one.")
    return sorted(_named(listings, places), key=lambda item: item.name), reader


class Local:
    """Reads local files; the state is checked after the last byte of each."""

    threads = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1

    def chunks(self, item: Item, ranges: Sequence[tuple[int, int]]) -> Iterator[Iterator[Any]]:
        """See `Reader`. The pieces are views of one buffer: use each before taking the next."""
        try:
            descriptor = os.open(item.path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
        except OSError as error:
            raise _lost(item, error) from error
        try:
            buffer = memoryview(bytearray(max(1, min(_CHUNK, max((b - a for a, b in ranges), default=1)))))
            for start, end in ranges:
                yield self._pieces(item, descriptor, buffer, start, end)
            # Checked after the last byte: the state must still be that of the listed file.
            if _state_of(os.fstat(descriptor)) != item.state:
                raise changed(item)
        finally:
            os.close(descriptor)

    def _pieces(
        self, item: Item, descriptor: int, buffer: memoryview, start: int, end: int
    ) -> Iterator[memoryview]:
        while start < end:
            view = buffer[: min(len(buffer), end - start)]
            try:
                taken = os.preadv(descriptor, [view], start)
            except OSError as error:
                raise _lost(item, error) from error
            if not taken:
                raise changed(item)
            start += taken
            yield view[:taken]

    def read(self, item: Item, start: int, end: int) -> bytes:
        """See `Reader`."""
        (pieces,) = ([bytes(piece) for piece in pieces] for pieces in self.chunks(item, [(start, end)]))
        return b"".join(pieces)


def _state_of(status: os.stat_result) -> str:
    """Return "size:mtime:inode:ctime", times in ns.

    The ctime is set by the system itself, even if a program sets the mtime back.
    """
    return f"{status.st_size}:{status.st_mtime_ns}:{status.st_ino}:{status.st_ctime_ns}"


def _lost(item: Item, error: OSError) -> InvalidInput | Unavailable:
    if isinstance(error, FileNotFoundError):
        return ChangedError(f"{item.name} was removed while the set was being read. Run the same command again.")
    if isinstance(error, PermissionError):
        return InvalidInput(f"cannot read {item.path}: {error.strerror}. Ask its owner for access.")
    return Unavailable(f"cannot read {item.path}: {error.strerror or error}.")


def _walk(place: Path) -> Iterator[Item]:
    try:
        if place.is_dir():
            yield from _below(str(place), "")
        else:
            yield _item(place.name, str(place), place.stat())
    except FileNotFoundError as error:
        raise InvalidInput(f"{place} does not exist: check the path.") from error
    except OSError as error:
        raise InvalidInput(f"cannot read {place}: {error.strerror or error}. Check its rights.") from error


def _below(folder: str, prefix: str) -> Iterator[Item]:
    with os.scandir(folder) as entries:
        for entry in entries:
            if entry.name.startswith("."):
                continue
            if entry.is_dir():
                if entry.is_symlink():
                    raise InvalidInput(
                        f"{entry.path} is a link to a folder. Name the folder it leads to, or copy it here."
                    )
                yield from _below(entry.path, f"{prefix}{entry.name}/")
            else:
                yield _item(f"{prefix}{entry.name}", entry.path, entry.stat())


def _item(name: str, path: str, status: os.stat_result) -> Item:
    import stat

    if not stat.S_ISREG(status.st_mode):
        raise InvalidInput(f"{path} is not a regular file: move it out of the data.")
    return Item(name, path, status.st_size, _state_of(status))


def _named(listings: Sequence[list[Item]], places: Sequence[str]) -> list[Item]:
    """Return the items with names that are unique in the set and do not depend on where the set is stored."""
    if len(places) == 1:
        return listings[0]
    bare = [Path(place.rstrip("/").rpartition("://")[2]) for place in places]
    alike = Counter(path.name for path in bare)
    items = []
    for number, (path, of_place) in enumerate(zip(bare, listings, strict=True)):
        label = path.name if alike[path.name] == 1 else f"{number}-{path.parent.name}-{path.name}"
        for item in of_place:
            inside = item.path.strip("/") != str(path).strip("/")
            items.append(replace(item, name=f"{label}/{item.name}" if inside else label))
    return items
