"""The line of each key of a TOML text, which the parser of the standard library does not report.

The text has already been accepted by `tomllib`, so this parser follows the grammar (TOML 1.0) without validating it.
A path is the sequence of indices into the parsed value: ("threats", 0, "eps").
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TypeAlias

Path: TypeAlias = tuple[str | int, ...]

_BLANK = re.compile(r"(?:[ \t\r\n]|#[^\n]*)*")
_SPACE = re.compile(r"[ \t]*")
_KEY = re.compile(r"\"(?:\\.|[^\"\\])*\"|'[^']*'|[A-Za-z0-9_-]+")
_STRING = re.compile(
    r"\"\"\"(?:\\.|[^\\])*?\"\"\"\"{0,2}|'''.*?''''{0,2}|\"(?:\\.|[^\"\\])*\"|'[^']*'",
    re.DOTALL,
)
_SCALAR = re.compile(r"[^,\]}\n#]*")


def lines_of(text: str) -> dict[Path, int]:
    """Return the line (from 1) on which each key, table and array element of a valid TOML text first occurs."""
    walk = _Walk(text)
    walk.document()
    return walk.found


def nearest_line(lines: Mapping[Path, int], path: Path) -> int:
    """Return the line of `path`, or of the nearest enclosing table in the file, or 1."""
    while path and path not in lines:
        path = path[:-1]
    return lines.get(path, 1)


@dataclass(slots=True)
class _Walk:
    text: str
    at: int = 0
    line: int = 1  # of `counted`
    counted: int = 0
    found: dict[Path, int] = field(default_factory=dict)
    arrays: dict[Path, int] = field(default_factory=dict)  # array of tables -> index of its last element

    def document(self) -> None:
        table: Path = ()
        while self._skip(_BLANK) < len(self.text):
            line = self._line()
            if self.text.startswith("[[", self.at):
                table = self._header("[[", "]]")
                self.arrays[table] = self.arrays.get(table, -1) + 1
                self._note(table, line)
                table = (*table, self.arrays[table])
                self._note(table, line)
            elif self.text[self.at] == "[":
                table = self._header("[", "]")
                self._note(table, line)
            else:
                self._pair(table)

    def _header(self, opening: str, closing: str) -> Path:
        self.at += len(opening)
        *parents, last = self._keys()
        self.at = self.text.index(closing, self.at) + len(closing)
        path: Path = ()
        for key in parents:
            path = (*path, key)
            if path in self.arrays:  # [[a]] then [a.b]: b belongs to the last element of a
                path = (*path, self.arrays[path])
        return (*path, last)

    def _pair(self, table: Path) -> None:
        line = self._line()
        path = table
        for key in self._keys():
            path = (*path, key)
            self._note(path, line)
        self.at = self.text.index("=", self.at) + 1
        self._value(path)

    def _keys(self) -> list[str]:
        names: list[str] = []
        while True:
            self._skip(_SPACE)
            matched = _KEY.match(self.text, self.at)
            assert matched is not None, "tomllib accepted a key that this grammar does not know"
            self.at = matched.end()
            names.append(next(iter(tomllib.loads(f"{matched.group()} = 0"))))
            self._skip(_SPACE)
            if not self.text.startswith(".", self.at):
                return names
            self.at += 1

    def _value(self, path: Path) -> None:
        self._skip(_SPACE)
        opening = self.text[self.at]
        if opening == "[":
            self._inside("]", lambda index: self._element((*path, index)))
        elif opening == "{":
            self._inside("}", lambda _: self._pair(path))
        else:
            self._skip(_STRING if opening in "\"'" else _SCALAR)

    def _element(self, path: Path) -> None:
        self._note(path, self._line())
        self._value(path)

    def _inside(self, closing: str, one: Callable[[int], None]) -> None:
        self.at += 1
        index = 0
        while self._skip(_BLANK) < len(self.text) and self.text[self.at] != closing:
            one(index)
            index += 1
            self._skip(_BLANK)
            if self.text[self.at] == ",":
                self.at += 1
        self.at += 1

    def _skip(self, pattern: re.Pattern[str]) -> int:
        matched = pattern.match(self.text, self.at)
        assert matched is not None, "tomllib accepted a value that this grammar does not know"
        self.at = matched.end()
        return self.at

    def _line(self) -> int:
        self.line += self.text.count("\n", self.counted, self.at)
        self.counted = self.at
        return self.line

    def _note(self, path: Path, line: int) -> None:
        self.found.setdefault(path, line)
