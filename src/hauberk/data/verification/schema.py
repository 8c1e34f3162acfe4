"""The schema file: what a table is expected to hold, in TOML that people read and edit.

Null, NaN and infinity are allowed or forbidden separately. An unknown key is refused with its line, so that a misspelt
`nulable` cannot switch a rule off. `rules` and `verifying` apply the schema.
"""

from __future__ import annotations

import math
import re
import tomllib
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, model_validator

from hauberk.core.errors import InvalidInput

VERSION = 1
_LONGEST = 16 << 20

Bound = int | float | date | datetime
Value = bool | int | float | str | date | datetime
Type = Literal[
    "boolean",
    "integer",
    "float",
    "number",
    "text",
    "date",
    "datetime",
    "time",
    "duration",
    "binary",
    "list",
    "struct",
    "any",
]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


def _names(value: object) -> object:
    return tuple(value) if isinstance(value, list) else value


def _sets(value: object) -> object:
    return tuple(_names(part) for part in value) if isinstance(value, list) else value


def _span(value: object) -> object:
    """Read "90m", "36h", "7d" or "2w"; a number is seconds."""
    if isinstance(value, str):
        match = re.fullmatch(r"(\d+(?:\.\d+)?)\s*([smhdw])", value.strip())
        if not match:
            raise ValueError("expected a span of time such as '90m', '36h', '7d' or '2w'")
        unit = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days", "w": "weeks"}[match[2]]
        return timedelta(**{unit: float(match[1])})
    return timedelta(seconds=value) if isinstance(value, int | float) and not isinstance(value, bool) else value


Names = Annotated[tuple[str, ...], BeforeValidator(_names), Field(min_length=1)]
Span = Annotated[timedelta, BeforeValidator(_span)]


class Column(_Strict):
    """The rules of one column.

    type: family of types, of any width. required: the column must exist. nullable, nan, infinity: whether such values are
    allowed. min, max: inclusive bounds; nulls and NaN have their own rules. allowed: list of permitted values. pattern:
    regular expression that must match somewhere in the text; anchor it with ^ and $. min_length, max_length: characters of
    text. unique: no value occurs twice, except null. marks: whether text may hold NUL, control and bidirectional characters.
    """

    type: Type = "any"
    required: bool = True
    nullable: bool = False
    nan: bool = False
    infinity: bool = False
    min: Bound | None = None
    max: Bound | None = None
    allowed: Annotated[tuple[Value, ...], BeforeValidator(_names), Field(min_length=1)] | None = None
    pattern: str | None = None
    min_length: Annotated[int, Field(ge=0)] | None = None
    max_length: Annotated[int, Field(ge=0)] | None = None
    unique: bool = False
    marks: bool = True
    description: str = ""

    @model_validator(mode="after")
    def _fits(self) -> Column:
        if any(isinstance(end, float) and not math.isfinite(end) for end in (self.min, self.max)):
            raise ValueError("min and max must be finite; leave one out for no bound, and see nan and infinity")
        if self.min is not None and self.max is not None:
            if type(self.min) is not type(self.max) and not all(
                isinstance(end, int | float) for end in (self.min, self.max)
            ):
                raise ValueError(f"min {self.min!r} and max {self.max!r} have different types")
            if self.min > self.max:  # type: ignore[operator]
                raise ValueError(f"min {self.min!r} is above max {self.max!r}: no value could pass")
        if self.type not in ("text", "any"):
            for name in ("pattern", "min_length", "max_length"):
                if getattr(self, name) is not None:
                    raise ValueError(f"{name} is a rule for text, and the type is {self.type}")
        if self.type in ("boolean", "text", "binary", "list", "struct") and (self.min, self.max) != (None, None):
            raise ValueError(f"min and max are rules for numbers and times, and the type is {self.type}")
        return self


class Rule(_Strict):
    """An SQL expression over columns that must be true in each row, or in each row that meets `when`.

    nulls: whether a null result is a violation or passes.
    """

    name: str
    expression: str
    when: str = ""
    nulls: Literal["violation", "pass"] = "violation"


class SumBounds(_Strict):
    """Inclusive bounds for the sum of a column within each group."""

    column: str
    min: int | float | None = None
    max: int | float | None = None


class Monotone(_Strict):
    """A column that must rise, or fall, from row to row of a group in the order of the file. strict: equal is a violation."""

    column: str
    order: Literal["rising", "falling"] = "rising"
    strict: bool = False


class Group(_Strict):
    """The rules of each group of rows that share the values of `by`."""

    name: str
    by: Names
    min_rows: Annotated[int, Field(ge=1)] | None = None
    max_rows: Annotated[int, Field(ge=1)] | None = None
    sum: SumBounds | None = None
    monotone: Monotone | None = None

    @model_validator(mode="after")
    def _says(self) -> Group:
        if (self.min_rows, self.max_rows, self.sum, self.monotone) == (None, None, None, None):
            raise ValueError("has no rule: give min_rows, max_rows, sum or monotone")
        return self


class Freshness(_Strict):
    """The newest time of a column must be at most `max_age` before the clock, and no time more than `ahead` after it."""

    column: str
    max_age: Span
    ahead: Span = timedelta()


class Rows(_Strict):
    """Rules of the table as a whole.

    min_rows, max_rows: inclusive. other_columns: whether columns that the schema does not name are refused or allowed.
    unique: combinations of columns whose values no two rows share.
    """

    min_rows: Annotated[int, Field(ge=0)] = 1
    max_rows: Annotated[int, Field(ge=0)] | None = None
    other_columns: Literal["refuse", "allow"] = "refuse"
    unique: Annotated[tuple[Names, ...], BeforeValidator(_sets)] = ()


