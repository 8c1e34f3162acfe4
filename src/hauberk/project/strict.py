"""Strict pydantic models for the tables of a project file, and pydantic's errors in our words with lines.

`Section` refuses unknown keys and converts nothing, except whole numbers to floats. A field's `description` says what to
write when the key is missing, or why its range is what it is.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Annotated, Any, Literal, TypeVar, get_args, get_origin

from annotated_types import Ge, Le
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from pydantic.fields import FieldInfo
from pydantic_core import ErrorDetails

from hauberk.project.lines import Path
from hauberk.project.problems import Problems, named, suggestion, title

M = TypeVar("M", bound=BaseModel)

Text = Annotated[str, Field(min_length=1)]
Finite = Annotated[float, Field(allow_inf_nan=False)]


class Section(BaseModel):
    """One table of the file."""

    model_config = ConfigDict(strict=True, extra="forbid", frozen=True)

    def has(self, key: str) -> bool:
        """Whether the file sets the key."""
        return key in self.model_fields_set


def read(model: type[M], values: object, path: Path, problems: Problems) -> M | None:
    """Return the table as a model, or note everything that is wrong with it and return None."""
    if not isinstance(values, dict):
        problems.wrong(path, f"expected a table, found {named(values)}.")
        return None
    try:
        return model.model_validate(values)
    except ValidationError as error:
        for one in error.errors(include_url=False):
            _note(model, path, one, problems)
        return None


def _note(model: type[BaseModel], path: Path, error: ErrorDetails, problems: Problems) -> None:
    where = (*path, *error["loc"])
    holder, field = _field(model, error["loc"])
    if error["type"] == "extra_forbidden":
        known = sorted(one.alias or name for name, one in holder.model_fields.items())
        problems.add(where, f"{title(where[:-1])} has no key {where[-1]!r}; {suggestion(str(where[-1]), known)}")
        return
    say = _SAYINGS.get(error["type"], _unforeseen)
    problems.wrong(where, say(error, field))


def _field(model: type[BaseModel], loc: Path) -> tuple[type[BaseModel], FieldInfo | None]:
    """Return the innermost model on the way to `loc`, and the field that `loc` names in it, if any."""
    field: FieldInfo | None = None
    for part in loc:
        if isinstance(part, int):
            continue
        if field is not None:
            inner = _model_in(field.annotation)
            if inner is None:
                return model, field
            model = inner
        field = next((one for name, one in model.model_fields.items() if (one.alias or name) == part), None)
    return model, field


def _model_in(annotation: Any) -> type[BaseModel] | None:  # noqa: ANN401 - any type
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    return next((found for part in get_args(annotation) if (found := _model_in(part)) is not None), None)


Saying = Callable[[ErrorDetails, FieldInfo | None], str]


def _expected(one: str, several: str) -> Saying:
    def say(error: ErrorDetails, _field: FieldInfo | None) -> str:
        return f"expected {several if isinstance(error['loc'][-1], int) else one}, found {named(error['input'])}."

    return say


def _missing(_error: ErrorDetails, field: FieldInfo | None) -> str:
    return f"is missing: {field.description if field is not None and field.description else 'write it.'}"


def _empty(error: ErrorDetails, field: FieldInfo | None) -> str:
    return (
        _expected("strings", "strings")(error, field)
        if isinstance(error["loc"][-1], int)
        else _missing(error, field)
    )


def _unknown(error: ErrorDetails, field: FieldInfo | None) -> str:
    if not isinstance(error["input"], str):
        return _expected("a string", "strings")(error, field)
    if not error["input"] and field is not None and field.is_required():
        return _missing(error, field)
    return f"{named(error['input'])} is not known; {suggestion(str(error['input']), _choices(field))}"


def _outside(error: ErrorDetails, field: FieldInfo | None) -> str:
    bounds = [] if field is None else [*field.metadata, *_inside(field.annotation)]
    low = next((one.ge for one in bounds if isinstance(one, Ge)), None)
    high = next((one.le for one in bounds if isinstance(one, Le)), None)
    limits = f"{low:g} or more" if high is None else f"between {low:g} and {high:g}"
    why = f" {field.description}" if field is not None and field.description else ""
    return f"expected {limits}, found {error['input']:g}.{why}"


def _own(error: ErrorDetails, _field: FieldInfo | None) -> str:
    return str(error.get("ctx", {}).get("error", error["msg"]))


def _unforeseen(error: ErrorDetails, _field: FieldInfo | None) -> str:
    return f"{error['msg']}, found {named(error['input'])}."


def _choices(field: FieldInfo | None) -> tuple[str, ...]:
    return () if field is None else tuple(one for one in _inside(field.annotation) if isinstance(one, str))


def _inside(annotation: Any) -> Iterator[Any]:  # noqa: ANN401 - any type
    """Yield the choices of a Literal and the bounds that an annotation holds, however deep: in `X | None` too."""
    if get_origin(annotation) is Literal:
        yield from get_args(annotation)
        return
    for part in get_args(annotation):
        yield from part.metadata if isinstance(part, FieldInfo) else _inside(part)


_SAYINGS: Mapping[str, Saying] = {
    "missing": _missing,
    "too_short": _missing,
    "string_too_short": _empty,
    "string_type": _expected("a string", "strings"),
    "int_type": _expected("a whole number", "whole numbers"),
    "float_type": _expected("a number", "numbers"),
    "bool_type": _expected("true or false", "true or false"),
    "list_type": _expected("a list", "lists"),
    "model_type": _expected("a table", "tables"),
    "model_attributes_type": _expected("a table", "tables"),
    "dict_type": _expected("a table", "tables"),
    "finite_number": _expected("a finite number", "finite numbers"),
    "literal_error": _unknown,
    "greater_than_equal": _outside,
    "less_than_equal": _outside,
    "value_error": _own,
}
