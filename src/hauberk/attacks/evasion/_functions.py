"""An attack as a function of a model, inputs and labels, derived from its parameters and its search."""

from __future__ import annotations

import dataclasses
import difflib
import inspect
import math
import numbers
from collections.abc import Callable, Mapping
from typing import Any, Protocol

import numpy as np

from hauberk.attacks.attack import Attack, attack
from hauberk.attacks.budget import Ball, ColumnBox, Region
from hauberk.attacks.params import Params
from hauberk.attacks.verdict import AttackResult
from hauberk.core.errors import InvalidInput
from hauberk.core.threats import Norm
from hauberk.models.port import Floats, Labels

Parameter = inspect.Parameter
Fields = dict[str, Parameter]

_BOX = "box"  # the keyword of a ColumnBox, which is built from many values
_TYPES: Mapping[str, tuple[Any, str]] = {
    "bool": ((bool, np.bool_), "True or False"),
    "int": (numbers.Integral, "a whole number"),
    "float": (numbers.Real, "a number"),
    "str": (str, "text"),
}
_HELP = {
    "norm": "norm of the ball",
    "eps": "radius in input units",
    "low": "lowest value of every coordinate",
    "high": "highest value of every coordinate",
    _BOX: "a `ColumnBox`: the columns that may change, how far, and at what cost",
    "targets": "(n,) classes that the rows shall be predicted as, or None",
    "generator": "a numpy Generator or a seed",
    "task": "receives the progress",
}


class AttackFunction(Protocol):
    """An attack as a function; `inspect.signature` and `help` list its keywords."""

    __name__: str

    def __call__(
        self,
        model: Any,  # noqa: ANN401 - what `models.adapting.as_model` accepts
        x: Floats,
        y: Labels,
        **settings: Any,  # noqa: ANN401 - the budget's keywords, the parameters' fields, targets, generator, task
    ) -> AttackResult:
        """Attack each row of x, as `attacks.attack.attack`."""


def function_of(name: str, run: Attack, params: type[Params], *, summary: str) -> AttackFunction:
    """Return the attack as a function with a signature and a docstring of its own.

    Its keywords are those of the budget, one for each field of `params` with the field's default, `targets` for attacks
    that accept them, `generator` (0) and `task`. Raises TypeError when two of them share a name. The function raises
    InvalidInput for a keyword that is unknown, missing or of another type, and whatever `attacks.attack.attack` raises.
    """
    budget, own, common = _budget_keywords(params), _own_keywords(params), _common_keywords(params)
    for keyword in own:
        if keyword in budget or keyword in common:
            raise TypeError(f"attack {name}: the parameter {keyword!r} has the name of another keyword; rename it.")
    first = {key: Parameter(key, Parameter.POSITIONAL_OR_KEYWORD) for key in ("model", "x", "y")}
    signature = inspect.Signature(
        [*first.values(), *budget.values(), *own.values(), *common.values()], return_annotation="AttackResult"
    )

    def function(*args: Any, **settings: Any) -> AttackResult:  # noqa: ANN401 - bound to the signature below
        given = _bound(function.__name__, signature, args, settings)
        region = _region(function.__name__, params, {key: given[key] for key in budget})
        values = {key: given[key] for key in own}
        for field in dataclasses.fields(params):  # type: ignore[arg-type]  # subclasses of Params are dataclasses
            _check_type(function.__name__, field, values[field.name])
        made, targets = params(**values), given.get("targets")
        rng = np.random.default_rng(given["generator"])
        return attack(
            run, given["model"], given["x"], given["y"], region, made, rng=rng, task=given["task"], targets=targets
        )

    function.__name__ = function.__qualname__ = name.replace("-", "_")
    function.__module__ = "hauberk.attacks.evasion"
    function.__doc__ = _doc(summary, run, params, signature)
    function.__signature__ = signature  # type: ignore[attr-defined]  # read by inspect.signature
    return function


def _keyword(name: str, annotation: Any, default: Any = Parameter.empty) -> Parameter:  # noqa: ANN401 - as inspect
    return Parameter(name, Parameter.KEYWORD_ONLY, default=default, annotation=annotation)


def _default(field: dataclasses.Field[Any]) -> Any:  # noqa: ANN401 - of any type
    return Parameter.empty if field.default is dataclasses.MISSING else field.default


def _budget_keywords(params: type[Params]) -> Fields:
    """Return the keywords that name a budget; optional where the attack takes budgets of several kinds."""
    found: Fields = {}
    for region in params.regions:
        found |= _region_keywords(region, params)
    if len(params.regions) == 1:
        return found
    return {
        key: value if value.default is not Parameter.empty else _keyword(key, f"{value.annotation} | None", None)
        for key, value in found.items()
    }