class Drift(_Strict):
    """Limits for drift from a reference; see `drift` for the measures. alpha: false discovery rate over all tests."""

    psi: Annotated[float, Field(gt=0)] = 0.2
    ks: Annotated[float, Field(gt=0, le=1)] = 0.1
    wasserstein: Annotated[float, Field(gt=0)] = 0.2
    cramers_v: Annotated[float, Field(gt=0, le=1)] = 0.1
    missing: Annotated[float, Field(gt=0, le=1)] = 0.02
    new_categories: Annotated[float, Field(ge=0, le=1)] = 0.001
    alpha: Annotated[float, Field(gt=0, lt=1)] = 0.01
    ignore: Annotated[tuple[str, ...], BeforeValidator(_names)] = ()


class Schema(_Strict):
    """A whole schema file."""

    version: Literal[1] = 1
    table: Rows = Rows()
    columns: dict[str, Column] = {}
    rules: Annotated[tuple[Rule, ...], BeforeValidator(_names)] = ()
    groups: Annotated[tuple[Group, ...], BeforeValidator(_names)] = ()
    freshness: Freshness | None = None
    drift: Drift = Drift()

    @model_validator(mode="after")
    def _named_once(self) -> Schema:
        names = [*(rule.name for rule in self.rules), *(group.name for group in self.groups)]
        double = next((name for name in names if names.count(name) > 1), None)
        if double:
            raise ValueError(f"two rules are named {double!r}: give each its own name")
        return self


def load_schema(path: Path) -> Schema:
    """Return the schema in a file. Raises InvalidInput with the line of a key that is unknown, missing or of a wrong type."""
    try:
        with path.open("rb") as file:
            content = file.read(_LONGEST + 1)
        if len(content) > _LONGEST:
            raise InvalidInput(f"{path.name} is larger than 16 MiB, the most for a schema file: name another file.")
        return parse_schema(content.decode("utf-8"), where=path.name)
    except OSError as error:
        raise InvalidInput(
            f"cannot read {path}: {error.strerror or error}. `hauberk data infer FILE` proposes a schema file."
        ) from error
    except UnicodeDecodeError as error:
        raise InvalidInput(f"{path.name} is not UTF-8 text. Save the schema file as UTF-8.") from error


def parse_schema(text: str, *, where: str = "schema") -> Schema:
    """Return the schema in a text; errors as in `load_schema`. where: the text's name in messages."""
    try:
        document = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise InvalidInput(f"{where} is not TOML: {error}. Correct that line.") from error
    version = document.get("version")
    if version != VERSION or isinstance(version, bool):
        raise InvalidInput(f"{where} has version {version!r}; known: {VERSION}. Put `version = {VERSION}` on top.")
    try:
        return Schema.model_validate(document)
    except ValidationError as error:
        first = error.errors()[0]
        path = [part for part in first["loc"] if not (isinstance(part, str) and _is_union_branch(part, document))]
        key = ".".join(str(part) for part in path) or "the file"
        what = (
            "is not a known key"
            if first["type"] == "extra_forbidden"
            else first["msg"].removeprefix("Value error, ")
        )
        known = f" Known here: {', '.join(_known(path))}." if first["type"] == "extra_forbidden" else ""
        raise InvalidInput(f"{where}, line {_line(text, path)}: {key}: {what}.{known} Correct it.") from error


def _is_union_branch(part: str, document: dict[str, Any]) -> bool:
    return part in ("int", "float", "date", "datetime", "bool", "str") and part not in document.get("columns", {})


def _known(path: list[Any]) -> list[str]:
    model: type[BaseModel] = Schema
    inner: dict[str, type[BaseModel]] = {
        "table": Rows, "columns": Column, "rules": Rule, "groups": Group,
        "freshness": Freshness, "drift": Drift, "sum": SumBounds, "monotone": Monotone,
    }  # fmt: skip
    for at, part in enumerate(path[:-1]):
        if at == 0 or part in ("sum", "monotone"):
            model = inner.get(str(part), model)
    return list(model.model_fields)


def _line(text: str, path: list[Any]) -> int:
    """Return the number, from 1, of the line with the key at `path`, or with the header of its table."""
    best, table = 1, list[str]()
    number_of: dict[str, int] = {}
    wanted = [str(part) for part in path]
    longest = 0
    for number, line in enumerate(text.splitlines(), 1):
        header = re.match(r"\s*(\[\[?)\s*(.+?)\s*\]\]?\s*(?:#.*)?$", line)
        if header and "=" not in re.sub(r"\"[^\"]*\"|'[^']*'", "", header[2]):
            table = _dotted(header[2])
            if header[1] == "[[":
                number_of[table[0]] = number_of.get(table[0], -1) + 1
            if table[0] in number_of:
                table = [table[0], str(number_of[table[0]]), *table[1:]]
            here = table
        elif "=" in line:
            here = [*table, *_dotted(line.partition("=")[0])]
        else:
            continue
        if len(here) > longest and here == wanted[: len(here)]:
            best, longest = number, len(here)
    return best


def _dotted(text: str) -> list[str]:
    return [part.strip("\"'") for part in re.findall(r"\"[^\"]*\"|'[^']*'|[^.\s]+", text.strip())]
