"""Lift a room's public names: a package finds each name in its module when the name is first used.

A package that lifts lazily has a table of names and modules, the same imports under TYPE_CHECKING, and two lines:

    def __getattr__(name: str) -> Any:
        return lifted(__name__, _HOMES, name)
"""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module
from typing import Any


def lifted(package: str, homes: Mapping[str, str], name: str) -> Any:  # noqa: ANN401 - a public name of any type
    """Import the module of `package` that `homes` gives for `name`, and return the name's value there.

    homes: public name to module, relative to `package`. Raises AttributeError, which lists the public names, for another
    name. The function is called by a package's `__getattr__`, which runs only for names that the package has not got.
    """
    if name not in homes:
        raise AttributeError(f"module {package!r} has no attribute {name!r}; it has: {', '.join(sorted(homes))}.")
    return getattr(import_module(f"{package}.{homes[name]}"), name)