def _region_keywords(region: type[Any], params: type[Params]) -> Fields:
    if region is ColumnBox:
        return {_BOX: _keyword(_BOX, "ColumnBox")}
    found = {field.name: _keyword(field.name, field.type, _default(field)) for field in dataclasses.fields(region)}
    if region is Ball:
        only = str(params.norms[0]) if len(params.norms) == 1 else Parameter.empty
        found["norm"] = _keyword("norm", "str", only)
        found["eps"] = _keyword("eps", "float", math.inf if params.minimal else Parameter.empty)
    return found


def _own_keywords(params: type[Params]) -> Fields:
    fields = dataclasses.fields(params)  # type: ignore[arg-type]  # subclasses of Params are dataclasses
    return {field.name: _keyword(field.name, field.type, _default(field)) for field in fields}


def _common_keywords(params: type[Params]) -> Fields:
    found = {"targets": _keyword("targets", "Labels | None", None)} if params.targeted else {}
    found["generator"] = _keyword("generator", "np.random.Generator | int", 0)
    found["task"] = _keyword("task", "Task | None", None)
    return found


def _bound(
    name: str, signature: inspect.Signature, args: tuple[Any, ...], settings: Mapping[str, Any]
) -> dict[str, Any]:
    known = [key for key, value in signature.parameters.items() if value.kind is Parameter.KEYWORD_ONLY]
    for keyword in settings:
        if keyword not in signature.parameters:
            near = difflib.get_close_matches(keyword, known, 1)
            hint = f" Did you mean {near[0]!r}?" if near else ""
            raise InvalidInput(f"{name} has no keyword {keyword!r}; it has: {', '.join(known)}.{hint}")
    try:
        bound = signature.bind(*args, **settings)
    except TypeError as error:
        raise InvalidInput(f"{name}: {error}; its keywords are: {', '.join(known)}.") from error
    bound.apply_defaults()
    return bound.arguments


def _region(name: str, params: type[Params], given: Mapping[str, Any]) -> Region:
    """Return the budget that the keywords name. Raises InvalidInput for none, for half of one and for several."""
    named = [region for region in params.regions if _named(region, params, given, several=len(params.regions) > 1)]
    if len(named) != 1:
        ways = " or ".join(" and ".join(f"`{key}`" for key in _needed(region, params)) for region in params.regions)
        raise InvalidInput(f"{name} expects one budget: {ways}.")
    region = named[0]
    if region is ColumnBox:
        box = given[_BOX]
        if not isinstance(box, ColumnBox):
            raise InvalidInput(f"{name}: `box` is a ColumnBox, found a {type(box).__name__}.")
        return box
    values = {field.name: given[field.name] for field in dataclasses.fields(region)}
    for field in dataclasses.fields(region):
        if region is not Ball or field.name != "norm":
            _check_type(name, field, values[field.name])
    if region is Ball:
        if values["norm"] not in set(Norm):
            raise InvalidInput(f"no norm is named {values['norm']!r}; known: {', '.join(Norm)}.")
        values["norm"] = Norm(values["norm"])
    made: Region = region(**values)
    return made


def _needed(region: type[Any], params: type[Params]) -> list[str]:
    keywords = _region_keywords(region, params)
    return [key for key, value in keywords.items() if value.default is Parameter.empty]


def _named(region: type[Any], params: type[Params], given: Mapping[str, Any], *, several: bool) -> bool:
    return not several or all(given[key] is not None for key in _needed(region, params))


def _check_type(name: str, field: dataclasses.Field[Any], value: Any) -> None:  # noqa: ANN401 - what was passed
    """Raise InvalidInput for a value that is plainly of another type than the field."""
    if str(field.type) not in _TYPES:
        return
    kind, words = _TYPES[str(field.type)]
    truth_for_number = field.type in ("int", "float") and isinstance(value, bool)
    if truth_for_number or not isinstance(value, kind):
        raise InvalidInput(f"{name}: `{field.name}` is {words}, found {value!r}.")


def _doc(summary: str, run: Callable[..., Any], params: type[Params], signature: inspect.Signature) -> str:
    """Return the docstring: the search's own, then one line for each keyword."""
    about = inspect.getdoc(run) or f"{summary[:1].upper()}{summary[1:]}."
    sources = [params, *(region for region in params.regions if region is not ColumnBox)]
    fields = {field.name: field for source in sources for field in dataclasses.fields(source)}
    lines = ["model: what `models.adapting.as_model` accepts.", "x: (n, ...) float inputs; y: (n,) labels."]
    for name, parameter in signature.parameters.items():
        if parameter.kind is not Parameter.KEYWORD_ONLY:
            continue
        text = (fields[name].metadata.get("help") if name in fields else None) or _HELP.get(name, "no description")
        if name == "norm" and params.norms:
            text += f": {', '.join(params.norms)}"
        end = "" if parameter.default is Parameter.empty else f" (default {parameter.default})"
        lines.append(f"{name}: {text}{end}.")
    return "\n".join([about, "", *lines, "", "Returns an `attacks.verdict.AttackResult`."])
