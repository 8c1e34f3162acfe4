"""Lists and reads the files of a set on any fsspec target: `s3://`, `gs://`, `memory://`, and so on."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any, TypeVar

from hauberk.core.errors import HauberkError, InvalidInput, Unavailable
from hauberk.data.manifest.items import Item, changed

_MANY = 16  # parallel requests, because a store's answers are slow
_MARKS = ("ETag", "etag", "md5", "mtime", "LastModified", "created")
T = TypeVar("T")


class Remote:
    """Reads through fsspec, range by range. Raises Unavailable if the target does not answer."""

    threads = _MANY

    def __init__(self, url: str) -> None:
        import fsspec

        self._where = url
        self._fs: Any = self._call(lambda: fsspec.core.url_to_fs(url)[0])

    def listed(self, place: str) -> list[Item]:
        """Return the files below a URL, or the file that it names; hidden files are skipped."""
        root = self._call(lambda: self._fs._strip_protocol(place)).rstrip("/")  # noqa: SLF001 - fsspec has no public way
        self._call(self._fs.invalidate_cache)
        listing = self._call(lambda: self._fs.find(root, detail=True))
        items = []
        for path, info in sorted(listing.items()):
            name = path[len(root) :].strip("/") or root.rpartition("/")[2]
            if not any(part.startswith(".") for part in name.split("/")):
                items.append(Item(name, path, int(info["size"]), self._state(info)))
        return items

    def chunks(self, item: Item, ranges: Sequence[tuple[int, int]]) -> Iterator[Iterator[Any]]:
        """See `items.Reader`."""
        for start, end in ranges:
            yield iter([self.read(item, start, end)])

    def read(self, item: Item, start: int, end: int) -> bytes:
        """See `items.Reader`."""
        if start == end:
            return b""
        data: bytes = self._call(lambda: self._fs.cat_file(item.path, start=start, end=end))
        if len(data) != end - start:
            raise changed(item)
        return data

    def _state(self, info: dict[str, Any]) -> str:
        marks = [str(info[key]) for key in _MARKS if key in info]
        return ":".join([str(info.get("size")), *marks]) if marks else ""

    def _call(self, request: Callable[[], T]) -> T:
        """Return the request's result; other exceptions become InvalidInput or Unavailable."""
        try:
            return request()
        except HauberkError:
            raise
        except FileNotFoundError as error:
            raise InvalidInput(f"there is nothing at {self._where}: {error}. Check the URL.") from error
        except ImportError as error:
            raise Unavailable(f"{self._where} needs a library that is not installed: {error}.") from error
        except ValueError as error:
            raise InvalidInput(f"{self._where} cannot be read: {error}. Check the URL.") from error
        except Exception as error:  # each fsspec target raises its own exceptions
            raise Unavailable(f"{self._where} does not answer: {type(error).__name__}: {error}.") from error
