"""What is wrong with a project file: problems are collected with their lines, so that a person mends them in one go."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeVar

from hauberk.core.errors import InvalidInput
from hauberk.project.lines import Path, nearest_line

T = TypeVar("T")

_LONGEST = 60  # characters of a value that a message repeats
_LISTED = 40  # names


def named(value: Any) -> str:  # noqa: ANN401 - any TOML value
    """Return a value the way the file would write it; lists, tables and times only by their kind."""
    match value:
        case bool():
            return str(value).lower()
        case str():
            return f'"{value}"' if len(value) <= _LONGEST else f'"{value[: _LONGEST - 3]}..."'
        case int() | float():
            return str(value)
        case list():
            return "a list"
        case dict():
            return "a table"
        case _:
            return "a date or time"


def suggestion(name: str, known: Iterable[str], *, word: str = "Known") -> str:
    """Return "did you mean ...? Known: ..." for an unknown name."""
    listed = list(known)
    close = difflib.get_close_matches(name.lower(), [k.lower() for k in listed], n=1, cutoff=0.6)
    meant = [k for k in listed if k.lower() in close or _initials(k) == name.lower()][:1]
    more = f", and {len(listed) - _LISTED} more" if len(listed) > _LISTED else ""
    shown = ", ".join(listed[:_LISTED]) + more
    return (f"did you mean {meant[0]!r}? " if meant else "") + f"{word}: {shown or 'none'}."


def title(path: Path) -> str:
    """Return how the file heads a table: "[data]", "[[threats.columns]]" for an element of a list, "the file" for ()."""
    dotted = ".".join(part for part in path if isinstance(part, str))
    if not dotted:
        return "the file"
    return f"[[{dotted}]]" if isinstance(path[-1], int) else f"[{dotted}]"


@dataclass(slots=True)
class Problems:
    """What is wrong with one file, line by line."""

    file: str
    lines: Mapping[Path, int]
    found: list[tuple[int, str]] = field(default_factory=list)

    def line(self, path: Path) -> int:
        """Return the line of `path`, or of the nearest table around it that the file has."""
        return nearest_line(self.lines, path)

    def add(self, path: Path, message: str) -> None:
        """Note a problem at the line of `path`."""
        self.found.append((self.line(path), message))

    def wrong(self, path: Path, message: str) -> None:
        """Note a problem with the value of a key, or with one element of it; the message starts with table and key."""
        key = path[:-1] if isinstance(path[-1], int) else path
        self.add(path, f"{title(key[:-1])} {key[-1]}: {message}")

    def take(self, path: Path, make: Callable[[], T]) -> T | None:
        """Return `make()`, or note its InvalidInput at the line of `path` and return None."""
        try:
            return make()
        except InvalidInput as error:
            self.add(path, str(error))
            return None

    def stop(self) -> None:
        """Raise InvalidInput with every problem, in the order of the file, if there is one."""
        if self.found:
            ordered = sorted(set(self.found), key=lambda item: item[0])
            raise InvalidInput("\n".join(f"{self.file}:{line}: {message}" for line, message in ordered))


def _initials(name: str) -> str:
    return "".join(word[:1] for word in name.split("_")) if "_" in name else ""
