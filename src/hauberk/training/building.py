"""The team's own code: find `module:function` in the project's folder, call it, and check what came back.

The file is imported under a private module name and the folder stands on `sys.path` only while that code runs, so
two projects in one process never see each other's modules. This runs the code: whoever may write the project's
folder may run code as the user, which is why only a builder is ever run and never a stored model.
"""

from __future__ import annotations

import hashlib
import importlib
import importlib.util
import inspect
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import Any

from hauberk.core.errors import HauberkError, InvalidInput
from hauberk.models import _blame
from hauberk.models.spec import Spec
from hauberk.training._randomness import calm_threads

_EXPECTED = "Expected a function that returns a torch.nn.Module or a scikit-learn estimator"


def load_callable(reference: str, folder: Path) -> Callable[..., Any]:
    """Return the function that "module:function" names, looked up in `folder` first, then among packages.

    The file is run once. Raises InvalidInput with file and line when there is no such file or function, or when
    the file raises while it is imported.
    """
    calm_threads()
    module_name, _, name = reference.partition(":")
    if not module_name or not name.isidentifier():
        raise InvalidInput(f'{reference!r} is no "module:function", such as "model:build".')
    folder = folder.resolve()
    module, path = _import(module_name, folder)
    function = getattr(module, name, None)
    if function is None:
        offered = [key for key, value in vars(module).items() if inspect.isfunction(value) and key[0] != "_"]
        listed = f"it has: {', '.join(offered[:10])}" if offered else "it has no public function"
        raise InvalidInput(f"{path}: there is no {name!r}; {listed}. {_EXPECTED}.")
    if not callable(function):
        raise InvalidInput(f"{path}: {name!r} is a {type(function).__name__}. {_EXPECTED}.")
    return _within(function, folder)


def call_builder(build: Callable[..., Any], spec: Spec) -> Any:  # noqa: ANN401 - an nn.Module or an estimator
    """Return build(spec), or build() when it takes nothing: a torch.nn.Module or a scikit-learn estimator.

    Raises InvalidInput when it raises (naming the line), needs other arguments, or returns something else.
    """
    try:
        made = build(spec) if takes_argument(build) else build()
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


def takes_argument(function: Callable[..., Any]) -> bool:
    """Whether a builder takes the spec: it has a parameter without a default, or one of that name.

    A class such as LogisticRegression, whose parameters are its own and all have defaults, is called without.
    Raises InvalidInput when it asks for more than the spec.
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


def is_module(value: object) -> bool:
    """Whether this is a torch.nn.Module; torch is not imported to find out."""
    torch = sys.modules.get("torch")
    return torch is not None and isinstance(value, torch.nn.Module)


def is_estimator(value: object) -> bool:
    """Whether this is an object (no class) with fit, predict_proba and get_params."""
    if isinstance(value, type):
        return False
    return all(callable(getattr(value, name, None)) for name in ("fit", "predict_proba", "get_params"))


def where(function: Callable[..., Any]) -> str:
    """Return "path/model.py:12", the line a function is defined on, or its name."""
    try:
        target = inspect.unwrap(function)
        path, line = inspect.getsourcefile(target), inspect.getsourcelines(target)[1]
    except (OSError, TypeError):
        return getattr(function, "__name__", repr(function))
    return f"{path}:{line}"


def _what(value: object) -> str:
    if isinstance(value, type):
        return f"the class {value.__name__}; return an object of it, {value.__name__}(...)"
    if callable(getattr(value, "fit", None)):
        return (
            f"a {type(value).__name__} without predict_proba; wrap it in sklearn.calibration.CalibratedClassifierCV"
        )
    return "None (is there a `return`?)" if value is None else f"a {type(value).__name__}"


def _import(name: str, folder: Path) -> tuple[ModuleType, str]:
    path = folder.joinpath(*name.split(".")).with_suffix(".py")
    try:
        with _visible(folder):
            module = _run_file(name, path) if path.is_file() else importlib.import_module(name)
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


def _run_file(name: str, path: Path) -> ModuleType:
    """Run one file as a module of a private name; compiled afresh, so cached bytecode never hides an edit."""
    source = path.read_bytes()
    key = hashlib.sha256(str(path).encode() + b"\0" + source).hexdigest()[:12]
    module = ModuleType(f"_hauberk_project_{key}_{name.replace('.', '_')}")
    module.__file__ = str(path)
    module.__package__ = name.rpartition(".")[0]
    sys.modules[module.__name__] = module
    try:
        exec(compile(source, str(path), "exec"), module.__dict__)  # noqa: S102 - the builder that the user named
    except BaseException:
        del sys.modules[module.__name__]
        raise
    return module


@contextmanager
def _visible(folder: Path) -> Iterator[None]:
    """Let imports find `folder` inside the block; afterwards path and module table are as before."""
    before, written = set(sys.modules), sys.dont_write_bytecode
    sys.path.insert(0, str(folder))
    sys.dont_write_bytecode = True
    try:
        yield
    finally:
        sys.dont_write_bytecode = written
        if str(folder) in sys.path:
            sys.path.remove(str(folder))
        for name in set(sys.modules) - before:
            if not name.startswith("_hauberk_project_") and _lies_in(sys.modules[name], folder):
                del sys.modules[name]


def _lies_in(module: ModuleType, folder: Path) -> bool:
    file = getattr(module, "__file__", None)
    if not file:
        return False
    path = Path(file).resolve()
    # A virtual environment often stands inside a project; what it holds is not the project's.
    return path.is_relative_to(folder) and "site-packages" not in path.parts


def _within(function: Callable[..., Any], folder: Path) -> Callable[..., Any]:
    """Wrap a function so that imports inside it find the folder too."""
    import functools

    @functools.wraps(function)
    def call(*args: Any, **kwargs: Any) -> Any:  # noqa: ANN401 - passes everything through
        with _visible(folder):
            return function(*args, **kwargs)

    return call
