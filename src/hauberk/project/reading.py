"""Reading a table strictly: each key is asked for by name and type, and what nobody asked for is an error.

Problems are collected with their lines, not raised one by one, so that a person mends the file in one go.
"""

from __future__ import annotations

import difflib
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

from hauberk.core.errors import InvalidInput
from hauberk.project.lines import Path, nearest_line

T = TypeVar("T")

_WORDS = {
    bool: "true or false",
    int: "a whole number",
    float: "a number",
    str: "a string",
    list: "a list",
    dict: "a table",
}


def named(value: Any) -> str:  # noqa: ANN401 - any TOML value
    """Say what a value is, the way the file would write it."""
    match value:
        case bool():
            return str(value).lower()
        case str():
            return f'"{value}"' if len(value) <= 60 else f'"{value[:57]}..."'
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
    shown = ", ".join(listed[:40]) + (f", and {len(listed) - 40} more" if len(listed) > 40 else "")
    return (f"did you mean {meant[0]!r}? " if meant else "") + f"{word}: {shown or 'none'}."


@dataclass(slots=True)
class Problems:
    """What is wrong with one file, line by line."""

    file: str
    lines: Mapping[Path, int]
    found: list[tuple[int, str]] = field(default_factory=list)

    def line(self, path: Path) -> int:
        """Return the line of `path`, or of the nearest table around it that stands in the file."""
        return nearest_line(self.lines, path)

    def add(self, path: Path, message: str) -> None:
        """Note a problem at the line of `path`."""
        self.found.append((self.line(path), message))

    def take(self, path: Path, make: Callable[[], T]) -> T | None:
        """Return `make()`, or note its InvalidInput at the line of `path` and return None."""
        try:
            return make()
        except InvalidInput as error:
            self.add(path, str(error))
            return None

    def stop(self) -> None:
        """Raise InvalidInput with every problem, in the order of the file, when there is one."""
        if self.found:
            ordered = sorted(set(self.found), key=lambda item: item[0])
            raise InvalidInput("\n".join(f"{self.file}:{line}: {message}" for line, message in ordered))


class Table:
    """One table of the file. Ask for its keys; then `close` notes the keys that nobody asked for."""

    def __init__(self, values: Mapping[str, Any], path: Path, title: str, problems: Problems) -> None:
        self.values = values
        self.path = path
        self.title = title
        self.problems = problems
        self.asked: list[str] = []

    def has(self, key: str) -> bool:
        """Whether the key stands in the file. Counts as asked for."""
        if key not in self.asked:
            self.asked.append(key)
        return key in self.values

    def wrong(self, key: str, message: str) -> None:
        """Note a problem with one key."""
        self.problems.add((*self.path, key), f"{self.title} {key}: {message}")

    def get(self, key: str, kind: type[T], default: T) -> T:
        """Return the value when it has the type `kind` (a whole number passes for a float), else `default`."""
        if not self.has(key):
            return default
        value = self.values[key]
        if kind is float and isinstance(value, int) and not isinstance(value, bool):
            value = float(value)
        if not isinstance(value, kind) or (isinstance(value, bool) and kind is not bool):
            self.wrong(key, f"expected {_WORDS[kind]}, found {named(value)}.")
            return default
        if isinstance(value, float) and not math.isfinite(value):
            self.wrong(key, f"expected a finite number, found {value}.")
            return default
        return value

    def text(self, key: str, *, default: str = "", needed: str = "") -> str:
        """Return a string; `needed` says what to write when it is missing or empty."""
        value = self.get(key, str, default)
        if needed and self.values.get(key, "") == "":
            self.wrong(key, f"is missing: {needed}")
        return value

    def choice(self, key: str, options: Sequence[str], *, default: str = "", needed: str = "") -> str:
        """Return one of `options`."""
        value = self.text(key, default=default, needed=needed)
        if value and value not in options:
            self.wrong(key, f"{named(value)} is not known; {suggestion(value, options)}")
            return default
        return value

    def number(self, key: str, default: float, *, low: float, high: float = math.inf, why: str = "") -> float:
        """Return a float in [low, high]."""
        return self._within(key, self.get(key, float, default), default, (low, high), why)

    def whole(self, key: str, default: int, *, low: int, high: float = math.inf, why: str = "") -> int:
        """Return an integer in [low, high]."""
        return int(self._within(key, self.get(key, int, default), default, (low, high), why))

    def _within(self, key: str, value: float, default: float, bounds: tuple[float, float], why: str) -> float:
        low, high = bounds
        if key in self.values and not low <= value <= high:
            limits = f"{low:g} or more" if math.isinf(high) else f"between {low:g} and {high:g}"
            self.wrong(key, f"expected {limits}, found {value:g}.{' ' + why if why else ''}")
            return default
        return value

    def texts(self, key: str) -> tuple[str, ...]:
        """Return a list of non-empty strings as a tuple."""
        found = self.get(key, list, [])
        for index, value in enumerate(found):
            if not isinstance(value, str) or not value:
                place = (*self.path, key, index)
                self.problems.add(place, f"{self.title} {key}: expected strings, found {named(value)}.")
        return tuple(v for v in found if isinstance(v, str) and v)

    def child(self, key: str) -> Table:
        """Return the table under `key`; an absent one is empty."""
        return Table(self.get(key, dict, {}), (*self.path, key), f"[{_dotted((*self.path, key))}]", self.problems)

    def children(self, key: str) -> list[Table]:
        """Return the tables of the array under `key`."""
        tables = []
        for index, value in enumerate(self.get(key, list, [])):
            place = (*self.path, key, index)
            if isinstance(value, dict):
                tables.append(Table(value, place, f"[[{_dotted(place)}]]", self.problems))
            else:
                self.problems.add(place, f"{self.title} {key}: expected tables, found {named(value)}.")
        return tables

    def rest(self) -> dict[str, Any]:
        """Return the keys that were not asked for yet, and count them as asked for."""
        left = {key: value for key, value in self.values.items() if key not in self.asked}
        self.asked.extend(left)
        return left

    def close(self) -> None:
        """Note each key that nobody asked for."""
        for key in self.values:
            if key not in self.asked:
                known = sorted(self.asked)
                advice = suggestion(key, known)
                self.problems.add((*self.path, key), f"{self.title} has no key {key!r}; {advice}")


def _initials(name: str) -> str:
    return "".join(word[:1] for word in name.split("_")) if "_" in name else ""


def _dotted(path: Path) -> str:
    return ".".join(str(part) for part in path if isinstance(part, str))
