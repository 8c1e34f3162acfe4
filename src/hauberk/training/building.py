"""The team's own code: loads `module:function` from the project's folder, calls it, and checks the result.

This runs the code: whoever may write the project's folder may run code as the user, which is why only a builder is
ever run and never a stored model. `_project_code` does the loading; it leaves `sys.path`, import hooks and the names of
modules in this process alone.
"""

from __future__ import annotations

import importlib
import inspect
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

from hauberk.core.errors import HauberkError, InvalidInput
from hauberk.models import _blame
from hauberk.models.spec import Spec
from hauberk.training._project_code import ProjectCode

_EXPECTED = "Expected a function that returns a torch.nn.Module or a scikit-learn estimator"


def load_callable(reference: str, folder: Path) -> Callable[..., Any]:
    """Return the function that "module:function" names, from `folder` or, if it has no such file, from a package.

    The file is run once for each call of this function. Raises InvalidInput with file and line when there is no such
    file or function, or when the file raises while it is imported.
    """
    module_name, _, name = reference.partition(":")
    if not module_name or not name.isidentifier():
        raise InvalidInput(f'{reference!r} is no "module:function", such as "model:build".')
    module, path = _import(module_name, folder.resolve())
    function = getattr(module, name, None)
    if function is None:
        offered = [key for key, value in vars(module).items() if inspect.isfunction(value) and key[0] != "_"]
        listed = f"it has: {', '.join(offered[:10])}" if offered else "it has no public function"
        raise InvalidInput(f"{path}: there is no {name!r}; {listed}. {_EXPECTED}.")
    if not callable(function):
        raise InvalidInput(f"{path}: {name!r} is a {type(function).__name__}. {_EXPECTED}.")
    made: Callable[..., Any] = function
    return made


def call_builder(build: Callable[..., Any], spec: Spec) -> Any:  # noqa: ANN401 - an nn.Module or an estimator
    """Return build(spec), or build() if it takes no arguments: a torch.nn.Module or a scikit-learn estimator.

    Raises InvalidInput when it raises (naming the line), needs other arguments, or returns something else.
    """
    try:
        made = build(spec) if _takes_argument(build) else build()
    except HauberkError:
        raise
    except Exception as error:
        place = _blame.place(error, otherwise=where(build))
        raise InvalidInput(
            f"{place}: the model's builder raised {_blame.told(error)}. It is called with the data's spec "
            f"(classes {spec.classes}, shape {spec.shape}, features {spec.features})."
        ) from error
    if is_module(made) or is_estimator(made):
        return made
    raise InvalidInput(f"{where(build)}: returned {_what(made)}. {_EXPECTED} with fit and predict_proba.")


def is_module(value: object) -> bool:
    """Return whether this is a torch.nn.Module, without importing torch."""
    torch = sys.modules.get("torch")
    return torch is not None and isinstance(value, torch.nn.Module)


def is_estimator(value: object) -> bool:
    """Return whether this is an object (not a class) with fit, predict_proba and get_params."""
    if isinstance(value, type):
        return False
    return all(callable(getattr(value, name, None)) for name in ("fit", "predict_proba", "get_params"))


def where(function: Callable[..., Any]) -> str:
    """Return "path/model.py:12", the line on which a function is defined, or its name."""
    try:
        target = inspect.unwrap(function)
        path, line = inspect.getsourcefile(target), inspect.getsourcelines(target)[1]
    except (OSError, TypeError):
        return getattr(function, "__name__", repr(function))
    return f"{path}:{line}"


def _takes_argument(function: Callable[..., Any]) -> bool:
    """Return whether a builder takes the spec: it has a parameter without a default, or one named "spec".

    A class such as LogisticRegression, whose parameters are settings with defaults, is called without arguments.
    Raises InvalidInput when the builder requires more than the spec.
    """
    try:
        parameters = inspect.signature(function).parameters.values()
    except (TypeError, ValueError):
        return True
    positional = [p for p in parameters if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD, p.VAR_POSITIONAL)]
    needed = [p for p in parameters if p.default is p.empty and p.kind not in (p.VAR_POSITIONAL, p.VAR_KEYWORD)]
    if len(needed) > 1 or any(p.kind is p.KEYWORD_ONLY for p in needed):
        names = ", ".join(p.name for p in needed)
        raise InvalidInput(
            f"{where(function)}: it needs ({names}); it is called as build(spec) or build(). "
            "Give the others defaults."
        )
    return bool(needed) or any(p.name == "spec" or p.kind is p.VAR_POSITIONAL for p in positional)


def _what(value: object) -> str:
    if isinstance(value, type):
        return f"the class {value.__name__}; return an object of it, {value.__name__}(...)"
    if callable(getattr(value, "fit", None)):
        return (
            f"a {type(value).__name__} without predict_proba; wrap it in sklearn.calibration.CalibratedClassifierCV"
        )
    return "None (is there a `return`?)" if value is None else f"a {type(value).__name__}"


def _import(name: str, folder: Path) -> tuple[ModuleType, str]:
    path, code = folder.joinpath(*name.split(".")).with_suffix(".py"), ProjectCode(folder)
    try:
        module = code.load(name) if code.has(name) else importlib.import_module(name)
    except ModuleNotFoundError as error:
        if error.name == name.partition(".")[0] and not path.is_file():
            raise InvalidInput(
                f"there is no {path}, and no installed package is named {name!r}: "
                "create the file or correct the name."
            ) from error
        place = _blame.place(error, otherwise=str(path))
        raise InvalidInput(f"{place}: imports {error.name!r}, which is not installed. Install it.") from error
    except HauberkError:
        raise
    except (Exception, SystemExit) as error:
        place = _blame.place(error, otherwise=str(path))
        raise InvalidInput(
            f"{place}: the file raised {_blame.told(error)} while it was imported. Correct that line; "
            f"`python {path.name}` shows the same error with its whole traceback."
        ) from error
    return module, str(getattr(module, "__file__", path))
